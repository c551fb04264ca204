// Bytes come and go through Cockpit's bridge: to divvyd's socket, as the user who is signed in to Cockpit and
// with that user's rights only. The bridge calls back; here that becomes something to wait for.

import { type Ask, NotLetIn, type Reply, replyOf, type Stream, type Transport, Unreachable } from '../transport.ts';
import type { Bridge, BridgeError, BridgeHttp, BridgeRequest } from './bridge.ts';

interface Head {
  status: number;
  headers: Record<string, string>;
}

function start(http: BridgeHttp, ask: Ask): BridgeRequest {
  const headers: Record<string, string> = { accept: 'application/json', ...ask.headers };
  if (ask.body !== undefined) headers['content-type'] = 'application/json';
  const body = ask.body === undefined ? '' : new TextEncoder().encode(JSON.stringify(ask.body));
  const request = http.request({ method: ask.method, path: ask.path, body, headers });
  const close = () => request.close('cancelled');
  if (ask.signal?.aborted) close();
  ask.signal?.addEventListener('abort', close, { once: true });
  return request;
}

function unanswered(error: BridgeError): Unreachable {
  return error.problem === 'access-denied' ? new NotLetIn(error) : new Unreachable(error);
}

/** The bridge leaves names of headers as the server wrote them. */
function header(head: Head, name: string): string | null {
  const found = Object.entries(head.headers).find(([one]) => one.toLowerCase() === name);
  return found?.[1] ?? null;
}

function send(http: BridgeHttp, ask: Ask): Promise<Reply> {
  return new Promise((done, fail) => {
    let head: Head | null = null;
    const request = start(http, ask).response((status, headers) => { head = { status, headers }; });
    const end = (body?: Uint8Array) => {
      if (head === null) return fail(new Unreachable('an answer without a status'));
      const { status } = head;
      const text = new TextDecoder().decode(body);
      done(replyOf(status, (name) => header(head as Head, name), text));
    };
    request.then(end, (error, body) => (error.problem ? fail(unanswered(error)) : end(body)));
  });
}

/** Pieces that are put in as they come, and taken out when there is time. */
class Pieces {
  #waiting: Uint8Array[] = [];
  #ended: 'no' | 'well' | Unreachable = 'no';
  #wake = () => {};

  put(piece: Uint8Array): void {
    this.#waiting.push(piece);
    this.#wake();
  }

  end(how: 'well' | Unreachable): void {
    this.#ended = how;
    this.#wake();
  }

  async *text(leave: () => void): AsyncIterable<string> {
    // A piece may end within a character.
    const decoder = new TextDecoder();
    try {
      for (;;) {
        for (const piece of this.#waiting.splice(0)) yield decoder.decode(piece, { stream: true });
        if (this.#waiting.length > 0) continue;
        if (this.#ended instanceof Unreachable) throw this.#ended;
        if (this.#ended === 'well') return;
        await new Promise<void>((wake) => { this.#wake = wake; });
      }
    } finally {
      leave();
    }
  }
}

function open(http: BridgeHttp, ask: Ask): Promise<Stream> {
  return new Promise((done, fail) => {
    const pieces = new Pieces();
    const request = start(http, { ...ask, headers: { accept: 'text/event-stream', ...ask.headers } });
    const leave = () => request.close('cancelled');
    request.stream((piece) => pieces.put(piece));
    request.response((status) => done({ status, text: pieces.text(leave) }));
    const end = (how: 'well' | Unreachable) => {
      pieces.end(how);
      // Says nothing new where there was an answer already.
      fail(how === 'well' ? new Unreachable('an answer without a status') : how);
    };
    request.then(() => end('well'), (error) => end(error.problem ? unanswered(error) : 'well'));
  });
}

export function bridgeTransport(bridge: Bridge, socket: string): Transport {
  const http = bridge.http(socket, { binary: true });
  return { send: (ask) => send(http, ask), open: (ask) => open(http, ask) };
}
