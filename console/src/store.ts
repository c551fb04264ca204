// What this page knows of the servers: a copy of the API's documents, kept up to date by live.ts, and what
// follows from them. Changes are gathered and shown together, so that a hundred of them redraw once.

import { batch, computed, signal } from '@preact/signals';
import { inOrder, naturally } from './order.ts';
import type { Finding, Gpu, Happening, Job, Partition, Pool, Version, Vm } from './types.ts';

/** Most happenings that are kept; older ones are read when they are asked for. */
const KEPT_HAPPENINGS = 1000;

export const version = signal<Version | null>(null);
export const gpus = signal<ReadonlyMap<string, Gpu>>(new Map());
export const partitions = signal<ReadonlyMap<string, Partition>>(new Map());
export const vms = signal<ReadonlyMap<string, Vm>>(new Map());
/** By name. */
export const pools = signal<readonly Pool[]>([]);
export const jobs = signal<ReadonlyMap<number, Job>>(new Map());
export const findings = signal<readonly Finding[]>([]);
/** The newest first. */
export const happenings = signal<readonly Happening[]>([]);
/** Everything was read at least once. */
export const isRead = signal(false);

export type Connection = 'connecting' | 'live' | 'polling' | 'lost';
export const connection = signal<Connection>('connecting');

export interface Everything {
  version: Version;
  gpus: Gpu[];
  partitions: Partition[];
  vms: Vm[];
  pools: Pool[];
  jobs: Job[];
  findings: Finding[];
  happenings: Happening[];
}

function byId<K, T extends { id: K }>(list: T[]): Map<K, T> {
  return new Map(list.map((one) => [one.id, one]));
}

export function takeEverything(all: Everything): void {
  gathered.clear();
  batch(() => {
    version.value = all.version;
    gpus.value = byId(all.gpus);
    partitions.value = byId(all.partitions);
    vms.value = byId(all.vms);
    pools.value = all.pools;
    jobs.value = byId(all.jobs);
    findings.value = all.findings;
    takeHappenings(all.happenings);
    isRead.value = true;
  });
}

/** Somebody else signs in next, and shall not see what the last one saw. */
export function forgetEverything(): void {
  gathered.clear();
  batch(() => {
    version.value = null;
    gpus.value = new Map();
    partitions.value = new Map();
    vms.value = new Map();
    pools.value = [];
    jobs.value = new Map();
    findings.value = [];
    happenings.value = [];
    isRead.value = false;
    connection.value = 'connecting';
  });
}

export function takeHappenings(more: Happening[]): void {
  const known = new Set(happenings.value.map((one) => one.number));
  const fresh = more.filter((one) => !known.has(one.number));
  if (fresh.length === 0) return;
  const all = [...fresh, ...happenings.value].sort((one, two) => two.number - one.number);
  happenings.value = all.slice(0, KEPT_HAPPENINGS);
}

/** A job out of an answer; one that is known already may be newer, for the stream goes another way. */
export function takeJob(job: Job): void {
  if (!jobs.value.has(job.id)) jobs.value = new Map(jobs.value).set(job.id, job);
}

const KEPT = { gpu: gpus, partition: partitions, vm: vms, job: jobs } as const;
export type Kept = keyof typeof KEPT;

export function isKept(kind: string): kind is Kept {
  return Object.hasOwn(KEPT, kind);
}

/** Changes that are not shown yet; null for what is gone. */
const gathered = new Map<Kept, Map<string | number, unknown>>();
let willShow = false;

export function change(kind: Kept, id: string | number, value: unknown): void {
  const key = kind === 'job' ? Number(id) : id;
  const ofKind = gathered.get(kind) ?? new Map<string | number, unknown>();
  gathered.set(kind, ofKind.set(key, value));
  if (willShow) return;
  willShow = true;
  // A page that is not seen gets no frames, and its copy has to follow all the same.
  if (document.hidden) setTimeout(show, 100);
  else requestAnimationFrame(show);
}

function show(): void {
  willShow = false;
  batch(() => {
    for (const [kind, changes] of gathered) {
      const kept = KEPT[kind] as { value: ReadonlyMap<string | number, unknown> };
      const next = new Map(kept.value);
      for (const [id, value] of changes) {
        if (value === null) next.delete(id);
        else next.set(id, value);
      }
      kept.value = next;
    }
  });
  gathered.clear();
}

function grouped<T>(list: Iterable<T>, by: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const group = groups.get(by(one));
    if (group) group.push(one);
    else groups.set(by(one), [one]);
  }
  return groups;
}

/** In the order of their lists; put in order once for all pages that show them. */
export const gpuList = computed(() => inOrder(gpus.value.values(), (gpu) => gpu.name));
export const partitionList = computed(() => inOrder(partitions.value.values(), (one) => `${one.server} ${one.id}`));
export const vmList = computed(() => inOrder(vms.value.values(), (vm) => `${vm.server} ${vm.name}`));

export const partitionsOfGpu = computed(() => {
  const groups = grouped(partitions.value.values(), (one) => one.gpu);
  for (const group of groups.values()) group.sort((one, two) => one.index - two.index);
  return groups;
});

export const gpusOfServer = computed(() => {
  const groups = grouped(gpus.value.values(), (one) => one.server);
  for (const group of groups.values()) {
    group.sort((one, two) => naturally(one.pci_address, two.pci_address));
  }
  return groups;
});

export const vmsOfServer = computed(() => grouped(vms.value.values(), (one) => one.server));

/** Which VM has a GPU whole, by Divvy's hand. */
export const ownerOfWhole = computed(() => {
  const owners = new Map<string, Vm>();
  for (const vm of vms.value.values()) {
    if (vm.assignment?.kind === 'dda') for (const gpu of vm.assignment.gpus) owners.set(gpu, vm);
  }
  return owners;
});

/** GPUs that are in a pool, as their pool has them. */
export const pooled = computed(() => new Map(pools.value.flatMap((pool) => pool.gpus.map((gpu) => [gpu.id, gpu] as const))));

const vmsOfName = computed(() => grouped(vms.value.values(), (vm) => vm.name));

/** What a command line calls a VM: its name where no other has it, else its id. */
export function plainName(vm: { id: string; name: string }): string {
  return vmsOfName.value.get(vm.name)?.length === 1 ? vm.name : vm.id;
}

/** Every server that has a GPU or a VM, in the order in which people read names. */
export const servers = computed(() => {
  const names = new Set([...gpusOfServer.value.keys(), ...vmsOfServer.value.keys()]);
  return [...names].sort(naturally);
});

/** The newest first. */
export const jobList = computed(() => [...jobs.value.values()].sort((one, two) => two.id - one.id));
export const runningJobs = computed(() => jobList.value.filter((job) => job.progress === 'running'));

export interface Tally {
  total: number;
  free: number;
  /** Belong to a VM. */
  assigned: number;
  /** Neither: on the way back, quarantined, unknown. */
  other: number;
}

export function tally(list: Iterable<Partition>): Tally {
  const sum: Tally = { total: 0, free: 0, assigned: 0, other: 0 };
  for (const one of list) {
    sum.total += 1;
    if (one.state === 'free') sum.free += 1;
    else if (one.state === 'assigned' || one.state === 'in_use') sum.assigned += 1;
    else sum.other += 1;
  }
  return sum;
}

export const tallyOfAll = computed(() => tally(partitions.value.values()));

/** Free partitions of each server. */
export const freeOfServer = computed(() => {
  const free = new Map<string, number>();
  for (const one of partitions.value.values()) {
    if (one.state === 'free') free.set(one.server, (free.get(one.server) ?? 0) + 1);
  }
  return free;
});

/** Worse first, as the server lists them; what is good to know is no call for attention. */
export const attention = computed(() => findings.value.filter((one) => one.severity !== 'info'));
