// Short news at the edge of the page: what was accepted, what has ended. Good news goes away by itself, bad
// news stays until somebody has taken note; everything in it can be found again under Jobs.

import { signal } from '@preact/signals';
import { Icon, type IconName } from './icon.tsx';

export interface Toast {
  tone: 'good' | 'calm' | 'danger';
  text: string;
  link?: { to: string; text: string };
  /** Takes the place of what was said about the same thing before. */
  about?: string;
}

const GOES_AFTER_MS = 8000;
const MOST = 4;
const ICONS: Record<Toast['tone'], IconName> = { good: 'check', calm: 'info', danger: 'error' };

const shown = signal<readonly (Toast & { id: number })[]>([]);
let last = 0;

export function toast(news: Toast): void {
  last += 1;
  const id = last;
  const others = shown.peek().filter((one) => news.about === undefined || one.about !== news.about);
  shown.value = [...others.slice(1 - MOST), { ...news, id }];
  if (news.tone !== 'danger') goLater(id);
}

/** Not while somebody reads it or has the focus in it. */
function goLater(id: number): void {
  setTimeout(() => {
    const element = document.querySelector(`[data-toast="${id}"]`);
    if (element?.matches(':hover, :focus-within')) goLater(id);
    else dismiss(id);
  }, GOES_AFTER_MS);
}

function dismiss(id: number): void {
  shown.value = shown.peek().filter((one) => one.id !== id);
}

export function ToastPlace() {
  return (
    <section class="toasts" aria-label="News" aria-live="polite" aria-relevant="additions">
      {shown.value.map((one) => (
        <div key={one.id} class={`toast tone-${one.tone}`} data-toast={one.id}>
          <Icon name={ICONS[one.tone]} />
          <p>{one.text} {one.link && <a href={one.link.to}>{one.link.text}</a>}</p>
          <button type="button" class="button plain small" aria-label={`Dismiss: ${one.text}`} onClick={() => dismiss(one.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </section>
  );
}
