// Jobs in words: what one does, and how far it is.

import { count } from '../format.ts';
import type { Job, JobTarget } from '../types.ts';

const list = new Intl.ListFormat('en', { type: 'conjunction' });
/** So many names are said, the others are counted. */
const NAMED = 3;

function named(names: string[]): string {
  const more = names.length - NAMED;
  return list.format(more > 0 ? [...names.slice(0, NAMED), `${more} more`] : names);
}

const wholeOf = (job: Job): string => count(job.targets.reduce((sum, one) => sum + one.gpus.length, 0), 'GPU');

/** It is about GPUs that are not picked. */
const isOfClaim = (job: Job): boolean => job.targets.every((one) => one.gpus.length === 0);

/** Begins in lower case, for the middle of a sentence. */
export function jobTitle(job: Job): string {
  const vms = job.targets.map((one) => one.vm_name ?? one.vm).filter((name) => name !== null);
  if (job.kind === 'assign') return `assign a partition to ${named(vms)}`;
  if (job.kind === 'unassign') return `unassign ${named(vms)}`;
  if (job.kind === 'assign_dda' && isOfClaim(job)) return `promise GPUs of a pool to ${named(vms)}`;
  if (job.kind === 'unassign_dda' && isOfClaim(job)) return `end the claim of ${named(vms)}`;
  if (job.kind === 'fill_claim') return `start ${named(vms)} with ${wholeOf(job)}`;
  if (job.kind === 'assign_dda') return `give ${wholeOf(job)} whole to ${named(vms)}`;
  if (job.kind === 'unassign_dda') return `take ${wholeOf(job)} back from ${named(vms)}`;
  if (job.kind === 'cure') return `cure ${named(job.targets.map((one) => (one.partition === null ? `GPU ${one.gpu}` : `partition ${one.partition}`)))}`;
  if (job.kind === 'set_partition_count') {
    const wish = job.targets[0]?.partition_count;
    const sizes = job.targets[0]?.sizes;
    const what = wish ? `${count(wish, 'partition')}${sizes ? ` (sizes ${sizes.join(',')})` : ''}` : 'no partitions';
    return `${what} on ${count(job.targets.length, 'GPU')}`;
  }
  return job.kind.replaceAll('_', ' ');
}

export const targetName = (target: JobTarget): string => target.vm_name ?? target.vm ?? target.gpu ?? target.server;

export interface HowFar {
  ended: number;
  failed: number;
  all: number;
}

export function howFar(job: Job): HowFar {
  const failed = job.targets.filter((one) => one.progress === 'failed').length;
  const running = job.targets.filter((one) => one.progress === 'running').length;
  return { ended: job.targets.length - running, failed, all: job.targets.length };
}
