// Every request of the console, one function each, and the two ways in which one goes wrong: the server
// refuses (Refused, with its problem document) or nobody answers (Unreachable). What is shown of it is not
// known here.

import { credentials, signedOut } from './credentials.ts';
import { sentEvents, type SentEvent } from './sse.ts';
import { fetchTransport, type Ask, type Reply, type Transport, Unreachable } from './transport.ts';
import type {
  Accepted, Explanation, Fault, Finding, Gpu, Happening, Job, Partition, Plan, Pool, Problem, Session, Version, Vm, Webhook,
  WebhookTest,
} from './types.ts';
import type { Usage } from './usage/types.ts';

export { Unreachable };

let transport: Transport = fetchTransport;

/** For a page that reaches the server in another way. */
export function useTransport(other: Transport): void {
  transport = other;
}

export class Refused extends Error {
  readonly problem: Problem;
  readonly retryAfter: number | null;

  constructor(problem: Problem, retryAfter: number | null = null) {
    super(problem.detail);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

function problemOf(reply: Reply): Problem {
  const told = (typeof reply.document === 'object' ? reply.document : null) as Partial<Problem> | null;
  return {
    status: reply.status,
    code: told?.code ?? 'bad_answer',
    detail: told?.detail ?? `the server answered with status ${reply.status} and said no more`,
    hint: told?.hint ?? null,
    findings: told?.findings ?? [],
  };
}

/** A long poll waits 25 s and usage some seconds; an answer that takes longer than this does not come any more. */
const ANSWER_MS = 60_000;

/** One answer, or nobody's in time: a page that waited for ever would show what is not so any more. */
async function answered(request: Ask): Promise<Reply> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ANSWER_MS);
  const signal = request.signal ? AbortSignal.any([request.signal, late.signal]) : late.signal;
  try {
    return await transport.send({ ...request, headers: { ...credentials(request.method), ...request.headers }, signal });
  } finally {
    clearTimeout(timer);
  }
}

async function reply(request: Ask): Promise<Reply> {
  const got = await answered(request);
  if (got.status === 401 && request.path !== SESSION) signedOut();
  if (got.status < 200 || got.status >= 300) throw new Refused(problemOf(got), got.retryAfter);
  return got;
}

async function ask<T>(request: Ask): Promise<T> {
  return (await reply(request)).document as T;
}

/** A whole list, page by page where the server gives it so. */
async function list<T>(first: string, signal?: AbortSignal): Promise<T[]> {
  let all: T[] = [];
  for (let path: string | null = first; path !== null;) {
    const page: Reply = await reply({ method: 'GET', path, ...(signal ? { signal } : {}) });
    all = all.concat(page.document as T[]);
    path = page.next;
  }
  return all;
}

const SESSION = '/v1/session';
const FAULTS = '/v1/sim/faults';

/** The last change that nobody answered: whether it was made is not known. */
let unanswered: { what: string; key: string } | null = null;

function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A change is sent under a key, and the same one again under the same key, so that it is made once. */
async function make(changing: Ask): Promise<Accepted> {
  const what = JSON.stringify(changing);
  const key = unanswered?.what === what ? unanswered.key : newKey();
  try {
    const accepted = await ask<Accepted>({ ...changing, headers: { 'idempotency-key': key } });
    unanswered = null;
    return accepted;
  } catch (error) {
    unanswered = error instanceof Unreachable ? { what, key } : null;
    throw error;
  }
}

const change = (path: string, body: object): Promise<Accepted> => make({ method: 'POST', path, body });

/** A name as one part of a path; one of dots alone would climb. */
function part(name: string): string {
  return /^\.+$/.test(name) ? '%2E'.repeat(name.length) : encodeURIComponent(name);
}

const get = <T>(path: string, signal?: AbortSignal): Promise<T> =>
  ask<T>(signal ? { method: 'GET', path, signal } : { method: 'GET', path });

export const version = (): Promise<Version> => get('/v1/version');
export const gpus = (): Promise<Gpu[]> => list('/v1/gpus');
export const partitions = (): Promise<Partition[]> => list('/v1/partitions');
/** A server that is older than pools has none. */
export const pools = (): Promise<Pool[]> => list<Pool>('/v1/pools').catch((error: unknown) => {
  if (error instanceof Refused && error.problem.code === 'no_such_route') return [];
  throw error;
});
export const vms = (): Promise<Vm[]> => list('/v1/vms');
export const findings = (): Promise<Finding[]> => list('/v1/check');
export const jobs = (): Promise<Job[]> => get('/v1/jobs');
export const job = (id: number): Promise<Job> => get(`/v1/jobs/${id}`);
/** Ends a running job where it stands; an older server has no such thing. */
export const cancelJob = (id: number): Promise<unknown> => ask({ method: 'POST', path: `/v1/jobs/${id}/cancel`, body: {} });
export const explain = (name: string): Promise<Explanation> => get(`/v1/explain/${part(name)}`);
/** What all GPUs use now, or one of them; it may take seconds. */
export const usage = (gpu: string | null, signal: AbortSignal): Promise<Usage[]> =>
  list(gpu === null ? '/v1/usage' : `/v1/usage?gpu=${encodeURIComponent(gpu)}`, signal);
export const newestHappenings = (limit: number): Promise<Happening[]> => get(`/v1/events?limit=${limit}`);
export const happeningsAfter = (after: number, waitMs: number, signal: AbortSignal): Promise<Happening[]> =>
  get(`/v1/events?after=${after}&wait_ms=${waitMs}&limit=1000`, signal);

/** What the GPUs shall be: a count, different sizes, or off. */
export type Wish = { count: number } | { sizes: number[] } | { off: true };

export interface CountRequest {
  gpus: string[];
  wish: Wish;
}

export interface AssignRequest {
  vms: string[];
  gpu: string | null;
  /** The least that each partition shall have. */
  memory_bytes?: number;
  accept: string[];
}

/** Whole GPUs for one VM: these, or so many of a pool. */
export interface WholeRequest {
  vm: string;
  wish: { gpus: string[] } | { pool: string; count: number; at_start: boolean };
  accept: string[];
}

export interface CureRequest {
  partition: string;
  remakeSiblings: boolean;
}

/** One at a time. */
export type PoolChange = { name: string } | { add: string[] } | { take: string[] };

export const setCounts = (request: CountRequest): Promise<Accepted> => change('/v1/partition-counts', countBody(request));
export const planCounts = (request: CountRequest): Promise<Plan> => plan('/v1/partition-counts', countBody(request));
export const assign = (request: AssignRequest): Promise<Accepted> => change('/v1/assignments', request);
export const planAssign = (request: AssignRequest): Promise<Plan> => plan('/v1/assignments', request);
export const unassign = (vmIds: string[]): Promise<Accepted> => change('/v1/unassignments', { vms: vmIds });
export const planUnassign = (vmIds: string[]): Promise<Plan> => plan('/v1/unassignments', { vms: vmIds });
export const assignWhole = (request: WholeRequest): Promise<Accepted> => change(whole(request.vm), wholeBody(request));
export const planWhole = (request: WholeRequest): Promise<Plan> => plan(whole(request.vm), wholeBody(request));
export const unassignWhole = (vm: string): Promise<Accepted> => make({ method: 'DELETE', path: whole(vm) });
export const planUnassignWhole = (vm: string): Promise<Plan> => ask({ method: 'DELETE', path: `${whole(vm)}?dry_run=true` });
export const cure = (request: CureRequest): Promise<Accepted> => change(curePath(request), cureBody(request));
export const planCure = (request: CureRequest): Promise<Plan> => plan(curePath(request), cureBody(request));
export const createPool = (name: string, ids: string[]): Promise<Accepted> => change('/v1/pools', { name, gpus: ids });
export const changePool = (pool: string, body: PoolChange): Promise<Accepted> => make({ method: 'PATCH', path: ofPool(pool), body });
export const removePool = (pool: string): Promise<Accepted> => make({ method: 'DELETE', path: ofPool(pool) });
/** In a simulated room only. */
export const power = (vm: string, on: boolean): Promise<Vm> =>
  ask({ method: 'POST', path: `/v1/sim/vms/${part(vm)}/power`, body: { on } });

/** Null where the server is older than webhooks. */
export const webhooks = (): Promise<Webhook[] | null> => get<Webhook[] | null>('/v1/webhooks').catch((error: unknown) => {
  if (error instanceof Refused && error.problem.code === 'no_such_route') return null;
  throw error;
});
export const testWebhook = (url: string): Promise<WebhookTest[]> => ask({ method: 'POST', path: '/v1/webhooks/test', body: { url } });

export const faults = (): Promise<Fault[]> => get(FAULTS);
export const causeFault = (fault: string): Promise<Fault[]> => ask({ method: 'POST', path: FAULTS, body: { fault } });
export const endFaults = (): Promise<Fault[]> => ask({ method: 'DELETE', path: FAULTS });

const countBody = ({ gpus: ids, wish }: CountRequest) => ({ gpus: ids, ...wish });
const whole = (vm: string): string => `/v1/vms/${part(vm)}/dda`;
const wholeBody = ({ wish, accept }: WholeRequest) => ({ ...wish, accept });
const curePath = ({ partition }: CureRequest): string => `/v1/partitions/${part(partition)}/cure`;
const cureBody = ({ remakeSiblings }: CureRequest) => ({ remake_siblings: remakeSiblings });
const ofPool = (pool: string): string => `/v1/pools/${part(pool)}`;
const plan = (path: string, body: object): Promise<Plan> =>
  ask({ method: 'POST', path, body: { ...body, dry_run: true } });

export const whoAmI = (): Promise<Session> => get(SESSION);
export const signIn = (by: { user: string; password: string } | { token: string }): Promise<Session> =>
  ask({ method: 'POST', path: SESSION, body: by });
export const endSession = (): Promise<unknown> => ask({ method: 'DELETE', path: SESSION });

/** Changes as they happen. A server that has no stream refuses with 404. */
export async function changes(
  after: string | null,
  signal: AbortSignal,
  onPiece: () => void,
): Promise<AsyncIterable<SentEvent>> {
  const headers = { ...credentials('GET'), ...(after === null ? {} : { 'last-event-id': after }) };
  const stream = await transport.open({ method: 'GET', path: '/v1/stream', headers, signal });
  if (stream.status === 401) signedOut();
  if (stream.status !== 200) {
    throw new Refused(problemOf({ status: stream.status, retryAfter: null, next: null, document: null }));
  }
  return sentEvents(stream.text, onPiece);
}
