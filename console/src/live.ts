// Keeps the copy of store.ts true while somebody is signed in:
//
//   connect ──▶ stream, from the last change that was seen ──▶ apply each change
//      ▲          │ 404: an older server,        │ reset: read everything
//      │          │ 503: too many streams        │
//      │          ▼                              ▼
//      │        events by long poll, and read everything after each
//      └── lost: wait a little longer each time, say so, connect again
//
// The stream is opened before everything is read, so that no change falls between the two.

import * as api from './api.ts';
import { who } from './credentials.ts';
import type { SentEvent } from './sse.ts';
import * as store from './store.ts';
import type { Gpu, Happening, Vm } from './types.ts';

/** The server says something every 15 s; a stream that is silent for longer is dead. */
const SILENCE_MS = 40_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const NEWEST_HAPPENINGS = 200;
/** How long a poll waits for an event: short where something is on its way, for a job tells no event of each step. */
const POLL_MS = { running: 700, seen: 4_000, hidden: 25_000 };
/** A list that is read whole is read again this long after the last word of a change of it. */
const SOON_MS = 150;

export async function readEverything(): Promise<void> {
  const [version, gpus, partitions, vms, pools, jobs, findings, happenings] = await Promise.all([
    api.version(), api.gpus(), api.partitions(), api.vms(), api.pools(), api.jobs(), api.findings(),
    api.newestHappenings(NEWEST_HAPPENINGS),
  ]);
  store.takeEverything({ version, gpus, partitions, vms, pools, jobs, findings, happenings });
}

/** Reads a short list again when it is quiet, for changes of it come in a row. */
function readSoon(read: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    clearTimeout(timer);
    // When nobody answers, the stream notices too and everything is read again.
    timer = setTimeout(() => read().catch(() => undefined), SOON_MS);
  };
}

/** A finding on its own says neither its place in the order nor its like. */
const readFindingsSoon = readSoon(async () => { store.findings.value = await api.findings(); });
/** The stream tells of GPUs and VMs, and of pools only through them. */
const readPoolsSoon = readSoon(async () => { store.pools.value = await api.pools(); });

const isPromised = (vm: Vm | null | undefined): boolean => vm?.assignment?.pool != null;

/** A GPU came, went, left its pool, entered one, or another has it now; or a VM is promised some. */
function concernsPools(type: string, id: string | number, value: unknown): boolean {
  if (type === 'event') return ['pooled', 'unpooled'].includes((value as Happening | null)?.code ?? '');
  if (type === 'vm') return isPromised(store.vms.value.get(String(id))) || isPromised(value as Vm | null);
  return type === 'gpu' && (store.pooled.value.has(String(id)) || (value as Gpu | null)?.pool != null);
}

async function apply(event: SentEvent): Promise<void> {
  if (event.type === 'reset') {
    // Said to whoever begins; everything was read after the stream was opened, and so after this was said.
    const isBeginning = (JSON.parse(event.data) as { reason?: string }).reason === 'beginning';
    return isBeginning ? undefined : readEverything();
  }
  const change = JSON.parse(event.data) as { kind: 'put' | 'gone'; id: string | number; value?: unknown };
  if (concernsPools(event.type, change.id, change.value ?? null)) readPoolsSoon();
  if (store.isKept(event.type)) {
    store.change(event.type, change.id, change.kind === 'put' ? change.value : null);
  } else if (event.type === 'finding') {
    readFindingsSoon();
  } else if (event.type === 'event' && change.kind === 'put') {
    store.takeHappenings([change.value as Happening]);
  }
}

let lastChange: string | null = null;

/** Follows the stream until it breaks. */
async function stream(signal: AbortSignal): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS);
  };
  try {
    const events = await api.changes(lastChange, AbortSignal.any([signal, silence.signal]), heard);
    if (lastChange === null || !store.isRead.value) await readEverything();
    store.connection.value = 'live';
    waitMs = FIRST_WAIT_MS;
    for await (const event of events) {
      await apply(event);
      if (event.id !== null) lastChange = event.id;
    }
  } finally {
    clearTimeout(timer);
    // Whatever broke, the stream does not stay open beside the next one.
    silence.abort();
  }
}

/** Follows the events of a server that has no stream, until it breaks. */
async function poll(signal: AbortSignal): Promise<void> {
  for (;;) {
    await readEverything();
    store.connection.value = 'polling';
    waitMs = FIRST_WAIT_MS;
    const newest = store.happenings.value[0]?.number ?? 0;
    const pace = store.runningJobs.value.length > 0 ? 'running' : document.hidden ? 'hidden' : 'seen';
    store.takeHappenings(await api.happeningsAfter(newest, POLL_MS[pace], signal));
  }
}

let waitMs = FIRST_WAIT_MS;

/** Waits before the next attempt, or until the browser says that the network is back. */
function pause(signal: AbortSignal): Promise<void> {
  const ms = waitMs;
  waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      window.removeEventListener('online', end);
      done();
    };
    const timer = setTimeout(end, ms);
    window.addEventListener('online', end);
    signal.addEventListener('abort', end, { once: true });
  });
}

async function follow(signal: AbortSignal): Promise<void> {
  let hasStream = true;
  while (!signal.aborted) {
    try {
      await (hasStream ? stream(signal) : poll(signal));
    } catch (error) {
      if (hasStream && error instanceof api.Refused && [404, 503].includes(error.problem.status ?? 0)) {
        hasStream = false;
        continue;
      }
      // Whatever it was, a page that stopped following would show what is not so any more.
      if (!(error instanceof api.Unreachable) && !(error instanceof api.Refused)) console.error(error);
    }
    if (signal.aborted || typeof who.value !== 'object') return;
    // The next server behind this address may be a newer one.
    hasStream = true;
    store.connection.value = 'lost';
    await pause(signal);
  }
}

/** Starts following; the answer ends it. */
export function startFollowing(): () => void {
  const ending = new AbortController();
  lastChange = null;
  waitMs = FIRST_WAIT_MS;
  store.connection.value = 'connecting';
  void follow(ending.signal);
  return () => {
    ending.abort();
    store.forgetEverything();
  };
}
