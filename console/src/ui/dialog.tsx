// One dialog at a time, over the page. The browser's own element keeps the keyboard inside, closes on Esc and
// gives the focus back; what stands in the dialog is whoever's opens it.

import { signal } from '@preact/signals';
import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Icon } from './icon.tsx';

const opened = signal<(() => VNode) | null>(null);

export function openDialog(content: () => VNode): void {
  opened.value = content;
}

export function closeDialog(): void {
  opened.value = null;
}

/** Where the dialog appears; once in the page. */
export function DialogPlace() {
  const Content = opened.value;
  return Content === null ? null : <Content />;
}

interface Props {
  title: string;
  wide?: boolean;
  /** The buttons; the first thing that can be done stands first. */
  actions: ComponentChildren;
  children: ComponentChildren;
  onSubmit?: () => void;
}

export function Dialog({ title, wide, actions, children, onSubmit }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const isGone = useRef(false);
  useEffect(() => {
    const dialog = ref.current;
    // The element that had the focus gets it back when a modal dialog closes.
    dialog?.showModal();
    dialog?.querySelector('h2')?.focus();
    return () => {
      isGone.current = true;
      dialog?.close();
    };
  }, []);
  // The browser tells of the end a moment later, when another dialog may stand in this place.
  const ended = () => { if (!isGone.current) closeDialog(); };
  const submit = (event: Event) => {
    event.preventDefault();
    onSubmit?.();
  };
  return (
    <dialog ref={ref} class={wide ? 'dialog wide' : 'dialog'} aria-labelledby={heading} onClose={ended}>
      <form onSubmit={submit} noValidate>
        <header class="dialog-head">
          <h2 id={heading} tabIndex={-1}>{title}</h2>
          <button type="button" class="button plain" aria-label="Close" onClick={closeDialog}><Icon name="close" /></button>
        </header>
        <div class="dialog-body">{children}</div>
        <footer class="dialog-foot">{actions}</footer>
      </form>
    </dialog>
  );
}
