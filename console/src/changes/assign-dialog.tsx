// Giving VMs a partition each: which VMs, of any GPU of their server or of one, and what stands in the way.
// Which partition it is, Divvy picks.

import { useSignal, type Signal } from '@preact/signals';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { count, number } from '../format.ts';
import { inOrder, naturally } from '../order.ts';
import { freeOfServer, gpus, plainName, vms } from '../store.ts';
import type { Vm } from '../types.ts';
import { Combobox, type Choice } from '../ui/combobox.tsx';
import { Dialog, openDialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { Notice } from '../ui/problem.tsx';
import { Accept } from './accept.tsx';
import { asManyAsFit, freeFor, memoryOf, tooMany, whyNotVm, type Capacity } from './assign-rules.ts';
import { VmChoices } from './choose-vms.tsx';
import { ChangeActions, PlanBox, usePlan, useSending } from './plan.tsx';

const ANY = '';

type Ids = Signal<ReadonlySet<string>>;

export function openAssign(ids: readonly string[] = [], gpu: string | null = null): void {
  openDialog(() => <AssignDialog start={ids} startGpu={gpu} />);
}

function AssignDialog({ start, startGpu }: { start: readonly string[]; startGpu: string | null }) {
  const chosen = useSignal<ReadonlySet<string>>(new Set(start));
  const accepted = useSignal<ReadonlySet<string>>(new Set());
  const gpuId = useSignal(startGpu ?? ANY);
  const typedMemory = useSignal('');
  const gpu = gpus.value.get(gpuId.value) ?? null;
  const capacity: Capacity = { freeOfServer: freeOfServer.value, gpu };
  const list = [...chosen.value].map((id) => vms.value.get(id)).filter((vm) => vm !== undefined);
  const barred = list.filter((vm) => whyNotVm(vm, capacity) !== null);
  const errors = [...barred.slice(0, 5).map((vm) => `VM ${vm.name} ${whyNotVm(vm, capacity)}.`), ...tooMany(list.filter((vm) => whyNotVm(vm, capacity) === null), capacity)];
  const memory = memoryOf(typedMemory.value);
  const least = 'bytes' in memory && memory.bytes !== undefined ? { memory_bytes: memory.bytes } : {};
  const request: api.AssignRequest = { vms: list.map((vm) => vm.id), gpu: gpu?.id ?? null, ...least, accept: [...accepted.value] };
  const isReady = list.length > 0 && errors.length === 0 && 'bytes' in memory;
  const planned = usePlan(isReady ? JSON.stringify(request) : null, () => api.planAssign(request));
  const sending = useSending(() => api.assign(request));
  const text = list.length === 0 ? 'Assign' : `Assign a partition to ${count(list.length, 'VM')}`;
  const named = { ...request, vms: list.map(plainName) };

  return (
    <Dialog
      title="Assign partitions" wide onSubmit={() => { if (isReady) sending.send(); }}
      actions={<ChangeActions sending={sending} text={text} command={isReady ? cli.assign(named) : null} isReady={isReady && planned.problem === null} />}
    >
      <div class="two-columns">
        <ChooseVms chosen={chosen} capacity={capacity} />
        <div class="panel">
          <Combobox label="Partition of" value={gpuId.value} choices={gpuChoices()} onChoose={(id) => { gpuId.value = id; }} />
          <TextField label="At least so much memory, GiB" value={typedMemory} isNumber error={'error' in memory ? memory.error : null} hint="Optional: the smallest free partition that has as much is given." />
          <p class="hint">Divvy picks the partition: one that is free and was proved clean.</p>
          <div class="panel" aria-live="polite">
            <Room list={list} capacity={capacity} />
            {errors.map((error) => <Notice key={error} tone="danger"><p>{error}</p></Notice>)}
          </div>
          <PlanBox planned={planned}><Accept planned={planned} accepted={accepted} /></PlanBox>
        </div>
      </div>
    </Dialog>
  );
}

/** How much of each server the choice takes. */
function Room({ list, capacity }: { list: readonly Vm[]; capacity: Capacity }) {
  const concerned = [...new Set(list.map((vm) => vm.server))].sort(naturally);
  return (
    <ul class="plain-list" aria-label="What the choice takes">
      {concerned.map((server) => (
        <li key={server}><strong>{server}</strong>: {number(list.filter((vm) => vm.server === server).length)} of {count(freeFor(server, capacity), 'free partition')}</li>
      ))}
    </ul>
  );
}

function gpuChoices(): Choice[] {
  const withFree = inOrder([...gpus.value.values()].filter((gpu) => gpu.mode === 'partitioned'), (gpu) => gpu.name);
  return [
    { value: ANY, text: 'any GPU of the VM’s server' },
    ...withFree.map((gpu) => ({ value: gpu.id, text: gpu.name, more: `${gpu.model}, ${number(gpu.free_partitions)} free` })),
  ];
}

function ChooseVms({ chosen, capacity }: { chosen: Ids; capacity: Capacity }) {
  const buttons = (fitting: readonly Vm[]) => (
    <div class="buttons">
      <button type="button" class="button small" onClick={() => { chosen.value = asManyAsFit(fitting, chosen.value, vms.value, capacity); }}>Choose all that can get one</button>
      <button type="button" class="button small" disabled={chosen.value.size === 0} onClick={() => { chosen.value = new Set(); }}>Choose none</button>
    </div>
  );
  return <VmChoices legend="VMs" chosen={chosen} whyNot={(vm) => whyNotVm(vm, capacity)} onServer={capacity.gpu?.server ?? null} buttons={buttons} />;
}
