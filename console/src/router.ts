// Where in the console we are: the part of the address after #, so that no server has to know our pages and
// the same files work below any path.

import { computed, signal } from '@preact/signals';

function read(): string {
  return location.hash.replace(/^#/, '') || '/';
}

const here = signal(read());
window.addEventListener('hashchange', () => { here.value = read(); });

export interface Route {
  /** The first part: which page. */
  page: string;
  /** The second part: which thing, or nothing. */
  id: string | null;
  /** What stands behind the question mark. */
  query: URLSearchParams;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = computed<Route>(() => {
  const [path = '', query = ''] = here.value.split('?');
  const [page = '', ...rest] = path.replace(/^\//, '').split('/');
  const id = rest.join('/');
  return { page, id: id === '' ? null : decoded(id), query: new URLSearchParams(query) };
});

/** The address of a page, or of one thing on it. */
export function to(page: string, id?: string | number | null): string {
  return id === undefined || id === null ? `#/${page}` : `#/${page}/${encodeURIComponent(String(id))}`;
}

export function go(address: string): void {
  location.hash = address;
}
