// The start in Cockpit: the same console, reached through the bridge, in the colours of Cockpit, for the user
// who is signed in there. Nobody signs in a second time: divvyd asks the kernel who is at its socket.

import { render } from 'preact';
import * as api from '../api.ts';
import { App } from '../app.tsx';
import { signedInBySocket, who } from '../credentials.ts';
import { applyPreferences } from '../prefs.ts';
import { NotLetIn } from '../transport.ts';
import { problemOf } from '../ui/problem.tsx';
import { followColours } from './colours.ts';
import { Door, door } from './door.tsx';
import { bridgeTransport } from './transport.ts';

/** Between two attempts to be let in. */
const AGAIN_MS = 2000;

/** Until divvyd lets the user in. */
async function knock(user: string): Promise<void> {
  for (;;) {
    try {
      await api.version();
      return signedInBySocket(user);
    } catch (error) {
      const isSilent = error instanceof api.Unreachable;
      door.value = error instanceof NotLetIn ? 'shut' : isSilent ? 'silent' : problemOf(error);
      who.value = 'nobody';
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

function socketOf(manifest: { socket?: unknown } | undefined): string {
  return typeof manifest?.socket === 'string' ? manifest.socket : '/run/divvy/divvy.sock';
}

async function begin(): Promise<void> {
  followColours();
  applyPreferences();
  const socket = socketOf(cockpit.manifests['divvy']);
  api.useTransport(bridgeTransport(cockpit, socket));
  const { name } = await cockpit.user();
  const place = document.getElementById('console');
  if (place) render(<App nobody={<Door user={name} socket={socket} />} />, place);
  // Whom divvyd knew and knows no more knocks again.
  who.subscribe((now) => { if (now === 'asking' || now === 'nobody') void knockOnce(name); });
}

let isKnocking = false;

async function knockOnce(user: string): Promise<void> {
  if (isKnocking) return;
  isKnocking = true;
  await knock(user);
  isKnocking = false;
}

void begin();
