// All pools: how many GPUs each has, how many of them are free, and who has the others.

import { useSignal } from '@preact/signals';
import * as cli from '../cli.ts';
import { openPutIntoPool } from '../changes/pool-dialogs.tsx';
import { openWhole } from '../changes/whole-dialog.tsx';
import { havingOf } from '../changes/whole-rules.ts';
import { number } from '../format.ts';
import { to } from '../router.ts';
import { gpus, pools } from '../store.ts';
import type { Pool } from '../types.ts';
import { SameOnCli } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, fits } from '../ui/filter.tsx';
import { Page } from '../ui/page.tsx';
import { Table, type Column } from '../ui/table.tsx';

const free = (pool: Pool): number => pool.gpus.filter((gpu) => gpu.free).length;
const serversOf = (pool: Pool): string => [...new Set(pool.gpus.map((gpu) => gpu.server))].join(', ');
const modelsOf = (pool: Pool): string => [...new Set(pool.gpus.map((gpu) => gpu.model).filter((model) => model !== null))].join(', ');

const COLUMNS: Column<Pool>[] = [
  { head: 'Pool', cell: (pool) => <a href={to('pools', pool.name)}>{pool.name}</a>, by: (pool) => pool.name },
  { head: 'GPUs', cell: (pool) => number(pool.gpus.length), by: (pool) => pool.gpus.length, isNumber: true },
  { head: 'Free', cell: (pool) => number(free(pool)), by: free, isNumber: true },
  { head: 'Promised', cell: (pool) => number(pool.promised), by: (pool) => pool.promised, isNumber: true, room: 'medium' },
  { head: 'VMs', cell: (pool) => <Having pool={pool} />, isProse: true },
  { head: 'Servers', cell: serversOf, by: serversOf, room: 'medium' },
  { head: 'Models', cell: modelsOf, by: modelsOf, room: 'medium' },
];

function Having({ pool }: { pool: Pool }) {
  const vms = havingOf(pool.gpus);
  if (vms.length === 0) return <span class="hint">none</span>;
  return <>{vms.map((vm, nth) => <span key={vm.id}>{nth > 0 && ', '}<a href={to('vms', vm.id)}>{vm.name}</a></span>)}</>;
}

export function PoolList() {
  const typed = useSignal('');
  const all = pools.value;
  const fitting = all.filter((pool) => fits(typed.value, pool.name, serversOf(pool), modelsOf(pool), ...havingOf(pool.gpus).map((vm) => vm.name)));
  const actions = (
    <>
      <button type="button" class="button primary" disabled={gpus.value.size === 0} onClick={() => openPutIntoPool()}>Put GPUs into a pool …</button>
      <button type="button" class="button" disabled={all.length === 0} onClick={() => openWhole(all[0] ? { pool: all[0].name } : {})}>Assign from a pool …</button>
    </>
  );
  return (
    <Page title="Pools" actions={actions}>
      {all.length > 0 && <Filter label="Find a pool" text={typed} fitting={fitting.length} all={all.length} />}
      <Table caption="Pools" columns={COLUMNS} rows={fitting} keyOf={(pool) => pool.name} empty={all.length === 0 ? <NoPool /> : <Empty title="No pool fits."><p>Look at the search.</p></Empty>} />
      <SameOnCli command={cli.list('pool')} />
    </Page>
  );
}

function NoPool() {
  return (
    <Empty title="There is no pool.">
      <p>A pool keeps GPUs for VMs that take them whole, so that nobody has to choose one by name: a VM asks for so many of the pool and gets free ones of its own server. A GPU in a pool is not partitioned.</p>
      <button type="button" class="button" disabled={gpus.value.size === 0} onClick={() => openPutIntoPool()}>Make a pool …</button>
    </Empty>
  );
}
