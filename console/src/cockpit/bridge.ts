// What this page uses of Cockpit's own script, which stands before ours in index.html. What Cockpit can do
// besides is not named here.

import { NotLetIn, Unreachable } from '../transport.ts';

/** A request through the bridge, which runs as the user who is signed in to Cockpit. */
export interface BridgeRequest {
  /** Told of every answer that has a status, before its body. */
  response(heard: (status: number, headers: Record<string, string>) => void): this;
  /** Of an answer with a bad status, the body comes beside the error. */
  then(done: (body: Uint8Array) => void, failed: (how: Ending, body?: Uint8Array) => void): unknown;
  close(problem?: string): void;
}

/** How a connection ended. */
export interface Ending {
  /** Why, as a code of Cockpit's; none where nothing went wrong, or the answer has a bad status. */
  problem?: string | null;
  message?: string | null;
}

export interface BridgeHttp {
  request(what: {
    method: string;
    path: string;
    /** Bytes, because the connection is binary; empty text ends a request that has none. */
    body: Uint8Array | '';
    headers: Record<string, string>;
  }): BridgeRequest;
}

/** Bytes to and from a socket, as they are. */
export interface BridgeChannel {
  send(bytes: Uint8Array): void;
  addEventListener(type: 'message', heard: (event: unknown, bytes: Uint8Array) => void): void;
  addEventListener(type: 'close', heard: (event: unknown, how: Ending) => void): void;
  close(): void;
}

export interface Bridge {
  channel(to: { payload: 'stream'; unix: string; binary: true }): BridgeChannel;
  http(socket: string, options: { binary: true }): BridgeHttp;
  user(): PromiseLike<{ name: string }>;
  /** The manifests of all pages, with what the administrator overrides in them. */
  manifests: Record<string, { socket?: unknown } | undefined>;
}

/** Bridges in Python have no code of their own for a socket that is not for this user; the kernel's is told. */
const NO_PERMISSION = /^\[Errno 13\]/;

export function unanswered(how: Ending): Unreachable {
  const isShut = how.problem === 'access-denied' || NO_PERMISSION.test(how.message ?? '');
  return isShut ? new NotLetIn(how) : new Unreachable(how);
}

declare global {
  var cockpit: Bridge;
}
