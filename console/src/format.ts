// Numbers, sizes, times and words as people read them: in the locale of the browser. What is shown where is
// not known here.

const locale = navigator.languages.length > 0 ? [...navigator.languages] : undefined;

const integer = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const percents = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 });
const dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
const timeOnly = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' });
const seconds = new Intl.NumberFormat(locale, { style: 'unit', unit: 'second', maximumFractionDigits: 1 });
const minutes = new Intl.NumberFormat(locale, { style: 'unit', unit: 'minute', maximumFractionDigits: 0 });

export const NONE = '–';

export const number = (value: number | null | undefined): string =>
  value === null || value === undefined ? NONE : integer.format(value);

export const share = (part: number, whole: number): string => percents.format(whole === 0 ? 0 : part / whole);

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Binary units, because GPUs are made in them; no locale has another word for GiB. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  let amount = value;
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${decimal.format(amount)}\u00a0${UNITS[unit]}`;
}

export const moment = (ms: number): string => dateTime.format(ms);
export const clock = (ms: number): string => timeOnly.format(ms);

export function duration(ms: number): string {
  if (ms < 60_000) return seconds.format(Math.max(0, ms) / 1000);
  return `${minutes.format(Math.floor(ms / 60_000))} ${seconds.format(Math.round((ms % 60_000) / 1000))}`;
}

export const isoTime = (ms: number): string => new Date(ms).toISOString();

/** `not_assignable` is written `not assignable`. */
export const words = (code: string): string => code.replaceAll('_', ' ');

/** `one GPU`, `3 GPUs`. */
export const count = (value: number, one: string, many = `${one}s`): string =>
  `${number(value)} ${value === 1 ? one : many}`;

export const yes = (is: boolean | null | undefined): string => (is === null || is === undefined ? NONE : is ? 'yes' : 'no');

/** Ascending numbers; three and more in a row as their first and last: `1–4, 8`. */
export function numbers(list: readonly number[]): string {
  const runs: number[][] = [];
  for (const one of list) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1) === one - 1) run.push(one);
    else runs.push([one]);
  }
  const told = (run: number[]) => (run.length < 3 ? run.map(number).join(', ') : `${number(run[0])}–${number(run.at(-1))}`);
  return runs.map(told).join(', ');
}

/** The short name of a guest OS out of its libosinfo id. */
export const system = (id: string | null): string =>
  id === null ? NONE : id.replace(/^https?:\/\/[^/]+\//, '').replaceAll('/', ' ');
