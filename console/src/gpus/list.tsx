// All GPUs of all servers.

import { useSignal } from '@preact/signals';
import * as cli from '../cli.ts';
import { openCount } from '../changes/count-dialog.tsx';
import { openPutIntoPool } from '../changes/pool-dialogs.tsx';
import { openWhole } from '../changes/whole-dialog.tsx';
import { bytes, count, number, numbers } from '../format.ts';
import { to } from '../router.ts';
import { gpuList, ownerOfWhole } from '../store.ts';
import type { Gpu } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, fits } from '../ui/filter.tsx';
import { Page } from '../ui/page.tsx';
import { Table, type Column } from '../ui/table.tsx';
import { NoGpu } from '../overview/page.tsx';

const COLUMNS: Column<Gpu>[] = [
  { head: 'GPU', cell: (gpu) => <a class="mono" href={to('gpus', gpu.id)}>{gpu.pci_address}</a>, by: (gpu) => gpu.name },
  { head: 'Server', cell: (gpu) => gpu.server, by: (gpu) => gpu.server },
  { head: 'Model', cell: (gpu) => gpu.model, by: (gpu) => gpu.model, isProse: true, room: 'medium' },
  { head: 'Mode', cell: (gpu) => <ModeOf gpu={gpu} />, by: (gpu) => gpu.mode },
  { head: 'Partitions', cell: (gpu) => <>{number(gpu.partition_count)}{gpu.sizes && ` (${gpu.sizes.join(',')})`}</>, by: (gpu) => gpu.partition_count ?? -1, isNumber: true },
  { head: 'Free', cell: (gpu) => number(gpu.free_partitions), by: (gpu) => gpu.free_partitions ?? -1, isNumber: true },
  { head: 'Memory', cell: (gpu) => bytes(gpu.memory_bytes), by: (gpu) => gpu.memory_bytes ?? -1, isNumber: true, room: 'medium' },
  { head: 'Each partition', cell: (gpu) => bytes(gpu.memory_per_partition_bytes), by: (gpu) => gpu.memory_per_partition_bytes ?? -1, isNumber: true, room: 'wide' },
  { head: 'Valid counts', cell: (gpu) => numbers(gpu.valid_partition_counts), room: 'wide' },
  { head: 'Pool', cell: (gpu) => gpu.pool && <a href={to('pools', gpu.pool)}>{gpu.pool}</a>, by: (gpu) => gpu.pool ?? '', room: 'wide' },
  { head: 'Findings', cell: (gpu) => number(gpu.findings), by: (gpu) => gpu.findings, isNumber: true, room: 'medium' },
];

/** With the VM that has it whole, if one has. */
export function ModeOf({ gpu }: { gpu: Gpu }) {
  const owner = ownerOfWhole.value.get(gpu.id);
  return <span class="together"><Badge word={gpu.mode} />{owner && <> <a href={to('vms', owner.id)}>{owner.name}</a></>}</span>;
}

export function GpuList() {
  const typed = useSignal('');
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const fitting = gpuList.value.filter((gpu) => fits(typed.value, gpu.name, gpu.id, gpu.model, gpu.mode, gpu.serial, gpu.pool));
  const many = chosen.value.size;
  const isEmpty = gpuList.value.length === 0;
  const actions = (
    <>
      <button type="button" class="button primary" disabled={isEmpty} onClick={() => openCount(many > 0 ? [...chosen.value] : undefined)}>{many > 0 ? `Set count of ${count(many, 'GPU')} …` : 'Set partition count …'}</button>
      <button type="button" class="button" disabled={isEmpty} onClick={() => openWhole({ gpus: [...chosen.value] })}>{many > 0 ? `Assign ${count(many, 'GPU')} whole …` : 'Assign whole …'}</button>
      <button type="button" class="button" disabled={isEmpty} onClick={() => openPutIntoPool([...chosen.value])}>{many > 0 ? `Put ${count(many, 'GPU')} into a pool …` : 'Put into a pool …'}</button>
    </>
  );
  return (
    <Page title="GPUs" actions={actions}>
      {gpuList.value.length > 0 && <Filter label="Find a GPU" text={typed} fitting={fitting.length} all={gpuList.value.length} />}
      <Table
        caption="GPUs" columns={COLUMNS} rows={fitting} keyOf={(gpu) => gpu.id}
        choosing={{ chosen, label: (gpu) => `GPU ${gpu.name}` }}
        empty={gpuList.value.length === 0 ? <NoGpu /> : <Empty title="No GPU fits."><p>Look at the search.</p></Empty>}
      />
      <SameOnCli command={cli.list('gpu')} />
    </Page>
  );
}
