// How bytes come and go, as an interface: in a browser by fetch, in a page of Cockpit by its bridge. What
// is asked for and what an answer means is not known here.

export interface Ask {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface Reply {
  status: number;
  /** Seconds to wait before asking again, where the server says so. */
  retryAfter: number | null;
  /** Where a list goes on, if it does. */
  next: string | null;
  /** The document, or null where the answer is none. */
  document: unknown;
}

export interface Stream {
  status: number;
  /** Pieces of the text as they arrive. */
  text: AsyncIterable<string>;
}

export interface Transport {
  send(ask: Ask): Promise<Reply>;
  /** An answer that goes on. It is read piece by piece, so that whoever reads sets the pace. */
  open(ask: Ask): Promise<Stream>;
}

/** Nobody answered. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super('the server does not answer', { cause });
  }
}

/** Nobody could answer, for the socket is not for this user. */
export class NotLetIn extends Unreachable {}

async function fetched(ask: Ask): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json', ...ask.headers };
  const init: RequestInit = { method: ask.method, headers, credentials: 'same-origin', cache: 'no-store' };
  if (ask.body !== undefined) {
    headers['content-type'] = 'application/json';
    init.body = JSON.stringify(ask.body);
  }
  if (ask.signal) init.signal = ask.signal;
  try {
    return await fetch(ask.path, init);
  } catch (cause) {
    throw new Unreachable(cause);
  }
}

/** What an answer means, whichever way it came. */
export function replyOf(status: number, header: (name: string) => string | null, text: string): Reply {
  const retryAfter = Number(header('retry-after') ?? Number.NaN);
  return {
    status,
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : null,
    next: /<([^>]+)>\s*;\s*rel="?next"?/.exec(header('link') ?? '')?.[1] ?? null,
    document: documentOf(text),
  };
}

function documentOf(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    // What is no JSON is no document.
    return null;
  }
}

async function* pieces(response: Response): AsyncIterable<string> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (cause) {
    throw new Unreachable(cause);
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

export const fetchTransport: Transport = {
  async send(ask) {
    const response = await fetched(ask);
    try {
      return replyOf(response.status, (name) => response.headers.get(name), await response.text());
    } catch (cause) {
      // A body that broke off.
      throw new Unreachable(cause);
    }
  },

  async open(ask) {
    const response = await fetched({ ...ask, headers: { accept: 'text/event-stream', ...ask.headers } });
    return { status: response.status, text: pieces(response) };
  },
};
