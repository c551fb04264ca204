// What this browser likes: light or dark, and the direction of reading. Kept in the browser, never on the
// server; nothing secret.

import { effect, signal, type Signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';
export type Direction = 'ltr' | 'rtl';

function kept<T extends string>(name: string, allowed: readonly T[]): Signal<T> {
  const key = `divvy.${name}`;
  const found = localStorage.getItem(key) as T | null;
  const value = signal<T>(found !== null && allowed.includes(found) ? found : (allowed[0] as T));
  effect(() => localStorage.setItem(key, value.value));
  return value;
}

export const theme = kept<Theme>('theme', ['system', 'light', 'dark']);
export const direction = kept<Direction>('direction', ['ltr', 'rtl']);

/** What the page around this one is, where there is one; then it counts, and there is nothing to choose. */
export const surrounding = signal<'light' | 'dark' | null>(null);

export const systemIsDark = matchMedia('(prefers-color-scheme: dark)');

/** Puts both on the page, and keeps them there when the system changes its mind. */
export function applyPreferences(): void {
  const put = () => {
    const chosen = surrounding.value ?? theme.value;
    const isDark = chosen === 'dark' || (chosen === 'system' && systemIsDark.matches);
    document.documentElement.dataset['theme'] = isDark ? 'dark' : 'light';
    document.documentElement.dir = direction.value;
  };
  effect(put);
  systemIsDark.addEventListener('change', put);
}
