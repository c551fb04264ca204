// What a request carries so that the server knows who asks: with a session, the cookie goes by itself and a
// change needs the session's CSRF token; without sessions, the token as a bearer, kept in memory only and
// gone with the page; in a page of Cockpit nothing, for there the kernel tells the server.

import { signal } from '@preact/signals';

const CSRF = 'divvy.csrf';

let bearer: string | null = null;

/** How the server knows who asks; `socket`: from the kernel, and nobody signs in or out here. */
export type By = 'session' | 'token' | 'socket';

/** `asking` until it is known whether somebody is signed in. */
export const who = signal<'asking' | 'nobody' | { user: string; by: By }>('asking');

/** Somebody was signed in, and the server does not know them any more. */
export const sessionEnded = signal(false);

export function credentials(method: string): Record<string, string> {
  if (bearer !== null) return { authorization: `Bearer ${bearer}` };
  const csrf = method === 'GET' ? null : sessionStorage.getItem(CSRF);
  return csrf === null ? {} : { 'x-csrf-token': csrf };
}

export function signedInBySession(user: string, csrf: string | null | undefined): void {
  bearer = null;
  // Of no use to anybody without the cookie, which no script can read; kept so that a reload may go on.
  if (csrf) sessionStorage.setItem(CSRF, csrf);
  sessionEnded.value = false;
  who.value = { user, by: 'session' };
}

export function signedInByBearer(): void {
  sessionEnded.value = false;
  who.value = { user: 'token', by: 'token' };
}

export function signedInBySocket(user: string): void {
  sessionEnded.value = false;
  who.value = { user, by: 'socket' };
}

export function tryBearer(token: string | null): void {
  bearer = token;
}

export function forgetWho(): void {
  bearer = null;
  sessionStorage.removeItem(CSRF);
  sessionEnded.value = false;
  who.value = 'nobody';
}

/** The server said that it does not know who asks. */
export function signedOut(): void {
  if (typeof who.value === 'object') {
    forgetWho();
    sessionEnded.value = true;
  }
}
