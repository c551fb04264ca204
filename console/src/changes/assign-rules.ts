// Which VMs can get a partition, and why the others cannot: said before the server is asked, and as a reason
// beside each VM that is greyed out. Pure. The server decides.

import { count } from '../format.ts';
import type { Assignment, Gpu, Vm } from '../types.ts';

export interface Capacity {
  freeOfServer: ReadonlyMap<string, number>;
  /** Only partitions of this GPU. */
  gpu: Gpu | null;
}

export function freeFor(server: string, { freeOfServer, gpu }: Capacity): number {
  if (gpu === null) return freeOfServer.get(server) ?? 0;
  return gpu.server === server ? (gpu.free_partitions ?? 0) : 0;
}

/** `2 GPUs of pool ml`, of a VM that gets them at its start. */
export const claimOf = ({ pool, count: many }: Assignment): string => `${count(many ?? 1, 'GPU')} of pool ${pool}`;

/** A VM has one partition, or whole GPUs, or is promised some. */
export function hasAlready(assignment: Assignment): string {
  const { partition, gpus, pool } = assignment;
  if (pool != null && gpus.length === 0) return `is promised ${claimOf(assignment)} already`;
  return partition === null ? `has ${gpus.length === 1 ? `${gpus[0]} whole` : `${count(gpus.length, 'whole GPU')}`} already` : `has ${partition} already`;
}

export function whyNotVm(vm: Vm, capacity: Capacity): string | null {
  if (vm.assignment !== null) return hasAlready(vm.assignment);
  const { gpu } = capacity;
  if (gpu !== null && gpu.server !== vm.server) return `is on another server than the GPU`;
  if (freeFor(vm.server, capacity) === 0) {
    return gpu === null ? `no partition is free on server ${vm.server}` : 'no partition of the GPU is free';
  }
  return null;
}

/** What a partition shall have at least, out of what was typed in GiB; undefined: nothing was. */
export function memoryOf(text: string): { bytes: number | undefined } | { error: string } {
  const typed = text.trim();
  if (typed === '') return { bytes: undefined };
  return /^[1-9]\d{0,5}$/.test(typed) ? { bytes: Number(typed) * 2 ** 30 } : { error: 'Type a whole number of GiB, or nothing.' };
}

/** Servers that have fewer free partitions than VMs that were chosen for them. */
export function tooMany(chosen: readonly Vm[], capacity: Capacity): string[] {
  const wanted = new Map<string, number>();
  for (const vm of chosen) wanted.set(vm.server, (wanted.get(vm.server) ?? 0) + 1);
  return [...wanted]
    .filter(([server, many]) => many > freeFor(server, capacity))
    .map(([server, many]) => `${count(many, 'VM')} chosen on server ${server}, and ${count(freeFor(server, capacity), 'partition')} free.`);
}

/** As many of these as there are partitions for, in their order, besides those that are chosen already. */
export function asManyAsFit(vms: readonly Vm[], chosen: ReadonlySet<string>, all: ReadonlyMap<string, Vm>, capacity: Capacity): Set<string> {
  const next = new Set(chosen);
  const taken = new Map<string, number>();
  for (const id of chosen) {
    const server = all.get(id)?.server ?? '';
    taken.set(server, (taken.get(server) ?? 0) + 1);
  }
  for (const vm of vms) {
    const used = taken.get(vm.server) ?? 0;
    if (next.has(vm.id) || whyNotVm(vm, capacity) !== null || used >= freeFor(vm.server, capacity)) continue;
    next.add(vm.id);
    taken.set(vm.server, used + 1);
  }
  return next;
}
