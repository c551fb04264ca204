// One pool: its GPUs, which of them are free, who has the others; and its changes.

import { useSignal } from '@preact/signals';
import * as cli from '../cli.ts';
import { openPutIntoPool, openRemovePool, openRenamePool, openTakeFromPool } from '../changes/pool-dialogs.tsx';
import { openWhole } from '../changes/whole-dialog.tsx';
import { count, number } from '../format.ts';
import { to } from '../router.ts';
import { gpus, pools } from '../store.ts';
import type { PoolGpu } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Gone, Page } from '../ui/page.tsx';
import { Table, type Column } from '../ui/table.tsx';

const UP = { to: to('pools'), text: 'Pools' };

const COLUMNS: Column<PoolGpu>[] = [
  { head: 'GPU', cell: (gpu) => (gpus.value.has(gpu.id) ? <a class="mono" href={to('gpus', gpu.id)}>{gpu.pci_address ?? gpu.id}</a> : <span class="mono">{gpu.id}</span>), by: (gpu) => gpu.pci_address ?? gpu.id },
  { head: 'State', cell: (gpu) => <State gpu={gpu} />, by: (gpu) => stateOf(gpu) },
  { head: 'VM', cell: (gpu) => gpu.vm && <a href={to('vms', gpu.vm)}>{gpu.vm_name ?? gpu.vm}</a>, by: (gpu) => gpu.vm_name ?? gpu.vm ?? '' },
  { head: 'Server', cell: (gpu) => gpu.server, by: (gpu) => gpu.server },
  { head: 'Model', cell: (gpu) => gpu.model, by: (gpu) => gpu.model ?? '', room: 'medium' },
  { head: 'NUMA node', cell: (gpu) => number(gpus.value.get(gpu.id)?.numa_node), by: (gpu) => gpus.value.get(gpu.id)?.numa_node ?? -1, isNumber: true, room: 'wide' },
];

const stateOf = ({ vm, free }: PoolGpu): string => (vm !== null ? 'assigned' : free ? 'free' : 'unknown');

/** Neither free nor a VM's: why, in the server's words. */
function State({ gpu }: { gpu: PoolGpu }) {
  const state = stateOf(gpu);
  if (state !== 'unknown') return <Badge word={state} />;
  return <><Badge word="not_free" /> <span class="hint">{gpu.pci_address === null ? 'it is not in its server' : gpus.value.get(gpu.id)?.reason}</span></>;
}

export function PoolPage({ id }: { id: string }) {
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const pool = pools.value.find((one) => one.name === id);
  if (!pool) return <Gone what="pool" up={UP} />;
  const free = pool.gpus.filter((gpu) => gpu.free).length;
  const taking = pool.gpus.filter((gpu) => chosen.value.has(gpu.id)).map((gpu) => gpu.id);
  const actions = (
    <>
      <button type="button" class="button primary" onClick={() => openWhole({ pool: id })}>Assign to a VM …</button>
      <button type="button" class="button" onClick={() => openPutIntoPool([], id)}>Add GPUs …</button>
      <button type="button" class="button" disabled={taking.length === 0} onClick={() => openTakeFromPool(id, taking)}>Take {taking.length > 0 ? count(taking.length, 'GPU') : ''} out …</button>
      <button type="button" class="button" onClick={() => openRenamePool(id)}>Rename …</button>
      <button type="button" class="button" onClick={() => openRemovePool(id)}>Remove …</button>
    </>
  );
  return (
    <Page title={`Pool ${id}`} up={UP} subtitle={`${number(free)} of ${count(pool.gpus.length, 'GPU')} free${pool.promised > 0 ? `, ${number(pool.promised)} promised to VMs at their start` : ''}`} actions={actions}>
      <Table
        caption={`GPUs of pool ${id}`} columns={COLUMNS} rows={pool.gpus} keyOf={(gpu) => gpu.id} empty={null}
        choosing={{ chosen, label: (gpu) => `GPU ${gpus.value.get(gpu.id)?.name ?? gpu.id}` }}
      />
      <SameOnCli command={cli.list('pool')} />
    </Page>
  );
}
