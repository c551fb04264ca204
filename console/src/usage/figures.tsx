// How busy something is, with its engines for video, and how much memory it uses: always as text, with a bar
// beside it for the eye. What cannot be told is a dash.

import { bytes, NONE, share } from '../format.ts';

interface Measured {
  memory_bytes: number | null;
  memory_used_bytes: number | null;
  utilization_percent: number | null;
  encoder_utilization_percent?: number | null;
  decoder_utilization_percent?: number | null;
}

/** What the figure is of, for who hears the bar instead of seeing it. */
interface Props {
  of: Measured;
  name: string;
}

function Bar({ name, part, whole }: { name: string; part: number; whole: number }) {
  return <meter class="use-bar" aria-label={name} min={0} max={Math.max(1, whole)} value={Math.min(part, whole)} />;
}

function Percent({ percent, name }: { percent: number | null | undefined; name: string }) {
  if (percent == null) return <>{NONE}</>;
  return <span class="use"><span>{share(percent, 100)}</span> <Bar name={name} part={percent} whole={100} /></span>;
}

export const Busy = ({ of, name }: Props) => <Percent percent={of.utilization_percent} name={`${name}: busy`} />;
/** A server of before does not tell it. */
export const Encoding = ({ of, name }: Props) => <Percent percent={of.encoder_utilization_percent} name={`${name}: encoding`} />;
export const Decoding = ({ of, name }: Props) => <Percent percent={of.decoder_utilization_percent} name={`${name}: decoding`} />;

export function Memory({ of, name }: Props) {
  const { memory_used_bytes: used, memory_bytes: all } = of;
  if (used === null) return <>{NONE}</>;
  if (all === null) return <>{bytes(used)}</>;
  return <span class="use"><span>{bytes(used)} of {bytes(all)}</span> <Bar name={`${name}: memory used`} part={used} whole={all} /></span>;
}

/** Both in one short line; nothing where nothing is told. */
export function Short({ of, name }: Props) {
  const percent = of.utilization_percent;
  const told = [
    percent === null ? null : `${share(percent, 100)} busy`,
    of.memory_used_bytes === null ? null : `${bytes(of.memory_used_bytes)} used`,
  ];
  const text = told.filter((one) => one !== null).join(' · ');
  if (text === '') return null;
  return <span class="use hint"><span>{text}</span> {percent !== null && <Bar name={`${name}: busy`} part={percent} whole={100} />}</span>;
}
