// An answer that goes on, in Cockpit. The bridge's own HTTP would do, but that of Debian 12 does not tell when
// such an answer breaks off, and a page that is not told shows what is not so any more. So this asks over a
// plain connection, in HTTP/1.0, where the answer is what comes until the connection ends.

import { type Ask, type Stream, Unreachable } from '../transport.ts';
import { type Bridge, type BridgeChannel, unanswered } from './bridge.ts';

/** No server of ours says more before its answer begins. */
const LONGEST_HEAD_BYTES = 64 * 1024;

function question({ method, path, headers = {} }: Ask): Uint8Array {
  const all = { host: 'localhost', accept: 'text/event-stream', ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return new TextEncoder().encode(`${method} ${path} HTTP/1.0\r\n${lines.join('')}\r\n`);
}

/** Bytes that are put in as they come, and taken out when there is time. */
class Arriving {
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

  /** The next piece, or null at the end. */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const piece = this.#waiting.shift();
      if (piece) return piece;
      if (this.#ended instanceof Unreachable) throw this.#ended;
      if (this.#ended === 'well') return null;
      await new Promise<void>((wake) => { this.#wake = wake; });
    }
  }
}

/** The status, and the bytes that came together with the end of the head. */
async function head(arriving: Arriving): Promise<{ status: number; rest: Uint8Array }> {
  let text = '';
  for (;;) {
    const piece = await arriving.next();
    if (piece === null || text.length > LONGEST_HEAD_BYTES) throw new Unreachable('an answer without a head');
    // A byte is a character here, so that places in the text are places in the bytes.
    const before = text.length;
    text += Array.from(piece, (byte) => String.fromCharCode(byte)).join('');
    const end = text.indexOf('\r\n\r\n');
    if (end >= 0) return { status: statusOf(text), rest: piece.subarray(end + 4 - before) };
  }
}

function statusOf(text: string): number {
  const status = /^HTTP\/1\.\d (\d{3})/.exec(text)?.[1];
  if (status === undefined) throw new Unreachable('an answer that is no HTTP');
  return Number(status);
}

async function* body(channel: BridgeChannel, arriving: Arriving, rest: Uint8Array): AsyncIterable<string> {
  // A piece may end within a character.
  const decoder = new TextDecoder();
  try {
    for (let piece: Uint8Array | null = rest; piece !== null; piece = await arriving.next()) {
      yield decoder.decode(piece, { stream: true });
    }
  } finally {
    channel.close();
  }
}

export async function openStream(bridge: Bridge, socket: string, ask: Ask): Promise<Stream> {
  const channel = bridge.channel({ payload: 'stream', unix: socket, binary: true });
  const arriving = new Arriving();
  channel.addEventListener('message', (_, bytes) => arriving.put(bytes));
  channel.addEventListener('close', (_, how) => arriving.end(how.problem ? unanswered(how) : 'well'));
  const leave = () => {
    arriving.end(new Unreachable('nobody waits for it any more'));
    channel.close();
  };
  if (ask.signal?.aborted) leave();
  ask.signal?.addEventListener('abort', leave, { once: true });
  channel.send(question(ask));
  try {
    const { status, rest } = await head(arriving);
    if (status !== 200) channel.close();
    return { status, text: body(channel, arriving, rest) };
  } catch (error) {
    channel.close();
    throw error;
  }
}
