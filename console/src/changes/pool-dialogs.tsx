// Keeping GPUs in pools: putting some into a new pool or one that is there, taking them out, another name, and
// the end of a pool. No hardware is touched by that, so there are no steps to show and no job to follow.

import { useSignal } from '@preact/signals';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { count } from '../format.ts';
import { go, to } from '../router.ts';
import { gpus, pools } from '../store.ts';
import type { Accepted, Pool, PoolGpu } from '../types.ts';
import { Dialog, openDialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { Select } from '../ui/filter.tsx';
import { Notice } from '../ui/problem.tsx';
import { toast } from '../ui/toast.tsx';
import { GpuChoices } from './choose-gpus.tsx';
import { ChangeActions, useSending } from './plan.tsx';
import { openUnassign } from './unassign-dialog.tsx';
import { havingOf, whyNotName, whyNotPooled } from './whole-rules.ts';

const NAME_HINT = 'Letters, digits, dashes, dots and underscores.';
/** No name of a pool is empty. */
const NEW = '';

/** Tells that it is done; the pools are read before, so that what is shown next is so. */
function tell(text: string, then: () => void = () => undefined): (accepted: Accepted) => void {
  return ({ warnings }) => {
    toast({ tone: 'good', text: [text, ...warnings.map((one) => one.text)].join(' ') });
    api.pools().then((list) => { pools.value = list; }, () => undefined).then(then);
  };
}

/** Puts these GPUs into a pool: the one that is named, or one to be chosen or made. */
export function openPutIntoPool(ids: readonly string[] = [], pool: string = NEW): void {
  openDialog(() => <PutDialog start={ids} startPool={pool} />);
}

function PutDialog({ start, startPool }: { start: readonly string[]; startPool: string }) {
  const poolName = useSignal(startPool);
  const typed = useSignal('');
  const chosen = useSignal<ReadonlySet<string>>(new Set(start));
  const isNew = poolName.value === NEW;
  const name = isNew ? typed.value.trim() : poolName.value;
  const wrong = isNew ? whyNotName(name, pools.value) : null;
  const whyNot = (gpu: Parameters<typeof whyNotPooled>[0]) => whyNotPooled(gpu, isNew ? null : name);
  const list = [...chosen.value].map((id) => gpus.value.get(id)).filter((gpu) => gpu !== undefined);
  const barred = list.filter((gpu) => whyNot(gpu) !== null);
  const ids = list.map((gpu) => gpu.id);
  const isReady = wrong === null && list.length > 0 && barred.length === 0;
  const many = count(list.length, 'GPU');
  const done = tell(isNew ? `Pool ${name} is there, with ${many}.` : `Pool ${name} has ${many} more.`);
  const sending = useSending(() => (isNew ? api.createPool(name, ids) : api.changePool(name, { add: ids })), done);
  const text = isNew ? `Make a pool of ${many}` : `Put ${many} into pool ${name}`;
  return (
    <Dialog
      title="Put GPUs into a pool" onSubmit={() => { if (isReady) sending.send(); }}
      actions={<ChangeActions sending={sending} text={text} command={isReady ? cli.pool(isNew ? 'create' : 'add', name, ...ids) : null} isReady={isReady} />}
    >
      <p class="hint">GPUs in a pool are kept for VMs that take them whole, and are not partitioned. A pool may have GPUs of all servers; a VM gets those of its own.</p>
      {pools.value.length > 0 && <Select label="Pool" value={poolName} choices={[[NEW, 'a new pool'], ...pools.value.map((pool): [string, string] => [pool.name, pool.name])]} />}
      {isNew && <TextField label="Name of the new pool" value={typed} error={typed.value === '' ? null : wrong} hint={NAME_HINT} />}
      <GpuChoices chosen={chosen} whyNot={whyNot} />
      <div class="panel" aria-live="polite">
        {barred.map((gpu) => <Notice key={gpu.id} tone="danger"><p><strong>Cannot go on:</strong> GPU {gpu.name}: {whyNot(gpu)}.</p></Notice>)}
      </div>
    </Dialog>
  );
}

export function openRenamePool(name: string): void {
  openDialog(() => <RenameDialog name={name} />);
}

function RenameDialog({ name }: { name: string }) {
  const typed = useSignal(name);
  const wanted = typed.value.trim();
  const wrong = wanted === name ? null : whyNotName(wanted, pools.value);
  const isReady = wrong === null && wanted !== name;
  const sending = useSending(() => api.changePool(name, { name: wanted }), tell(`Pool ${name} is called ${wanted} now.`, () => go(to('pools', wanted))));
  return (
    <Dialog
      title={`Rename pool ${name}`} onSubmit={() => { if (isReady) sending.send(); }}
      actions={<ChangeActions sending={sending} text="Rename" command={isReady ? cli.pool('rename', name, wanted) : null} isReady={isReady} />}
    >
      <TextField label="New name" value={typed} error={wrong} hint={NAME_HINT} />
      <p class="hint">VMs keep what they have. Scripts that name the pool have to follow.</p>
    </Dialog>
  );
}

/** Takes these GPUs out of a pool. */
export function openTakeFromPool(name: string, ids: readonly string[]): void {
  openDialog(() => <LeaveDialog name={name} ids={ids} />);
}

export function openRemovePool(name: string): void {
  openDialog(() => <LeaveDialog name={name} ids={null} />);
}

const leave = (name: string, ids: string[] | null): Promise<Accepted> => (ids === null ? api.removePool(name) : api.changePool(name, { take: ids }));

/** Of `ids`, or of all. */
function leaving(pool: Pool | undefined, ids: readonly string[] | null): PoolGpu[] {
  return pool?.gpus.filter((gpu) => ids === null || ids.includes(gpu.id)) ?? [];
}

function LeaveDialog({ name, ids }: { name: string; ids: readonly string[] | null }) {
  const pool = pools.value.find((one) => one.name === name);
  const list = leaving(pool, ids);
  const own = list.map((gpu) => gpu.id);
  const having = havingOf(list);
  const isReady = list.length > 0 && having.length === 0;
  const isAll = list.length === pool?.gpus.length;
  const many = count(list.length, 'GPU');
  const done = tell(ids === null ? `Pool ${name} is gone.` : `${many} left pool ${name}.`, () => { if (isAll) go(to('pools')); });
  const sending = useSending(() => leave(name, ids === null ? null : own), done);
  const title = ids === null ? `Remove pool ${name}` : `Take ${many} out of pool ${name}`;
  const command = ids === null ? cli.pool('remove', name) : cli.pool('take', name, ...own);
  return (
    <Dialog title={title} onSubmit={() => { if (isReady) sending.send(); }} actions={<ChangeActions sending={sending} text={title} command={isReady ? command : null} isReady={isReady} />}>
      <p>The GPUs stay where they are and may be partitioned again.{ids !== null && isAll ? ' They are all that the pool has, so it is gone then.' : ''}</p>
      <ul class="plain-list choose-list">
        {list.map((gpu) => <li key={gpu.id}><strong>{gpus.value.get(gpu.id)?.name ?? gpu.id}</strong> <span class="hint">{gpu.model} {gpu.vm !== null && `· given to VM ${gpu.vm_name ?? gpu.vm}`}</span></li>)}
      </ul>
      {list.length === 0 && <Notice tone="calm"><p>There is nothing to take out any more.</p></Notice>}
      {having.length > 0 && (
        <Notice tone="danger">
          <p><strong>Cannot go on:</strong> {count(having.length, 'VM')} {having.length === 1 ? 'has' : 'have'} GPUs of it. Unassign first: {having.map((vm) => vm.name).join(', ')}.</p>
          <button type="button" class="button small" onClick={() => openUnassign(having.map((vm) => vm.id))}>Unassign {count(having.length, 'VM')} …</button>
        </Notice>
      )}
    </Dialog>
  );
}
