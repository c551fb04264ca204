// All partitions of all servers.

import { useSignal } from '@preact/signals';
import * as cli from '../cli.ts';
import { openAssign } from '../changes/assign-dialog.tsx';
import { openCount } from '../changes/count-dialog.tsx';
import { openUnassign } from '../changes/unassign-dialog.tsx';
import { count, words } from '../format.ts';
import { route } from '../router.ts';
import { partitionList, partitions } from '../store.ts';
import type { Partition } from '../types.ts';
import { STATES } from '../ui/bar.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, Select, fits } from '../ui/filter.tsx';
import { Page } from '../ui/page.tsx';
import { Table } from '../ui/table.tsx';
import { partitionColumns } from './columns.tsx';

const COLUMNS = partitionColumns({ hasGpu: true });
/** Belongs to a VM, whether it runs or not. */
const TAKEN = 'taken';
const CHOICES: [string, string][] = [['', 'all'], [TAKEN, 'assigned or in use'], ...STATES.map((state): [string, string] => [state, words(state)])];

function hasState(one: Partition, wanted: string): boolean {
  if (wanted === '') return true;
  return wanted === TAKEN ? one.state === 'assigned' || one.state === 'in_use' : one.state === wanted;
}

export function PartitionList() {
  const typed = useSignal('');
  const state = useSignal(route.value.query.get('state') ?? '');
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const fitting = partitionList.value.filter((one) => hasState(one, state.value) && fits(typed.value, one.id, one.server, one.vm_name, one.vm));
  const withVm = [...new Set([...chosen.value].map((id) => partitions.value.get(id)?.vm).filter((vm) => vm != null))];
  const actions = (
    <>
      <button type="button" class="button primary" onClick={() => openAssign()}>Assign …</button>
      <button type="button" class="button" disabled={withVm.length === 0} onClick={() => openUnassign(withVm)}>Unassign {withVm.length > 0 ? count(withVm.length, 'VM') : ''} …</button>
    </>
  );
  return (
    <Page title="Partitions" actions={actions}>
      {partitionList.value.length > 0 && (
        <Filter label="Find a partition" text={typed} fitting={fitting.length} all={partitionList.value.length}>
          <Select label="State" value={state} choices={CHOICES} />
        </Filter>
      )}
      <Table
        caption="Partitions" columns={COLUMNS} rows={fitting} keyOf={(one) => one.id}
        choosing={{ chosen, label: (one) => `partition ${one.id}` }}
        empty={partitionList.value.length === 0 ? <NoPartition /> : <Empty title="No partition fits."><p>Look at the search and at the state.</p></Empty>}
      />
      <SameOnCli command={cli.list('partition')} />
    </Page>
  );
}

function NoPartition() {
  return (
    <Empty title="There are no partitions.">
      <p>No GPU is split yet. Set a partition count to make some.</p>
      <button type="button" class="button" onClick={() => openCount()}>Set partition count …</button>
    </Empty>
  );
}
