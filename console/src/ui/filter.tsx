// The line above a list: what to look for, how many fit, and what to do with those that are chosen.

import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { number } from '../format.ts';

interface Props {
  label: string;
  text: Signal<string>;
  fitting: number;
  all: number;
  children?: ComponentChildren;
}

export function Filter({ label, text, fitting, all, children }: Props) {
  const id = useId();
  return (
    <div class="toolbar">
      <div class="search">
        <label class="hidden" htmlFor={id}>{label}</label>
        <input
          id={id} class="field" type="search" placeholder={label} value={text.value}
          onInput={(event) => { text.value = event.currentTarget.value; }}
        />
      </div>
      <span class="hint" role="status">{fitting === all ? `${number(all)} in all` : `${number(fitting)} of ${number(all)}`}</span>
      {children}
    </div>
  );
}

/** Every word that was typed stands somewhere in the text. */
export function fits(typed: string, ...texts: (string | null)[]): boolean {
  if (typed === '') return true;
  const whole = texts.join(' ').toLowerCase();
  return typed.toLowerCase().split(/\s+/).every((word) => whole.includes(word));
}

interface SelectProps<T extends string> {
  label: string;
  value: Signal<T>;
  choices: readonly (readonly [T, string])[];
}

export function Select<T extends string>({ label, value, choices }: SelectProps<T>) {
  const id = useId();
  return (
    <div class="select">
      <label class="label" htmlFor={id}>{label}</label>
      <select id={id} class="field" value={value.value} onChange={(event) => { value.value = event.currentTarget.value as T; }}>
        {choices.map(([word, text]) => <option key={word} value={word}>{text}</option>)}
      </select>
    </div>
  );
}
