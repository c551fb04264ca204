// The start: preferences on the page, the console into it, and the question who is there.

import { render } from 'preact';
import { App } from './app.tsx';
import { applyPreferences } from './prefs.ts';
import { lookWho } from './session.ts';
import { SignIn } from './signin/page.tsx';

/** Between two attempts to reach a server that does not answer at the start. */
const AGAIN_MS = 2000;

async function lookUntilAnswered(): Promise<void> {
  for (;;) {
    try {
      return await lookWho();
    } catch {
      // Whatever it is, without an answer there is nothing to show but that there is none.
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

applyPreferences();
const place = document.getElementById('console');
if (place) render(<App nobody={<SignIn />} />, place);
void lookUntilAnswered();
