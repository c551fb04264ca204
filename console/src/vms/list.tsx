// All VMs of all servers, with what they have.

import { useSignal } from '@preact/signals';
import * as cli from '../cli.ts';
import { openAssign } from '../changes/assign-dialog.tsx';
import { claimOf } from '../changes/assign-rules.ts';
import { openUnassign } from '../changes/unassign-dialog.tsx';
import { openWhole } from '../changes/whole-dialog.tsx';
import { count, number, system } from '../format.ts';
import { to } from '../router.ts';
import { gpus, servers, vmList, vms } from '../store.ts';
import type { Vm } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, Select, fits } from '../ui/filter.tsx';
import { Page } from '../ui/page.tsx';
import { Table, type Column } from '../ui/table.tsx';

const COLUMNS: Column<Vm>[] = [
  { head: 'VM', cell: (vm) => <a href={to('vms', vm.id)}>{vm.name}</a>, by: (vm) => vm.name },
  { head: 'Server', cell: (vm) => vm.server, by: (vm) => vm.server },
  { head: 'Power', cell: (vm) => <Badge word={vm.power} />, by: (vm) => vm.power },
  { head: 'Has', cell: (vm) => <Has vm={vm} />, by: (vm) => vm.assignment?.partition ?? vm.assignment?.gpu ?? vm.assignment?.pool ?? '' },
  { head: 'Guest OS', cell: (vm) => system(vm.guest_os), by: (vm) => system(vm.guest_os), room: 'medium' },
  { head: 'Findings', cell: (vm) => number(vm.findings), by: (vm) => vm.findings, isNumber: true, room: 'medium' },
  { head: 'Id', cell: (vm) => <span class="mono">{vm.id}</span>, room: 'wide' },
];

function Has({ vm }: { vm: Vm }) {
  const { assignment } = vm;
  if (assignment === null) return <span class="hint">nothing</span>;
  const { pool } = assignment;
  if (pool != null && assignment.gpus.length === 0) return <>{claimOf(assignment)} <span class="hint">at its start</span></>;
  return assignment.partition === null
    ? <>{assignment.gpus.map((id, nth) => <span key={id}>{nth > 0 && ', '}<a class="mono" href={to('gpus', id)}>{gpus.value.get(id)?.pci_address ?? id}</a></span>)} <span class="hint">whole{pool != null && `, of ${pool} while it runs`}</span></>
    : <a href={to('partitions', assignment.partition)}><span class="mono">{gpus.value.get(assignment.gpu ?? '')?.pci_address ?? assignment.gpu}</span> / {assignment.partition.split('.').at(-1)}</a>;
}

const HAVING: [string, string][] = [['', 'all'], ['partition', 'a partition'], ['dda', 'whole GPUs'], ['nothing', 'nothing']];

export function VmList() {
  const typed = useSignal('');
  const having = useSignal('');
  const server = useSignal('');
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const fitting = vmList.value.filter((vm) => (
    (server.value === '' || vm.server === server.value)
    && (having.value === '' || (vm.assignment?.kind ?? 'nothing') === having.value)
    && fits(typed.value, vm.name, vm.server, vm.id, vm.assignment?.partition ?? null, vm.assignment?.pool ?? null, ...(vm.assignment?.gpus ?? []))
  ));
  const known = [...chosen.value].map((id) => vms.value.get(id)).filter((vm) => vm !== undefined);
  const without = known.filter((vm) => vm.assignment === null).map((vm) => vm.id);
  const withOne = known.filter((vm) => vm.assignment !== null).map((vm) => vm.id);
  const actions = (
    <>
      <button type="button" class="button primary" onClick={() => openAssign(without)}>Assign {without.length > 0 ? `to ${count(without.length, 'VM')}` : ''} …</button>
      <button type="button" class="button" disabled={without.length > 1} onClick={() => openWhole(without[0] === undefined ? {} : { vm: without[0] })}>Assign whole GPUs …</button>
      <button type="button" class="button" disabled={withOne.length === 0} onClick={() => openUnassign(withOne)}>Unassign {withOne.length > 0 ? count(withOne.length, 'VM') : ''} …</button>
    </>
  );
  return (
    <Page title="VMs" actions={actions}>
      {vmList.value.length > 0 && (
        <Filter label="Find a VM" text={typed} fitting={fitting.length} all={vmList.value.length}>
          {servers.value.length > 1 && <Select label="Server" value={server} choices={[['', 'all'], ...servers.value.map((name): [string, string] => [name, name])]} />}
          <Select label="Has" value={having} choices={HAVING} />
        </Filter>
      )}
      <Table
        caption="VMs" columns={COLUMNS} rows={fitting} keyOf={(vm) => vm.id} choosing={{ chosen, label: (vm) => `VM ${vm.name} on ${vm.server}` }}
        empty={vmList.value.length === 0 ? <NoVm /> : <Empty title="No VM fits."><p>Look at the search and at the filters.</p></Empty>}
      />
      <SameOnCli command={cli.list('vm')} />
    </Page>
  );
}

function NoVm() {
  return (
    <Empty title="There are no VMs.">
      <p>Divvy shows the VMs that libvirt knows. Look whether libvirt runs (<code>systemctl status libvirtd virtqemud</code>) and knows any (<code>virsh list --all</code>); the <a href={to('checks')}>checks</a> say when it does not answer.</p>
    </Empty>
  );
}
