// Setting a partition count: which GPUs, how many partitions, and what that means for the memory of each,
// before anything is done.

import { useComputed, useSignal, type Signal } from '@preact/signals';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { bytes, count, number, words } from '../format.ts';
import { gpus, gpusOfServer, partitionsOfGpu, servers } from '../store.ts';
import type { Gpu } from '../types.ts';
import { PreviewBar } from '../ui/bar.tsx';
import { Dialog, openDialog } from '../ui/dialog.tsx';
import { Empty } from '../ui/empty.tsx';
import { Select } from '../ui/filter.tsx';
import { Notice } from '../ui/problem.tsx';
import { homogeneousSet, judge, sets, whyNot, type Judgement } from './count-rules.ts';
import { ChangeActions, PlanBox, usePlan, useSending } from './plan.tsx';
import { openUnassign } from './unassign-dialog.tsx';

type Chosen = Signal<ReadonlySet<string>>;

/** Opens with these GPUs chosen; with none named, with the homogeneous set if there is one. */
export function openCount(ids?: readonly string[]): void {
  const start = ids ?? (homogeneousSet([...gpus.value.values()]) ?? []).map((gpu) => gpu.id);
  openDialog(() => <CountDialog start={start} />);
}

const wishOf = (text: string): api.Wish | null =>
  text === '' ? null : text === 'off' ? { off: true } : { count: Number(text) };

function CountDialog({ start }: { start: readonly string[] }) {
  const chosen = useSignal<ReadonlySet<string>>(new Set(start));
  const text = useSignal('');
  const list = useComputed(() => [...gpus.value.values()].filter((gpu) => chosen.value.has(gpu.id)));
  const judged = useComputed(() => judge(list.value, [...gpus.value.values()], (gpu) => partitionsOfGpu.value.get(gpu) ?? []));
  const wish = wishOf(text.value);
  const isValid = wish !== null && ('off' in wish || judged.value.counts.includes(wish.count));
  const request = wish && list.value.length > 0 ? { gpus: list.value.map((gpu) => gpu.id), wish } : null;
  const isReady = request !== null && isValid && judged.value.errors.length === 0;
  const isAll = list.value.length === [...gpus.value.values()].filter((gpu) => whyNot(gpu) === null).length;
  const planned = usePlan(isReady ? JSON.stringify(request) : null, () => api.planCounts(request as api.CountRequest));
  const sending = useSending(() => api.setCounts(request as api.CountRequest));
  const many = count(list.value.length, 'GPU');
  const what = wish === null ? 'Set the partition count' : 'off' in wish ? `Remove the partitions of ${many}` : `Set ${count(wish.count, 'partition')} on ${many}`;

  return (
    <Dialog
      title="Set the partition count" wide onSubmit={() => { if (isReady) sending.send(); }}
      actions={<ChangeActions sending={sending} text={what} command={isReady ? cli.setCount(request, isAll) : null} isReady={isReady && planned.problem === null} />}
    >
      <div class="two-columns">
        <Choose chosen={chosen} />
        <fieldset class="panel">
          <legend>Into how many partitions</legend>
          <Select label="Number of partitions" value={text} choices={countChoices(list.value, judged.value)} />
          <Preview list={list.value} wish={isValid ? wish : null} />
          <Judged judged={judged.value} chosen={chosen} />
          <PlanBox planned={planned} />
        </fieldset>
      </div>
    </Dialog>
  );
}

/** Only what the vendor's driver takes. */
function countChoices(list: readonly Gpu[], { counts }: Judgement): [string, string][] {
  const memory = list[0]?.memory_bytes ?? null;
  const ofCount = (one: number): [string, string] => {
    const each = memory === null ? '' : `: ${bytes(memory / one)} each`;
    return [String(one), `${count(one, 'partition')}${each}`];
  };
  return [['', list.length === 0 ? 'Choose GPUs first' : 'Choose …'], ...counts.map(ofCount), ...(list.length > 0 ? [['off', 'Off: not split'] as [string, string]] : [])];
}

function Preview({ list, wish }: { list: readonly Gpu[]; wish: api.Wish | null }) {
  const gpu = list[0];
  return (
    <div class="preview-box" aria-live="polite">
      {gpu && wish && 'count' in wish && (
        <>
          <PreviewBar many={wish.count} text={bytes(gpu.memory_bytes === null ? null : gpu.memory_bytes / wish.count)} />
          <p><strong>{bytes(gpu.memory_bytes === null ? null : gpu.memory_bytes / wish.count)}</strong> of GPU memory for each partition; {count(wish.count * list.length, 'partition')} in all.</p>
        </>
      )}
      {wish && 'off' in wish && <p>The GPUs are not split any more.</p>}
    </div>
  );
}

function Judged({ judged, chosen }: { judged: Judgement; chosen: Chosen }) {
  const all = sets([...gpus.value.values()]);
  return (
    <div class="panel" aria-live="polite">
      {judged.errors.map((text) => <Notice key={text} tone="danger"><p><strong>Cannot go on:</strong> {text}</p></Notice>)}
      {judged.inTheWay.length > 0 && (
        <p><button type="button" class="button" onClick={() => openUnassign(judged.inTheWay.map((vm) => vm.id))}>Unassign {count(judged.inTheWay.length, 'VM')} …</button></p>
      )}
      {judged.warnings.map((text) => <Notice key={text} tone="warning"><p>{text}</p></Notice>)}
      {all.length > 1 && (
        <div class="choices">
          {all.map((set) => (
            <button key={set.key} type="button" class="button" onClick={() => { chosen.value = new Set(set.gpus.map((gpu) => gpu.id)); }}>
              Choose {count(set.gpus.length, 'GPU')}: {set.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

function Choose({ chosen }: { chosen: Chosen }) {
  const withGpus = servers.value.filter((server) => gpusOfServer.value.has(server));
  return (
    <fieldset class="panel">
      <legend>GPUs <span class="hint">{number(chosen.value.size)} chosen</span></legend>
      {withGpus.length === 0 && <Empty title="No GPU was found."><p>The checks say what to look at.</p></Empty>}
      <div class="choose-list">
        {withGpus.map((server) => <OfServer key={server} server={server} chosen={chosen} />)}
      </div>
    </fieldset>
  );
}

function OfServer({ server, chosen }: { server: string; chosen: Chosen }) {
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
      {list.map((gpu) => {
        const why = whyNot(gpu);
        return (
          <label key={gpu.id} class={why === null ? 'choose-line inner' : 'choose-line inner barred'}>
            <input type="checkbox" checked={chosen.value.has(gpu.id)} disabled={why !== null} onChange={(event) => set([gpu.id], event.currentTarget.checked)} />
            <span>
              {gpu.model} <span class="hint">{gpu.pci_address} · {bytes(gpu.memory_bytes)} · {gpu.partition_count ? `split into ${number(gpu.partition_count)}` : gpu.mode === 'partitionable' ? 'not split' : words(gpu.mode)}</span>
              {why !== null && <span class="why">{why}</span>}
            </span>
          </label>
        );
      })}
    </div>
  );
}
