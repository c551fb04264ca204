// A text field with a list of what fits: type to narrow it, arrow keys and Enter to choose, Esc to leave it
// as it was. For choices that are too many for a plain list.

import { useSignal } from '@preact/signals';
import { useId, useRef } from 'preact/hooks';

export interface Choice {
  value: string;
  text: string;
  more?: string;
}

interface Props {
  label: string;
  choices: Choice[];
  value: string;
  onChoose: (value: string) => void;
}

/** Nobody reads a longer list; typing narrows it. */
const MOST_SHOWN = 50;

export function Combobox({ label, choices, value, onChoose }: Props) {
  const id = useId();
  const typed = useSignal<string | null>(null);
  const at = useSignal(0);
  const list = useRef<HTMLUListElement>(null);
  const chosen = choices.find((one) => one.value === value)?.text ?? '';
  const wanted = (typed.value ?? '').trim().toLowerCase();
  const fits = (one: Choice) => `${one.text} ${one.more ?? ''}`.toLowerCase().includes(wanted);
  const fitting = choices.filter(fits).slice(0, MOST_SHOWN);
  const isOpen = typed.value !== null;
  const active = Math.min(at.value, fitting.length - 1);

  const open = (text: string) => {
    typed.value = text;
    at.value = 0;
  };
  const choose = (choice: Choice | undefined) => {
    typed.value = null;
    if (choice) onChoose(choice.value);
  };
  const move = (to: number) => {
    at.value = Math.max(0, Math.min(to, fitting.length - 1));
    list.current?.children[at.value]?.scrollIntoView({ block: 'nearest' });
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (!isOpen) open('');
      else move(active + (event.key === 'ArrowDown' ? 1 : -1));
    } else if (isOpen && event.key === 'Enter') {
      event.preventDefault();
      choose(fitting[active]);
    } else if (isOpen && event.key === 'Escape') {
      // Esc closes the list first, and the dialog only when there is none.
      event.preventDefault();
      event.stopPropagation();
      typed.value = null;
    }
  };

  return (
    <div class="combobox">
      <label class="label" htmlFor={`${id}-field`}>{label}</label>
      <input
        id={`${id}-field`} class="field" type="text" role="combobox" autocomplete="off" spellcheck={false}
        aria-expanded={isOpen} aria-controls={isOpen ? `${id}-list` : undefined} aria-autocomplete="list"
        aria-activedescendant={isOpen && fitting.length > 0 ? `${id}-${active}` : undefined}
        value={typed.value ?? chosen} onInput={(event) => open(event.currentTarget.value)}
        onClick={() => { if (!isOpen) open(''); }} onKeyDown={onKey} onBlur={() => { typed.value = null; }}
      />
      {isOpen && (
        <ul ref={list} id={`${id}-list`} class="combobox-list" role="listbox" aria-label={label}>
          {fitting.map((one, nth) => (
            <Option key={one.value} id={`${id}-${nth}`} choice={one} isActive={nth === active} onChoose={() => choose(one)} />
          ))}
          {fitting.length === 0 && <li role="option" aria-selected={false} aria-disabled="true">nothing fits</li>}
        </ul>
      )}
    </div>
  );
}

interface OptionProps {
  id: string;
  choice: Choice;
  isActive: boolean;
  onChoose: () => void;
}

function Option({ id, choice, isActive, onChoose }: OptionProps) {
  // Chosen before the field would lose the focus and close the list.
  const press = (event: Event) => {
    event.preventDefault();
    onChoose();
  };
  return (
    <li id={id} role="option" aria-selected={isActive} onPointerDown={press}>
      {choice.text}{choice.more && <span class="hint"> {choice.more}</span>}
    </li>
  );
}
