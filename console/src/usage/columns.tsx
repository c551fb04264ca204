// What each partition of a GPU uses now, as columns of its table; none where nothing is told.

import type { Partition } from '../types.ts';
import type { Column } from '../ui/table.tsx';
import { Busy, Decoding, Encoding, Memory } from './figures.tsx';
import { usage } from './store.ts';

export function useOfPartitions(gpu: string): Column<Partition>[] {
  const told = new Map(usage.value.get(gpu)?.partitions.map((one) => [one.partition, one]));
  if (told.size === 0 || usage.value.get(gpu)?.reason !== null) return [];
  return [
    {
      head: 'Busy',
      cell: ({ id, index }) => { const one = told.get(id); return one && <Busy of={one} name={`Partition ${index}`} />; },
      by: ({ id }) => told.get(id)?.utilization_percent ?? -1,
      room: 'medium',
    },
    {
      head: 'Encoding',
      cell: ({ id, index }) => { const one = told.get(id); return one && <Encoding of={one} name={`Partition ${index}`} />; },
      by: ({ id }) => told.get(id)?.encoder_utilization_percent ?? -1,
      room: 'wide',
    },
    {
      head: 'Decoding',
      cell: ({ id, index }) => { const one = told.get(id); return one && <Decoding of={one} name={`Partition ${index}`} />; },
      by: ({ id }) => told.get(id)?.decoder_utilization_percent ?? -1,
      room: 'wide',
    },
    {
      head: 'Memory used',
      cell: ({ id, index }) => { const one = told.get(id); return one && <Memory of={one} name={`Partition ${index}`} />; },
      by: ({ id }) => told.get(id)?.memory_used_bytes ?? -1,
      room: 'medium',
    },
  ];
}
