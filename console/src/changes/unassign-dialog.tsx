// Taking partitions and whole GPUs back from VMs: which ones, what becomes of those that run, and a last look
// before it. The VMs that have partitions give them back in one job; each that has whole GPUs is one.

import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { count, number } from '../format.ts';
import { gpus, plainName, vms } from '../store.ts';
import type { Accepted, Assignment, Plan, Vm } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { Dialog, openDialog } from '../ui/dialog.tsx';
import { Notice } from '../ui/problem.tsx';
import { claimOf } from './assign-rules.ts';
import { MOST_LINES } from './choose-vms.tsx';
import { follow } from './follow.ts';
import { ChangeActions, PlanBox, usePlan, useSending } from './plan.tsx';

export function openUnassign(ids: readonly string[]): void {
  openDialog(() => <UnassignDialog ids={ids} />);
}

type Having = Pick<Vm, 'id' | 'name' | 'power' | 'assignment'>;

/** By id: those with a partition, and those with whole GPUs. */
interface Split {
  parts: Having[];
  whole: Having[];
}

const GONE: Assignment = { kind: 'unknown', gpu: null, gpus: [], partition: null, pool: null, count: null, state: 'unknown' };

/** A VM that is gone may still have its partition, and is known by its id only. */
function havingOf(ids: readonly string[]): Having[] {
  return ids.map((id) => vms.value.get(id) ?? { id, name: id, power: 'unknown', assignment: GONE });
}

function splitOf(list: readonly Having[]): Split {
  const having = list.filter((vm) => vm.assignment !== null);
  return { parts: having.filter((vm) => vm.assignment?.kind !== 'dda'), whole: having.filter((vm) => vm.assignment?.kind === 'dda') };
}

const idsOf = (list: readonly Having[]): string[] => list.map((vm) => vm.id);

async function planOf({ parts, whole }: Split): Promise<Plan> {
  const plans = parts.length > 0 ? [await api.planUnassign(idsOf(parts))] : [];
  for (const vm of whole) plans.push(await api.planUnassignWhole(vm.id));
  return { steps: plans.flatMap((plan) => plan.steps), warnings: plans.flatMap((plan) => plan.warnings) };
}

/** What was accepted before one is refused is followed all the same. */
async function unassign({ parts, whole }: Split): Promise<Accepted> {
  let last: Accepted | null = parts.length > 0 ? await api.unassign(idsOf(parts)) : null;
  for (const vm of whole) {
    if (last !== null) follow(last);
    last = await api.unassignWhole(vm.id);
  }
  return last ?? { job: null, warnings: [] };
}

function UnassignDialog({ ids }: { ids: readonly string[] }) {
  const list = havingOf(ids);
  const split = splitOf(list);
  const { parts, whole } = split;
  const many = parts.length + whole.length;
  const running = list.filter((vm) => vm.power !== 'off' && vm.assignment !== null);
  const planned = usePlan(many === 0 ? null : JSON.stringify([idsOf(parts), idsOf(whole)]), () => planOf(split));
  const sending = useSending(() => unassign(split));
  const isReady = many > 0 && planned.problem === null;
  const text = `Unassign ${count(many, 'VM')}`;
  const command = many === 0 ? null : cli.unassign(parts.map(plainName), whole.map(plainName));
  return (
    <Dialog
      title={list.length === 1 ? `Unassign ${list[0]?.name}` : `Unassign ${count(list.length, 'VM')}`}
      onSubmit={() => { if (isReady) sending.send(); }}
      actions={<ChangeActions sending={sending} text={text} command={command} isReady={isReady} />}
    >
      <p>The VM keeps everything else.</p>
      {parts.length > 0 && <p>A partition is given to another VM only after it was reset and proved clean.</p>}
      {whole.length > 0 && <p>A whole GPU is reset, and the server gets it back with the drivers that it had.</p>}
      <ul class="plain-list choose-list">
        {list.slice(0, MOST_LINES).map((vm) => <Line key={vm.id} vm={vm} />)}
        {list.length > MOST_LINES && <li class="hint">and {number(list.length - MOST_LINES)} more</li>}
      </ul>
      {running.length > 0 && (
        <Notice tone="warning"><p>{count(running.length, 'VM')} not off: what is unassigned is taken out while {running.length === 1 ? 'it runs' : 'they run'}, and what uses it there fails.</p></Notice>
      )}
      <PlanBox planned={planned} />
    </Dialog>
  );
}

function has(assignment: Assignment): string | null {
  if (assignment.kind !== 'dda') return assignment.partition;
  if (assignment.gpus.length === 0) return `${claimOf(assignment)} at its start`;
  return `whole: ${assignment.gpus.map((id) => gpus.value.get(id)?.name ?? id).join(', ')}`;
}

function Line({ vm }: { vm: Having }) {
  const { assignment } = vm;
  return (
    <li>
      <strong>{vm.name}</strong> <Badge word={vm.power} />{' '}
      <span class="hint">{assignment === null ? 'has nothing any more' : has(assignment)}</span>
    </li>
  );
}
