// Setting a partition count, or different sizes where the GPUs take them: which GPUs, how many partitions, and
// what that means for the memory of each, before anything is done.

import { useComputed, useSignal, type Signal } from '@preact/signals';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { bytes, count } from '../format.ts';
import { gpus, partitionsOfGpu } from '../store.ts';
import type { Gpu } from '../types.ts';
import { PreviewBar, SizesBar } from '../ui/bar.tsx';
import { Dialog, openDialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { Select } from '../ui/filter.tsx';
import { Notice } from '../ui/problem.tsx';
import { GpuChoices } from './choose-gpus.tsx';
import { eachHas, homogeneousSet, judge, sets, sizesOf, whyNot, type Judgement } from './count-rules.ts';
import { ChangeActions, PlanBox, usePlan, useSending } from './plan.tsx';
import { openUnassign } from './unassign-dialog.tsx';

type Chosen = Signal<ReadonlySet<string>>;

/** Opens with these GPUs chosen; with none named, with the homogeneous set if there is one. */
export function openCount(ids?: readonly string[], wish: '' | 'off' = ''): void {
  const start = ids ?? (homogeneousSet([...gpus.value.values()]) ?? []).map((gpu) => gpu.id);
  openDialog(() => <CountDialog start={start} startWish={wish} />);
}

/** The choice that opens the field for sizes. */
const SIZES = 'sizes';

function wishOf(text: string, sizes: ReturnType<typeof sizesOf>): api.Wish | null {
  if (text === SIZES) return sizes !== null && 'sizes' in sizes ? sizes : null;
  return text === '' ? null : text === 'off' ? { off: true } : { count: Number(text) };
}

function inWords(wish: api.Wish | null, many: string): string {
  if (wish === null) return 'Set the partition count';
  if ('off' in wish) return `Remove the partitions of ${many}`;
  return 'sizes' in wish ? `Set ${count(wish.sizes.length, 'partition')} of the sizes ${wish.sizes.join(',')} on ${many}` : `Set ${count(wish.count, 'partition')} on ${many}`;
}

function CountDialog({ start, startWish }: { start: readonly string[]; startWish: string }) {
  const chosen = useSignal<ReadonlySet<string>>(new Set(start));
  const text = useSignal<string>(startWish);
  const typedSizes = useSignal('');
  const list = useComputed(() => [...gpus.value.values()].filter((gpu) => chosen.value.has(gpu.id)));
  const judged = useComputed(() => judge(list.value, [...gpus.value.values()], (gpu) => partitionsOfGpu.value.get(gpu) ?? []));
  const sizes = judged.value.takesSizes ? sizesOf(typedSizes.value, judged.value.counts) : null;
  const wish = wishOf(text.value, sizes);
  const isValid = wish !== null && (!('count' in wish) || judged.value.counts.includes(wish.count));
  const request = wish && list.value.length > 0 ? { gpus: list.value.map((gpu) => gpu.id), wish } : null;
  const isReady = request !== null && isValid && judged.value.errors.length === 0;
  const isAll = list.value.length === [...gpus.value.values()].filter((gpu) => whyNot(gpu) === null).length;
  const planned = usePlan(isReady ? JSON.stringify(request) : null, () => api.planCounts(request as api.CountRequest));
  const sending = useSending(() => api.setCounts(request as api.CountRequest));
  const many = count(list.value.length, 'GPU');
  const what = inWords(wish, many);

  return (
    <Dialog
      title="Set the partition count" wide onSubmit={() => { if (isReady) sending.send(); }}
      actions={<ChangeActions sending={sending} text={what} command={isReady ? cli.setCount(request, isAll) : null} isReady={isReady && planned.problem === null} />}
    >
      <div class="two-columns">
        <GpuChoices chosen={chosen} whyNot={whyNot} />
        <fieldset class="panel">
          <legend>Into how many partitions</legend>
          <Select label="Number of partitions" value={text} choices={countChoices(list.value, judged.value)} />
          {text.value === SIZES && judged.value.takesSizes && (
            <TextField
              label="Sizes" value={typedSizes} error={sizes !== null && 'error' in sizes ? sizes.error : null}
              hint="One number for each partition, such as 2,4,4: one as large as each of two equal partitions, and two as large as each of four."
            />
          )}
          <Preview list={list.value} wish={isValid ? wish : null} />
          <Judged judged={judged.value} chosen={chosen} />
          <PlanBox planned={planned} />
        </fieldset>
      </div>
    </Dialog>
  );
}

/** Only what the vendor's driver takes. */
function countChoices(list: readonly Gpu[], { counts, takesSizes }: Judgement): [string, string][] {
  const ofCount = (one: number): [string, string] => {
    const has = list[0] ? eachHas(list[0], one) : null;
    const each = has === null ? '' : `: ${bytes(has)} each`;
    return [String(one), `${count(one, 'partition')}${each}`];
  };
  return [['', list.length === 0 ? 'Choose GPUs first' : 'Choose …'], ...counts.map(ofCount), ...(takesSizes ? [[SIZES, 'Different sizes …'] as [string, string]] : []), ...(list.length > 0 ? [['off', 'Off: not split'] as [string, string]] : [])];
}

function Preview({ list, wish }: { list: readonly Gpu[]; wish: api.Wish | null }) {
  const gpu = list[0];
  return (
    <div class="preview-box" aria-live="polite">
      {gpu && wish && 'count' in wish && (
        <>
          <PreviewBar many={wish.count} text={bytes(eachHas(gpu, wish.count))} />
          <p><strong>{bytes(eachHas(gpu, wish.count))}</strong> of GPU memory for each partition; {count(wish.count * list.length, 'partition')} in all.</p>
        </>
      )}
      {gpu && wish && 'sizes' in wish && (
        <>
          <SizesBar sizes={wish.sizes} textOf={(size) => bytes(eachHas(gpu, size))} />
          <p>{wish.sizes.map((size) => bytes(eachHas(gpu, size))).join(', ')} of GPU memory; {count(wish.sizes.length * list.length, 'partition')} in all.</p>
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
