// Giving a VM whole GPUs: which VM, which GPUs of its server or how many of a pool, and what stands in the
// way. Which GPUs of a pool they are, Divvy picks.

import { useSignal, type Signal } from '@preact/signals';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { count, number } from '../format.ts';
import { gpus, ownerOfWhole, plainName, pooled, pools, vms } from '../store.ts';
import type { Gpu, Pool, Vm } from '../types.ts';
import { Dialog, openDialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { Select } from '../ui/filter.tsx';
import { Notice } from '../ui/problem.tsx';
import { Accept } from './accept.tsx';
import { GpuChoices } from './choose-gpus.tsx';
import { VmChoices } from './choose-vms.tsx';
import { openCount } from './count-dialog.tsx';
import { ChangeActions, PlanBox, usePlan, useSending } from './plan.tsx';
import { countOf, freeOfPool, tooFew, tooFewThere, whyNotVmWhole, whyNotWhole } from './whole-rules.ts';

interface Start {
  vm?: string;
  gpus?: readonly string[];
  pool?: string;
}

type Ids = Signal<ReadonlySet<string>>;

export function openWhole(start: Start = {}): void {
  openDialog(() => <WholeDialog start={start} />);
}

export const whyNotGpu = (gpu: Gpu): string | null => whyNotWhole(gpu, ownerOfWhole.value.get(gpu.id), pooled.value.get(gpu.id));

/** What is chosen so far; the dialog's parts change it. */
interface Choice {
  vmIds: Ids;
  isOfPool: Signal<boolean>;
  gpuIds: Ids;
  poolName: Signal<string>;
  howMany: Signal<string>;
  isAtStart: Signal<boolean>;
}

interface Meant {
  vm: Vm | null;
  list: Gpu[];
  pool: Pool | null;
  many: number | null;
  isAtStart: boolean;
}

function useChoice(start: Start): Choice {
  return {
    vmIds: useSignal<ReadonlySet<string>>(new Set(start.vm === undefined ? [] : [start.vm])),
    isOfPool: useSignal(start.pool !== undefined),
    gpuIds: useSignal<ReadonlySet<string>>(new Set(start.gpus)),
    poolName: useSignal(start.pool ?? pools.value[0]?.name ?? ''),
    howMany: useSignal('1'),
    isAtStart: useSignal(false),
  };
}

function meantBy({ vmIds, isOfPool, gpuIds, poolName, howMany, isAtStart }: Choice): Meant {
  const [vmId] = vmIds.value;
  const list = isOfPool.value ? [] : [...gpuIds.value].map((id) => gpus.value.get(id)).filter((gpu) => gpu !== undefined);
  const pool = isOfPool.value ? (pools.value.find((one) => one.name === poolName.value) ?? null) : null;
  return { vm: vms.value.get(vmId ?? '') ?? null, list, pool, many: pool === null ? list.length : countOf(howMany.value), isAtStart: pool !== null && isAtStart.value };
}

function errorsOf({ vm, list, pool, many, isAtStart }: Meant): string[] {
  const ofVm = vm === null ? null : whyNotVmWhole(vm);
  const barred = list.filter((gpu) => whyNotGpu(gpu) !== null);
  const few = vm !== null && pool !== null && many !== null ? (isAtStart ? tooFewThere : tooFew)(pool, vm, many) : null;
  return [
    ...(ofVm === null ? [] : [`VM ${vm?.name} ${ofVm}.`]),
    ...barred.map((gpu) => `GPU ${gpu.name}: ${whyNotGpu(gpu)}.`),
    ...(few === null ? [] : [few]),
  ];
}

function wishOf({ list, pool, many, isAtStart }: Meant): api.WholeRequest['wish'] | null {
  if (pool !== null) return many === null ? null : { pool: pool.name, count: many, at_start: isAtStart };
  return list.length > 0 ? { gpus: list.map((gpu) => gpu.id) } : null;
}

/** What the button does. */
function textOf({ vm, many, isAtStart }: Meant): string {
  if (vm === null || !many) return 'Assign whole GPUs';
  return isAtStart ? `Promise ${count(many, 'whole GPU')} to ${vm.name}` : `Assign ${count(many, 'whole GPU')} to ${vm.name}`;
}

function WholeDialog({ start }: { start: Start }) {
  const choice = useChoice(start);
  const accepted = useSignal<ReadonlySet<string>>(new Set());
  const meant = meantBy(choice);
  const { vm, list } = meant;
  const errors = errorsOf(meant);
  const wish = wishOf(meant);
  const request = vm !== null && wish !== null && errors.length === 0 ? { vm: vm.id, wish, accept: [...accepted.value] } : null;
  const planned = usePlan(request && JSON.stringify(request), () => api.planWhole(request as api.WholeRequest));
  const sending = useSending(() => api.assignWhole(request as api.WholeRequest));
  const text = textOf(meant);
  const command = request && vm && cli.assignWhole({ ...request, vm: plainName(vm) });
  const split = list.filter((gpu) => gpu.partition_count);
  const isReady = request !== null && planned.problem === null;
  return (
    <Dialog
      title="Assign whole GPUs" wide onSubmit={() => { if (isReady) sending.send(); }}
      actions={<ChangeActions sending={sending} text={text} command={command} isReady={isReady} />}
    >
      <p class="hint">The VM gets a GPU with everything in its slot; the server has it back when it is unassigned. A GPU is used whole or split into partitions, never both.</p>
      <div class="two-columns">
        <VmChoices legend="VM" isOne chosen={choice.vmIds} whyNot={whyNotVmWhole} onServer={list[0]?.server ?? null} />
        <div class="panel">
          <Which choice={choice} vm={vm} />
          <div class="panel" aria-live="polite">
            {errors.map((error) => <Notice key={error} tone="danger"><p><strong>Cannot go on:</strong> {error}</p></Notice>)}
            {split.length > 0 && <p><button type="button" class="button" onClick={() => openCount(split.map((gpu) => gpu.id), 'off')}>Stop splitting {count(split.length, 'GPU')} …</button></p>}
          </div>
          <PlanBox planned={planned}><Accept planned={planned} accepted={accepted} /></PlanBox>
        </div>
      </div>
    </Dialog>
  );
}

/** These GPUs, or so many of a pool. */
function Which({ choice, vm }: { choice: Choice; vm: Vm | null }) {
  const { isOfPool } = choice;
  const way = (ofPool: boolean, text: string, isDisabled = false) => (
    <label class={isOfPool.value === ofPool ? 'way chosen' : 'way'}>
      <input type="radio" name="which" checked={isOfPool.value === ofPool} disabled={isDisabled} onChange={() => { isOfPool.value = ofPool; }} />
      <span>{text}</span>
    </label>
  );
  const hasPools = pools.value.length > 0;
  return (
    <>
      <fieldset>
        <legend class="hidden">Which GPUs</legend>
        <div class="ways">{way(false, 'These GPUs')}{way(true, hasPools ? 'Any of a pool' : 'Of a pool: there is none', !hasPools)}</div>
      </fieldset>
      {isOfPool.value ? <OfPool choice={choice} vm={vm} /> : <GpuChoices chosen={choice.gpuIds} whyNot={whyNotGpu} onServer={vm?.server ?? null} />}
    </>
  );
}

function OfPool({ choice: { poolName, howMany, isAtStart }, vm }: { choice: Choice; vm: Vm | null }) {
  const told = (pool: Pool) => {
    const free = vm === null ? pool.gpus.filter((gpu) => gpu.free).length : freeOfPool(pool, vm.server);
    return `${pool.name}: ${number(free)} of ${count(pool.gpus.length, 'GPU')} free${vm === null ? '' : ` on ${vm.server}`}`;
  };
  return (
    <>
      <Select label="Pool" value={poolName} choices={pools.value.map((pool): [string, string] => [pool.name, told(pool)])} />
      <TextField label="How many GPUs" value={howMany} isNumber error={countOf(howMany.value) === null ? 'A whole number, 1 or more.' : null} hint="Divvy picks them: of one NUMA node if one has enough." />
      <When isAtStart={isAtStart} />
    </>
  );
}

/** Kept from now on, or picked anew at each start. */
function When({ isAtStart }: { isAtStart: Signal<boolean> }) {
  const way = (atStart: boolean, text: string) => (
    <label class={isAtStart.value === atStart ? 'way chosen' : 'way'}>
      <input type="radio" name="when" checked={isAtStart.value === atStart} onChange={() => { isAtStart.value = atStart; }} />
      <span>{text}</span>
    </label>
  );
  return (
    <fieldset>
      <legend class="hidden">When they are picked</legend>
      <div class="ways">{way(false, 'Reserve now')}{way(true, 'Pick when the VM starts')}</div>
      <p class="hint">
        {isAtStart.value
          ? 'Off, the VM has none and others can have them. Who starts first gets them. Whoever starts the VM is refused and told that Divvy goes on: it prepares them and then starts the VM itself.'
          : 'They are the VM’s from now on, whether it runs or not.'}
      </p>
    </fieldset>
  );
}
