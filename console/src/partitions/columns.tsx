// The columns of partitions, for the list of all of them and for those of one GPU.

import { bytes, number } from '../format.ts';
import { to } from '../router.ts';
import { gpus } from '../store.ts';
import type { Partition } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import type { Column } from '../ui/table.tsx';

const OF_GPU: Column<Partition>[] = [
  { head: 'GPU', cell: (one) => <a class="mono" href={to('gpus', one.gpu)}>{gpus.value.get(one.gpu)?.pci_address ?? one.gpu}</a>, by: (one) => one.gpu },
  { head: 'Server', cell: (one) => one.server, by: (one) => one.server },
];

const OWN: Column<Partition>[] = [
  { head: 'State', cell: (one) => <Badge word={one.state} />, by: (one) => one.state },
  { head: 'VM', cell: (one) => one.vm && <a href={to('vms', one.vm)}>{one.vm_name ?? one.vm}</a>, by: (one) => one.vm_name ?? one.vm ?? '' },
  { head: 'Memory', cell: (one) => bytes(one.memory_bytes), by: (one) => one.memory_bytes ?? -1, isNumber: true, room: 'medium' },
  { head: 'Reason', cell: (one) => one.reason, isProse: true, room: 'medium' },
];

export function partitionColumns({ hasGpu }: { hasGpu: boolean }): Column<Partition>[] {
  const index: Column<Partition> = {
    head: 'Partition',
    cell: (one) => <a class="mono" href={to('partitions', one.id)}>{hasGpu ? one.id : number(one.index)}</a>,
    by: (one) => (hasGpu ? one.id : one.index),
  };
  return [index, ...(hasGpu ? OF_GPU : []), ...OWN];
}
