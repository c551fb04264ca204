// Giving VMs a partition each: which VMs, of any GPU of their server or of one, and what stands in the way.
// Which partition it is, Divvy picks.

import { useComputed, useSignal, type Signal } from '@preact/signals';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { count, number } from '../format.ts';
import { inOrder, naturally } from '../order.ts';
import { freeOfServer, gpus, plainName, servers, vms } from '../store.ts';
import type { Finding, Vm } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { Combobox, type Choice } from '../ui/combobox.tsx';
import { Dialog, openDialog } from '../ui/dialog.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, Select, fits } from '../ui/filter.tsx';
import { Notice } from '../ui/problem.tsx';
import { asManyAsFit, freeFor, tooMany, whyNotVm, type Capacity } from './assign-rules.ts';
import { ChangeActions, PlanBox, usePlan, useSending } from './plan.tsx';

/** Nobody scrolls through more; searching narrows the list. */
const MOST_LINES = 100;
const ANY = '';

type Ids = Signal<ReadonlySet<string>>;

export function openAssign(ids: readonly string[] = [], gpu: string | null = null): void {
  openDialog(() => <AssignDialog start={ids} startGpu={gpu} />);
}

function AssignDialog({ start, startGpu }: { start: readonly string[]; startGpu: string | null }) {
  const chosen = useSignal<ReadonlySet<string>>(new Set(start));
  const accepted = useSignal<ReadonlySet<string>>(new Set());
  const gpuId = useSignal(startGpu ?? ANY);
  const gpu = gpus.value.get(gpuId.value) ?? null;
  const capacity: Capacity = { freeOfServer: freeOfServer.value, gpu };
  const list = [...chosen.value].map((id) => vms.value.get(id)).filter((vm) => vm !== undefined);
  const barred = list.filter((vm) => whyNotVm(vm, capacity) !== null);
  const errors = [...barred.slice(0, 5).map((vm) => `VM ${vm.name} ${whyNotVm(vm, capacity)}.`), ...tooMany(list.filter((vm) => !barred.includes(vm)), capacity)];
  const request: api.AssignRequest = { vms: list.map((vm) => vm.id), gpu: gpu?.id ?? null, accept: [...accepted.value] };
  const isReady = list.length > 0 && errors.length === 0;
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
          <p class="hint">Divvy picks the partition: one that is free and was proved clean.</p>
          <div class="panel" aria-live="polite">
            <Room list={list} capacity={capacity} />
            {errors.map((error) => <Notice key={error} tone="danger"><p>{error}</p></Notice>)}
          </div>
          <PlanBox planned={planned}>
            {(planned.problem?.code === 'not_accepted' || accepted.value.size > 0) && (
              <Accept findings={planned.problem?.findings ?? []} accepted={accepted} />
            )}
          </PlanBox>
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

function Accept({ findings, accepted }: { findings: readonly Finding[]; accepted: Ids }) {
  const codes = new Map(findings.map((one) => [one.code, one.text]));
  for (const code of accepted.value) if (!codes.has(code)) codes.set(code, 'accepted');
  return (
    <fieldset class="accept">
      <legend>Go on in spite of</legend>
      {[...codes].map(([code, text]) => (
        <label key={code} class="choose-line">
          <input
            type="checkbox" checked={accepted.value.has(code)}
            onChange={(event) => {
              const next = new Set(accepted.value);
              event.currentTarget.checked ? next.add(code) : next.delete(code);
              accepted.value = next;
            }}
          />
          <span><code>{code}</code> <span class="hint">{text}</span></span>
        </label>
      ))}
      <p class="hint">What is accepted is recorded with your name.</p>
    </fieldset>
  );
}

function ChooseVms({ chosen, capacity }: { chosen: Ids; capacity: Capacity }) {
  const typed = useSignal('');
  const server = useSignal('');
  const all = useComputed(() => inOrder(vms.value.values(), (vm) => `${vm.server} ${vm.name}`));
  const inServer = (vm: Vm) => (server.value === '' || vm.server === server.value) && (capacity.gpu === null || capacity.gpu.server === vm.server);
  const found = all.value.filter((vm) => inServer(vm) && fits(typed.value, vm.name, vm.server, vm.id));
  // Those that can get one first: the list is cut, and the others are there for their reasons only.
  const can = new Set(found.filter((vm) => whyNotVm(vm, capacity) === null));
  const fitting = [...can, ...found.filter((vm) => !can.has(vm))];
  const choose = (id: string, isOn: boolean) => {
    const next = new Set(chosen.value);
    isOn ? next.add(id) : next.delete(id);
    chosen.value = next;
  };
  return (
    <fieldset class="panel">
      <legend>VMs <span class="hint">{number(chosen.value.size)} chosen</span></legend>
      <Filter label="Find a VM" text={typed} fitting={fitting.length} all={all.value.length}>
        {servers.value.length > 1 && capacity.gpu === null && (
          <Select label="Server" value={server} choices={[['', 'all'], ...servers.value.map((name): [string, string] => [name, name])]} />
        )}
      </Filter>
      <div class="buttons">
        <button type="button" class="button small" onClick={() => { chosen.value = asManyAsFit(fitting, chosen.value, vms.value, capacity); }}>Choose all that can get one</button>
        <button type="button" class="button small" disabled={chosen.value.size === 0} onClick={() => { chosen.value = new Set(); }}>Choose none</button>
      </div>
      {fitting.length === 0 && <Empty title="No VM fits."><p>VMs are those that libvirt knows. Look at the search, and at the checks.</p></Empty>}
      <div class="choose-list">
        {fitting.slice(0, MOST_LINES).map((vm) => (
          <VmLine key={vm.id} vm={vm} isChosen={chosen.value.has(vm.id)} why={whyNotVm(vm, capacity)} onChoose={choose} />
        ))}
        {fitting.length > MOST_LINES && <p class="hint">{number(fitting.length - MOST_LINES)} more; search to see them.</p>}
      </div>
    </fieldset>
  );
}

interface LineProps {
  vm: Vm;
  isChosen: boolean;
  why: string | null;
  onChoose: (id: string, isOn: boolean) => void;
}

function VmLine({ vm, isChosen, why, onChoose }: LineProps) {
  return (
    <label class={why === null ? 'choose-line' : 'choose-line barred'}>
      <input type="checkbox" checked={isChosen} disabled={why !== null && !isChosen} onChange={(event) => onChoose(vm.id, event.currentTarget.checked)} />
      <span>
        {vm.name} <span class="hint">{vm.server}</span> {vm.power !== 'off' && <Badge word={vm.power} />}
        {why !== null && <span class="why">{why}</span>}
      </span>
    </label>
  );
}
