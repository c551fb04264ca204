// How bytes come and go, as an interface: in a browser by fetch, in a page of Cockpit by its bridge. What
// is asked for and what an answer means is not known here.

export interface Ask {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
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

function nextOf(response: Response): string | null {
  return /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers.get('link') ?? '')?.[1] ?? null;
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
    const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
    let document: unknown = null;
    try {
      const text = await response.text();
      document = text === '' ? null : JSON.parse(text);
    } catch (cause) {
      // A body that broke off is a lost connection; one that is no JSON is no document.
      if (!(cause instanceof SyntaxError)) throw new Unreachable(cause);
    }
    return {
      status: response.status,
      retryAfter: Number.isFinite(retryAfter) ? retryAfter : null,
      next: nextOf(response),
      document,
    };
  },

  async open(ask) {
    const response = await fetched({ ...ask, headers: { accept: 'text/event-stream', ...ask.headers } });
    return { status: response.status, text: pieces(response) };
  },
};
