// A field for one line of text, with what is wrong with it said beside it and read out with it.

import type { Signal } from '@preact/signals';
import { useId } from 'preact/hooks';

interface Props {
  label: string;
  value: Signal<string>;
  /** Why what stands in it cannot be. */
  error: string | null;
  hint?: string;
  isNumber?: boolean;
}

export function TextField({ label, value, error, hint, isNumber }: Props) {
  const id = useId();
  return (
    <div class="form-field">
      <label class="label" htmlFor={id}>{label}</label>
      <input
        id={id} class={isNumber ? 'field short' : 'field'} type="text" autocomplete="off" spellcheck={false} inputMode={isNumber ? 'numeric' : 'text'}
        aria-invalid={error !== null} aria-describedby={`${id}-more`}
        value={value.value} onInput={(event) => { value.value = event.currentTarget.value; }}
      />
      <p id={`${id}-more`} class={error === null ? 'hint' : 'wrong'} aria-live="polite">{error ?? hint ?? ''}</p>
    </div>
  );
}
