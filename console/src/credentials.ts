// What a request carries so that the server knows who asks: with a session, the cookie goes by itself and a
// change needs the session's CSRF token; without sessions, the token as a bearer, kept in memory only and
// gone with the page.

import { signal } from '@preact/signals';

const CSRF = 'divvy.csrf';

let bearer: string | null = null;

/** `asking` until it is known whether somebody is signed in. */
export const who = signal<'asking' | 'nobody' | { user: string; hasSession: boolean }>('asking');

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
  who.value = { user, hasSession: true };
}

export function signedInByBearer(): void {
  sessionEnded.value = false;
  who.value = { user: 'token', hasSession: false };
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
