// A list of GPUs to choose from, server by server: those that cannot be chosen greyed out with the reason.
// What they are chosen for is whoever's shows it.

import type { Signal } from '@preact/signals';
import { bytes, count, number, words } from '../format.ts';
import { gpusOfServer, servers } from '../store.ts';
import type { Gpu } from '../types.ts';
import { Empty } from '../ui/empty.tsx';
import { Lazy } from '../ui/lazy.tsx';

/** Of one GPU's line, before it was drawn. */
const LINE_PIXELS = 30;

interface Props {
  chosen: Signal<ReadonlySet<string>>;
  whyNot: (gpu: Gpu) => string | null;
  /** Only GPUs of this server. */
  onServer?: string | null;
}

export function GpuChoices({ chosen, whyNot, onServer = null }: Props) {
  const withGpus = servers.value.filter((server) => gpusOfServer.value.has(server) && (onServer === null || server === onServer));
  return (
    <fieldset class="panel">
      <legend>GPUs <span class="hint">{number(chosen.value.size)} chosen</span></legend>
      {withGpus.length === 0 && <Empty title="No GPU was found."><p>The checks say what to look at.</p></Empty>}
      <div class="choose-list">
        {withGpus.map((server) => <OfServer key={server} server={server} chosen={chosen} whyNot={whyNot} />)}
      </div>
    </fieldset>
  );
}

function OfServer({ server, chosen, whyNot }: { server: string; chosen: Props['chosen']; whyNot: Props['whyNot'] }) {
  const list = gpusOfServer.value.get(server) ?? [];
  const can = list.filter((gpu) => whyNot(gpu) === null);
  const some = can.filter((gpu) => chosen.value.has(gpu.id)).length;
  const set = (ids: string[], isOn: boolean) => {
    const next = new Set(chosen.value);
    for (const id of ids) isOn ? next.add(id) : next.delete(id);
    chosen.value = next;
  };
  return (
    <div class="choose-group" role="group" aria-label={`Server ${server}`}>
      <label class="choose-line strong">
        <input
          type="checkbox" checked={some > 0 && some === can.length} disabled={can.length === 0}
          ref={(box) => { if (box) box.indeterminate = some > 0 && some < can.length; }}
          onChange={(event) => set(can.map((gpu) => gpu.id), event.currentTarget.checked)}
        />
        <span>{server}</span>
      </label>
      <Lazy height={list.length * LINE_PIXELS} instead={count(list.length, 'GPU')} within=".choose-list">
        {() => list.map((gpu) => <GpuLine key={gpu.id} gpu={gpu} isChosen={chosen.value.has(gpu.id)} why={whyNot(gpu)} onChoose={(isOn) => set([gpu.id], isOn)} />)}
      </Lazy>
    </div>
  );
}

interface LineProps {
  gpu: Gpu;
  isChosen: boolean;
  why: string | null;
  onChoose: (isOn: boolean) => void;
}

function howUsed(gpu: Gpu): string {
  if (gpu.partition_count) return `split into ${number(gpu.partition_count)}`;
  if (gpu.pool != null) return `in pool ${gpu.pool}`;
  const plain: Record<string, string> = { partitionable: 'not split', dda: 'DDA', host: 'used by the server' };
  return plain[gpu.mode] ?? words(gpu.mode);
}

/** One that is chosen and cannot be any more can still be left out. */
function GpuLine({ gpu, isChosen, why, onChoose }: LineProps) {
  return (
    <label class={why === null ? 'choose-line inner' : 'choose-line inner barred'}>
      <input type="checkbox" checked={isChosen} disabled={why !== null && !isChosen} onChange={(event) => onChoose(event.currentTarget.checked)} />
      <span>
        {gpu.model} <span class="hint">{gpu.pci_address} · {bytes(gpu.memory_bytes)} · {howUsed(gpu)}</span>
        {why !== null && <span class="why">{why}</span>}
      </span>
    </label>
  );
}
