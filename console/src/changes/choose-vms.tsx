// A list of VMs to choose from, one or several: found by searching, those that cannot be chosen greyed out
// with the reason. What they are chosen for is whoever's shows it.

import { useSignal, type Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { number } from '../format.ts';
import { servers, vmList } from '../store.ts';
import type { Vm } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, Select, fits } from '../ui/filter.tsx';

/** Nobody scrolls through more; searching narrows the list. */
export const MOST_LINES = 100;

interface Props {
  legend: string;
  chosen: Signal<ReadonlySet<string>>;
  whyNot: (vm: Vm) => string | null;
  /** Only VMs of this server. */
  onServer: string | null;
  /** Choosing another takes the place of the first. */
  isOne?: boolean;
  /** Above the list; gets what is in it. */
  buttons?: (fitting: readonly Vm[]) => ComponentChildren;
}

export function VmChoices({ legend, chosen, whyNot, onServer, isOne, buttons }: Props) {
  const typed = useSignal('');
  const server = useSignal('');
  const group = useId();
  const isHere = (vm: Vm) => (onServer === null ? server.value === '' || vm.server === server.value : vm.server === onServer);
  const found = vmList.value.filter((vm) => isHere(vm) && fits(typed.value, vm.name, vm.server, vm.id));
  // Those that can be chosen first: the list is cut, and the others are there for their reasons only.
  const can = new Set(found.filter((vm) => whyNot(vm) === null));
  const fitting = [...can, ...found.filter((vm) => !can.has(vm))];
  const choose = (id: string, isOn: boolean) => {
    const next = new Set(isOne ? [] : chosen.value);
    isOn ? next.add(id) : next.delete(id);
    chosen.value = next;
  };
  return (
    <fieldset class="panel">
      <legend>{legend} <span class="hint">{number(chosen.value.size)} chosen</span></legend>
      <Filter label="Find a VM" text={typed} fitting={fitting.length} all={vmList.value.length}>
        {servers.value.length > 1 && onServer === null && (
          <Select label="Server" value={server} choices={[['', 'all'], ...servers.value.map((name): [string, string] => [name, name])]} />
        )}
      </Filter>
      {buttons?.(fitting)}
      {fitting.length === 0 && <Empty title="No VM fits."><p>VMs are those that libvirt knows. Look at the search, and at the checks.</p></Empty>}
      <div class="choose-list">
        {fitting.slice(0, MOST_LINES).map((vm) => (
          <VmLine key={vm.id} vm={vm} group={isOne ? group : null} isChosen={chosen.value.has(vm.id)} why={whyNot(vm)} onChoose={choose} />
        ))}
        {fitting.length > MOST_LINES && <p class="hint">{number(fitting.length - MOST_LINES)} more; search to see them.</p>}
      </div>
    </fieldset>
  );
}

interface LineProps {
  vm: Vm;
  /** Of which only one is chosen. */
  group: string | null;
  isChosen: boolean;
  why: string | null;
  onChoose: (id: string, isOn: boolean) => void;
}

function VmLine({ vm, group, isChosen, why, onChoose }: LineProps) {
  return (
    <label class={why === null ? 'choose-line' : 'choose-line barred'}>
      <input
        type={group === null ? 'checkbox' : 'radio'} name={group ?? undefined} checked={isChosen} disabled={why !== null && !isChosen}
        onChange={(event) => onChoose(vm.id, event.currentTarget.checked)}
      />
      <span>
        {vm.name} <span class="hint">{vm.server}</span> {vm.power !== 'off' && <Badge word={vm.power} />}
        {why !== null && <span class="why">{why}</span>}
      </span>
    </label>
  );
}
