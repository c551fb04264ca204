// Taking partitions back from VMs: which ones, what becomes of those that run, and a last look before it.

import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { count } from '../format.ts';
import { plainName, vms } from '../store.ts';
import { Badge } from '../ui/badge.tsx';
import { Dialog, openDialog } from '../ui/dialog.tsx';
import { Notice } from '../ui/problem.tsx';
import { ChangeActions, PlanBox, usePlan, useSending } from './plan.tsx';

export function openUnassign(ids: readonly string[]): void {
  openDialog(() => <UnassignDialog ids={ids} />);
}

function UnassignDialog({ ids }: { ids: readonly string[] }) {
  // A VM that is gone may still have its partition, and is known by its id only.
  const list = ids.map((id) => vms.value.get(id) ?? { id, name: id, server: '', power: 'unknown' as const, assignment: null });
  const request = list.map((vm) => vm.id);
  const running = list.filter((vm) => vm.power !== 'off');
  const planned = usePlan(JSON.stringify(request), () => api.planUnassign(request));
  const sending = useSending(() => api.unassign(request));
  const isReady = planned.problem === null;
  return (
    <Dialog
      title={list.length === 1 ? `Unassign ${list[0]?.name}` : `Unassign ${count(list.length, 'VM')}`}
      onSubmit={() => { if (isReady) sending.send(); }}
      actions={<ChangeActions sending={sending} text={`Unassign ${count(list.length, 'VM')}`} command={cli.unassign(list.map(plainName))} isReady={isReady} />}
    >
      <p>The VM keeps everything else. A partition is given to another VM only after it was reset and proved clean.</p>
      <ul class="plain-list choose-list">
        {list.map((vm) => (
          <li key={vm.id}>
            <strong>{vm.name}</strong> <Badge word={vm.power} /> <span class="hint">{vm.assignment?.partition}</span>
          </li>
        ))}
      </ul>
      {running.length > 0 && (
        <Notice tone="warning"><p>{count(running.length, 'VM')} not off: the partition is taken out while {running.length === 1 ? 'it runs' : 'they run'}, and what uses it there fails.</p></Notice>
      )}
      <PlanBox planned={planned} />
    </Dialog>
  );
}
