// A GPU as a bar that is divided into its partitions, each with its state and the name of its VM. The
// picture is one image with one sentence for readers; what it shows stands in a table on the GPU's page.

import { bytes, count, number, words } from '../format.ts';
import { go, to } from '../router.ts';
import { ownerOfWhole } from '../store.ts';
import type { Gpu, Partition, PartitionState, Vm } from '../types.ts';

export const STATES: PartitionState[] = ['in_use', 'assigned', 'free', 'releasing', 'quarantined', 'unknown'];

export function summary(list: readonly Partition[]): string {
  const parts = STATES.map((state) => [list.filter((one) => one.state === state).length, state] as const);
  const told = parts.filter(([many]) => many > 0).map(([many, state]) => `${number(many)} ${words(state)}`);
  return told.join(', ');
}

/** How many stand in one line, for much, some and little room. */
function columns(many: number): Record<string, string> {
  const fit = (most: number) => String(many <= most ? many : Math.ceil(many / Math.ceil(many / most)));
  return { '--wide': fit(16), '--medium': fit(8), '--narrow': fit(4) };
}

/** Widths by memory, where the partitions are not all alike and stand in one line. */
function widths(shares: readonly number[]): Record<string, string> {
  const isEqual = shares.every((share) => share === shares[0]);
  return isEqual ? columns(shares.length) : { gridTemplateColumns: shares.map((share) => `minmax(0, ${share}fr)`).join(' ') };
}

/** How large each is; where that is not told of one, they are drawn alike. */
const sharesOf = (list: readonly Partition[]): number[] =>
  list.map((one) => (list.every((other) => other.memory_bytes) ? (one.memory_bytes as number) / 2 ** 30 : 1));

interface BarProps {
  gpu: Gpu;
  list: readonly Partition[];
  /** The partition that the page is about. */
  current?: string;
}

export function PartitionBar({ gpu, list, current }: BarProps) {
  const owner = ownerOfWhole.value.get(gpu.id);
  if (owner !== undefined) return <WholeBar gpu={gpu} owner={owner} />;
  if (list.length === 0) {
    const text = gpu.partition_count === 0 && gpu.mode === 'partitionable' ? 'not split' : gpu.reason ?? words(gpu.mode);
    return <div class={`bar whole mode-${gpu.mode}`}>{text}</div>;
  }
  const pick = (event: Event) => {
    const id = (event.target as HTMLElement).closest<HTMLElement>('[data-partition]')?.dataset['partition'];
    if (id) go(to('partitions', id));
  };
  return (
    <div class="bar-room"><div
      class="bar" role="img" style={gpu.sizes ? widths(sharesOf(list)) : columns(list.length)} onClick={pick}
      aria-label={`GPU ${gpu.name}: ${count(list.length, 'partition')}: ${summary(list)}`}
    >
      {list.map((one) => (
        <div
          key={one.id} class={`segment state-${one.state}${one.id === current ? ' current' : ''}`} data-partition={one.id}
          title={[`${one.index}: ${words(one.state)}`, gpu.sizes ? bytes(one.memory_bytes) : '', one.vm_name, one.reason].filter(Boolean).join(' · ')}
        >
          <span>{one.vm_name ?? (one.state === 'free' ? '' : words(one.state))}</span>
        </div>
      ))}
    </div></div>
  );
}

/** Not divided: all of it is one VM's. */
function WholeBar({ gpu, owner }: { gpu: Gpu; owner: Vm }) {
  const state = owner.power === 'off' ? 'assigned' : 'in_use';
  return (
    <div class="bar" role="img" aria-label={`GPU ${gpu.name}: whole, of VM ${owner.name}`} onClick={() => go(to('vms', owner.id))}>
      <div class={`segment state-${state}`} data-whole={gpu.id} title={`whole: ${words(state)} · ${owner.name}`}><span>{owner.name} · whole</span></div>
    </div>
  );
}

/** What a GPU would look like. */
export function PreviewBar({ many, text }: { many: number; text: string }) {
  return (
    <div class="bar-room">
      <div class="bar preview" role="img" aria-label={`${count(many, 'partition')} of ${text} each`} style={columns(many)}>
        {Array.from({ length: many }, (_, nth) => <div key={nth} class="segment state-free"><span>{text}</span></div>)}
      </div>
    </div>
  );
}

/** What a GPU with partitions of different sizes would look like. */
export function SizesBar({ sizes, textOf }: { sizes: readonly number[]; textOf: (size: number) => string }) {
  return (
    <div class="bar-room">
      <div class="bar preview" role="img" aria-label={`Partitions of ${sizes.map(textOf).join(', ')}`} style={widths(sizes.map((size) => 1 / size))}>
        {sizes.map((size, nth) => <div key={nth} class="segment state-free"><span>{textOf(size)}</span></div>)}
      </div>
    </div>
  );
}

export function Legend() {
  return (
    <ul class="legend" aria-label="Legend">
      {STATES.map((state) => <li key={state}><span class={`swatch segment state-${state}`} aria-hidden="true" />{words(state)}</li>)}
    </ul>
  );
}
