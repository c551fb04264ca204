// Which GPUs can be given whole, and why the others cannot: said before the server is asked, and beside each
// GPU that is greyed out. Pure. The server decides.

import { count } from '../format.ts';
import type { Gpu, Pool, PoolGpu, Vm } from '../types.ts';
import { hasAlready } from './assign-rules.ts';

/** The driver that hands a whole GPU to a VM. */
const HANDS_OVER = 'vfio-pci';
const MOST_OF_POOL = 65_535;

/** Whole and split exclude each other. */
function whySplit(gpu: Gpu): string | null {
  return gpu.partition_count ? `it is split into ${count(gpu.partition_count, 'partition')}, and a GPU is used whole or split, never both` : null;
}

export function whyNotWhole(gpu: Gpu, owner: { name: string } | undefined, inPool: PoolGpu | undefined): string | null {
  if (owner !== undefined) return `VM ${owner.name} has it whole`;
  const split = whySplit(gpu);
  if (split !== null) return split;
  const isTaken = inPool === undefined ? gpu.mode === 'dda' && gpu.driver === HANDS_OVER : !inPool.free;
  return isTaken || gpu.mode === 'unknown' || gpu.mode === 'not_assignable' ? (gpu.reason ?? 'it cannot be given now') : null;
}

/** `pool`: which it shall enter, or null for a new one. */
export function whyNotPooled(gpu: Gpu, pool: string | null): string | null {
  if (gpu.pool != null) return gpu.pool === pool ? 'it is in this pool already' : `it is in pool ${gpu.pool}, and a GPU is in one pool at most`;
  return whySplit(gpu) ?? (gpu.mode === 'unknown' ? (gpu.reason ?? 'it does not answer') : null);
}

export function whyNotVmWhole(vm: Vm): string | null {
  return vm.assignment === null ? null : hasAlready(vm.assignment);
}

/** A count as it was typed; null for what is none. */
export function countOf(text: string): number | null {
  const number = /^\d{1,5}$/.test(text.trim()) ? Number(text) : 0;
  return number >= 1 && number <= MOST_OF_POOL ? number : null;
}

export const freeOfPool = (pool: Pool, server: string): number => pool.gpus.filter((gpu) => gpu.server === server && gpu.free).length;

/** What is picked at the start need not be free now, but has to be there. */
export function tooFewThere(pool: Pool, vm: Vm, wanted: number): string | null {
  const here = pool.gpus.filter((gpu) => gpu.server === vm.server).length;
  return here >= wanted ? null : `Pool ${pool.name} has ${count(here, 'GPU')} on server ${vm.server}, where VM ${vm.name} is, and ${wanted} are wanted.`;
}

/** A pool has GPUs of all servers, and a VM gets those of its own. */
export function tooFew(pool: Pool, vm: Vm, wanted: number): string | null {
  const here = freeOfPool(pool, vm.server);
  if (here >= wanted) return null;
  const others = [...new Set(pool.gpus.filter((gpu) => gpu.free && gpu.server !== vm.server).map((gpu) => gpu.server))];
  const elsewhere = others.map((server) => `${count(freeOfPool(pool, server), 'free GPU')} on ${server}`).join(', ');
  return `Pool ${pool.name} has ${count(here, 'free GPU')} on server ${vm.server}, where VM ${vm.name} is, and ${wanted} are wanted.${elsewhere === '' ? '' : ` It has ${elsewhere}.`}`;
}

/** Why that cannot be the name of a new pool. */
export function whyNotName(name: string, pools: readonly Pool[]): string | null {
  if (name === '') return 'A pool needs a name.';
  if (!/^[\w.-]+$/.test(name)) return 'Only letters without accents, digits, dashes, dots and underscores.';
  if (name.length > 128) return 'At most 128 characters.';
  return pools.some((pool) => pool.name === name) ? `There is a pool called ${name} already.` : null;
}

/** VMs that have GPUs of a pool, so that these cannot leave it. */
export function havingOf(gpus: readonly PoolGpu[]): { id: string; name: string }[] {
  const taken = gpus.filter((gpu) => gpu.vm !== null);
  return [...new Map(taken.map((gpu) => [gpu.vm as string, gpu.vm_name ?? (gpu.vm as string)]))].map(([id, name]) => ({ id, name }));
}
