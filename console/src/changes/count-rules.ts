// What may be said about a choice of GPUs before the server is asked: which of them belong together, what
// the choice warns of, what stops it. Pure, so that a test can try every case. The server decides; this is
// so that nobody has to ask it in vain.

import { count } from '../format.ts';
import type { Gpu, Partition } from '../types.ts';

/** GPUs that are alike: same maker, model, memory and count. */
export interface GpuSet {
  key: string;
  label: string;
  gpus: Gpu[];
}

export interface Judgement {
  errors: string[];
  warnings: string[];
  /** Counts that every chosen GPU can be split into. */
  counts: number[];
  /** Every chosen GPU takes partitions of different sizes. */
  takesSizes: boolean;
  /** VMs that have a partition of a chosen GPU. */
  inTheWay: { id: string; name: string }[];
}

/** Why a GPU cannot be chosen at all. */
export function whyNot(gpu: Gpu): string | null {
  if (gpu.pool != null) return `it is in pool ${gpu.pool}, whose GPUs are given whole`;
  if (gpu.mode === 'partitioned' || gpu.mode === 'partitionable') {
    return gpu.valid_partition_counts.length > 0 ? null : 'it has no valid partition count';
  }
  return gpu.reason ?? `it is ${gpu.mode.replaceAll('_', ' ')}`;
}

/** The largest first. */
export function sets(gpus: readonly Gpu[]): GpuSet[] {
  const found = new Map<string, GpuSet>();
  for (const gpu of gpus) {
    if (whyNot(gpu) !== null) continue;
    const sizes = gpu.sizes ? ` (${gpu.sizes.join(',')})` : '';
    const key = [gpu.vendor, gpu.model, gpu.memory_bytes, gpu.partition_count, sizes].join('|');
    const many = gpu.partition_count ? `split into ${gpu.partition_count}${sizes}` : 'not split';
    const set = found.get(key) ?? { key, label: `${gpu.model}, ${many}`, gpus: [] };
    set.gpus.push(gpu);
    found.set(key, set);
  }
  return [...found.values()].sort((one, two) => two.gpus.length - one.gpus.length);
}

/** The set that is chosen for a start: all GPUs, where all are alike. */
export function homogeneousSet(gpus: readonly Gpu[]): Gpu[] | null {
  const all = sets(gpus);
  return all.length === 1 ? (all[0]?.gpus ?? null) : null;
}

/** No server takes more. */
const MOST_SIZES = 8;

/** Sizes as they are typed, the largest first; or why they are none. Whether they fit together the server says. */
export function sizesOf(text: string, counts: readonly number[]): { sizes: number[] } | { error: string } | null {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  if (words.length === 0) return null;
  const wrong = words.find((word) => !/^\d+$/.test(word) || !counts.includes(Number(word)));
  if (wrong !== undefined) return { error: `${wrong} is no size of these GPUs: a size is one of ${counts.join(', ')}.` };
  if (words.length > MOST_SIZES) return { error: `No GPU has more than ${MOST_SIZES} partitions of different sizes.` };
  return { sizes: words.map(Number).sort((one, two) => one - two) };
}

/** So many are named, the others are counted. */
const NAMED = 8;

function named(vms: readonly { name: string }[]): string {
  const names = vms.slice(0, NAMED).map((vm) => vm.name).join(', ');
  return vms.length > NAMED ? `${names} and ${vms.length - NAMED} more` : names;
}

/** What each of so many partitions has; null where nobody tells. */
export const eachHas = (gpu: Gpu, parts: number): number | null =>
  gpu.memory_by_count.find((one) => one.partition_count === parts)?.memory_per_partition_bytes ?? null;

function commonCounts(chosen: readonly Gpu[]): number[] {
  const [first, ...rest] = chosen;
  return (first?.valid_partition_counts ?? []).filter((one) => rest.every((gpu) => gpu.valid_partition_counts.includes(one)));
}

export function judge(
  chosen: readonly Gpu[],
  all: readonly Gpu[],
  partitionsOf: (gpu: string) => readonly Partition[],
): Judgement {
  const errors: string[] = [];
  const warnings: string[] = [];
  const counts = commonCounts(chosen);
  const models = new Set(chosen.map((gpu) => `${gpu.vendor} ${gpu.model}`));
  if (models.size > 1) {
    errors.push(`The choice mixes models: ${[...models].join(', ')}. Set one model at a time.`);
  } else if (chosen.length > 0 && counts.length === 0) {
    errors.push('The chosen GPUs have no valid partition count in common.');
  }
  const taken = chosen.flatMap((gpu) => partitionsOf(gpu.id)).filter((one) => one.vm !== null);
  const inTheWay = [...new Map(taken.map((one) => [one.vm as string, one.vm_name ?? (one.vm as string)]))]
    .map(([id, name]) => ({ id, name }));
  if (inTheWay.length > 0) {
    errors.push(`${count(inTheWay.length, 'VM')} ${inTheWay.length === 1 ? 'has' : 'have'} partitions of the chosen GPUs. Unassign first: ${named(inTheWay)}.`);
  }
  warnings.push(...warningsOf(chosen, all));
  const takesSizes = chosen.length > 0 && chosen.every((gpu) => gpu.takes_sizes === true);
  return { errors, warnings, counts, takesSizes, inTheWay };
}

function warningsOf(chosen: readonly Gpu[], all: readonly Gpu[]): string[] {
  const warnings: string[] = [];
  const can = all.filter((gpu) => whyNot(gpu) === null);
  if (sets(all).length > 1) {
    warnings.push('The servers do not all have the same GPU configuration. Choose a set of the same configuration.');
  }
  const first = chosen[0];
  if (first) {
    const alike = can.filter((gpu) => gpu.vendor === first.vendor && gpu.model === first.model);
    const isChosen = new Set(chosen);
    const left = alike.filter((gpu) => !isChosen.has(gpu));
    if (left.length > 0) {
      warnings.push(`${count(left.length, 'GPU')} of the same model ${left.length === 1 ? 'is' : 'are'} not chosen. Partition counts may differ between servers then, which is not recommended: a VM may find no like partition elsewhere.`);
    }
  }
  if (new Set(chosen.map((gpu) => gpu.memory_bytes)).size > 1) {
    warnings.push('The chosen GPUs differ in memory, so their partitions will too.');
  }
  return warnings;
}
