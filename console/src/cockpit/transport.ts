// Bytes come and go through Cockpit's bridge: to divvyd's socket, as the user who is signed in to Cockpit and
// with that user's rights only. The bridge calls back; here that becomes something to wait for.

import { type Ask, type Reply, replyOf, type Transport, Unreachable } from '../transport.ts';
import { type Bridge, type BridgeHttp, type BridgeRequest, unanswered } from './bridge.ts';
import { openStream } from './stream.ts';

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
    request.then(end, (how, body) => (how.problem ? fail(unanswered(how)) : end(body)));
  });
}

export function bridgeTransport(bridge: Bridge, socket: string): Transport {
  const http = bridge.http(socket, { binary: true });
  return { send: (ask) => send(http, ask), open: (ask) => openStream(bridge, socket, ask) };
}
