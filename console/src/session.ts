// Signing in and out. A server with sessions gives one for a user's password or for the token; one without
// takes the token with every request. Which of both it is, the first answers tell.

import * as api from './api.ts';
import { forgetWho, signedInByBearer, signedInBySession, tryBearer, who } from './credentials.ts';

function isStatus(error: unknown, ...statuses: number[]): boolean {
  return error instanceof api.Refused && statuses.includes(error.problem.status ?? 0);
}

/** Finds out whether somebody is signed in already. Throws when nobody answers. */
export async function lookWho(): Promise<void> {
  try {
    const session = await api.whoAmI();
    signedInBySession(session.user, session.csrf);
  } catch (error) {
    if (isStatus(error, 404)) return lookWithoutSessions();
    if (!isStatus(error, 401)) throw error;
    who.value = 'nobody';
  }
}

/** A server that lets this page in as it is, or wants the token. */
async function lookWithoutSessions(): Promise<void> {
  try {
    await api.version();
    signedInByBearer();
  } catch (error) {
    if (!isStatus(error, 401)) throw error;
    who.value = 'nobody';
  }
}

export async function signInWithPassword(user: string, password: string): Promise<void> {
  const session = await api.signIn({ user, password });
  signedInBySession(session.user, session.csrf);
}

export async function signInWithToken(token: string): Promise<void> {
  try {
    const session = await api.signIn({ token });
    signedInBySession(session.user, session.csrf);
  } catch (error) {
    // A server without sessions answers that there is no such place, or does not look who asks that.
    if (!isStatus(error, 401, 404, 405)) throw error;
    await withBearer(token);
  }
}

async function withBearer(token: string): Promise<void> {
  tryBearer(token);
  try {
    await api.version();
  } catch (error) {
    tryBearer(null);
    throw error;
  }
  signedInByBearer();
}

export async function signOut(): Promise<void> {
  const now = who.value;
  try {
    if (typeof now === 'object' && now.by === 'session') await api.endSession();
  } catch (error) {
    // A session that is gone needs no end; one that the server still knows is not ended by forgetting it.
    if (!isStatus(error, 401, 404)) throw error;
  }
  forgetWho();
}
