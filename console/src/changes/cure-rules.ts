// What stands in the way of a cure: partitions of the same GPU that are open, and where all are made again,
// those that are assigned too. Pure. The server decides.

import type { Partition } from '../types.ts';

export interface InTheWay {
  partition: Partition;
  /** Its VM has to be shut down; otherwise it is enough to unassign it. */
  isOpen: boolean;
}

export function inTheWay(siblings: readonly Partition[], id: string, remakeSiblings: boolean): InTheWay[] {
  const others = siblings.filter((one) => one.id !== id).map((partition) => ({ partition, isOpen: partition.state === 'in_use' }));
  return others.filter(({ partition, isOpen }) => isOpen || (remakeSiblings && partition.state === 'assigned'));
}
