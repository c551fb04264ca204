// A button with a few more things to do. Arrow keys go through them, Esc closes, and the focus goes back to
// the button.

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Icon } from './icon.tsx';

export interface MenuItem {
  text: string;
  do: () => void;
}

interface Props {
  label: string;
  items: MenuItem[];
  children?: ComponentChildren;
}

export function Menu({ label, items, children }: Props) {
  const isOpen = useSignal(false);
  const id = useId();
  const place = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const entries = () => [...(place.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])];

  useEffect(() => {
    if (!isOpen.value) return;
    entries()[0]?.focus();
    const outside = (event: Event) => {
      if (!place.current?.contains(event.target as Node)) isOpen.value = false;
    };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [isOpen.value]);

  const close = () => {
    isOpen.value = false;
    button.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    const all = entries();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      all[next % all.length]?.focus();
    } else if (event.key === 'Escape') {
      event.stopPropagation();
      close();
    } else if (event.key === 'Tab') {
      isOpen.value = false;
    }
  };

  return (
    <div class="menu" ref={place} onKeyDown={isOpen.value ? onKey : undefined}>
      <button
        ref={button} type="button" class="button plain" aria-haspopup="menu" aria-expanded={isOpen.value}
        aria-controls={isOpen.value ? id : undefined} aria-label={label} onClick={() => { isOpen.value = !isOpen.value; }}
      >
        {children}<Icon name="down" />
      </button>
      {isOpen.value && (
        <div id={id} class="menu-list" role="menu" aria-label={label}>
          {items.map((item) => (
            <button key={item.text} type="button" role="menuitem" tabIndex={-1} onClick={() => { close(); item.do(); }}>
              {item.text}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
