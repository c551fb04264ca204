// Getting a quarantined partition clean again, in two ways of which the second is for when the first did not
// help: what each does, what stands in the way, and what to do about that.

import { useSignal, type Signal } from '@preact/signals';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { count, number, words } from '../format.ts';
import { to } from '../router.ts';
import { gpus, partitions, partitionsOfGpu } from '../store.ts';
import type { Partition } from '../types.ts';
import { closeDialog, Dialog, openDialog } from '../ui/dialog.tsx';
import { Notice } from '../ui/problem.tsx';
import { inTheWay, type InTheWay } from './cure-rules.ts';
import { ChangeActions, PlanBox, usePlan, useSending } from './plan.tsx';
import { openUnassign } from './unassign-dialog.tsx';

/** `remake`: the first way was tried already. */
export function openCure(id: string, remake = false): void {
  openDialog(() => <CureDialog id={id} startRemake={remake} />);
}

function CureDialog({ id, startRemake }: { id: string; startRemake: boolean }) {
  const remake = useSignal(startRemake);
  const one = partitions.value.get(id);
  const siblings = one === undefined ? [] : (partitionsOfGpu.value.get(one.gpu) ?? []);
  const request = { partition: id, remakeSiblings: remake.value };
  const isSick = one?.state === 'quarantined';
  // Asked again whenever a partition of the GPU changes, for that may be what stood in the way.
  const key = JSON.stringify([request, siblings.map((sibling) => sibling.state)]);
  const planned = usePlan(isSick ? key : null, () => api.planCure(request));
  const sending = useSending(() => api.cure(request));
  const isReady = isSick && planned.problem === null && planned.plan !== null;
  const text = remake.value ? `Make ${count(siblings.length, 'partition')} again` : 'Try the reset again';
  const name = one === undefined ? id : `partition ${number(one.index)} of ${gpus.value.get(one.gpu)?.name ?? one.gpu}`;
  return (
    <Dialog
      title={`Cure ${name}`} onSubmit={() => { if (isReady) sending.send(); }}
      actions={<ChangeActions sending={sending} text={text} command={isSick ? cli.cure(request) : null} isReady={isReady} />}
    >
      {one !== undefined && isSick && <Sick one={one} remake={remake} many={siblings.length} />}
      {!isSick && <Notice tone="calm"><p>There is nothing to cure: the partition is {one === undefined ? 'not there any more' : words(one.state)}.</p></Notice>}
      {isSick && <Way list={inTheWay(siblings, id, remake.value)} />}
      <PlanBox planned={planned} />
    </Dialog>
  );
}

function Sick({ one, remake, many }: { one: Partition; remake: Signal<boolean>; many: number }) {
  const way = (isRemake: boolean, title: string, text: string) => (
    <label class={remake.value === isRemake ? 'way chosen' : 'way'}>
      <input type="radio" name="cure" checked={remake.value === isRemake} onChange={() => { remake.value = isRemake; }} />
      <span><strong>{title}</strong><span class="hint block">{text}</span></span>
    </label>
  );
  return (
    <>
      <p>It is in quarantine, so no VM gets it: {one.reason ?? 'it was not proved clean after its last VM'}.</p>
      <fieldset>
        <legend class="hidden">How</legend>
        <div class="ways tall">
          {way(false, 'Try its reset once more', 'Touches this partition only. Enough when what made the reset fail is over.')}
          {way(true, `Make all ${number(many)} partitions of its GPU again`, 'For when the reset does not help. All of them are gone for a moment, so none may be assigned.')}
        </div>
      </fieldset>
    </>
  );
}

function Way({ list }: { list: readonly InTheWay[] }) {
  if (list.length === 0) return null;
  const having = list.map(({ partition }) => partition.vm).filter((vm) => vm !== null);
  const isAnyOpen = list.some((one) => one.isOpen);
  return (
    <Notice tone="warning">
      <p><strong>In the way:</strong></p>
      <ul class="plain-list">
        {list.map(({ partition, isOpen }) => (
          <li key={partition.id}>
            partition {number(partition.index)}, {isOpen ? 'open in' : 'assigned to'} VM {partition.vm ? <a href={to('vms', partition.vm)} onClick={closeDialog}>{partition.vm_name ?? partition.vm}</a> : 'unknown'}
          </li>
        ))}
      </ul>
      {isAnyOpen && <p>A GPU with a partition that does not reset is not trusted to leave the others alone, so nothing is tried while one is open. Shut those VMs down.</p>}
      {having.length > 0 && <button type="button" class="button small" onClick={() => openUnassign(having)}>Unassign {count(having.length, 'VM')} …</button>}
    </Notice>
  );
}
