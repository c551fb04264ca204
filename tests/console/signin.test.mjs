// Who gets in: whoever has the token, until the page is closed or they sign out; nobody else sees anything.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { endBrowser, inConsole, Room, signInWithToken, startBrowser } from './harness.mjs';

let room;
before(async () => {
  room = await Room.start('a2-edge');
  await startBrowser();
});
after(async () => {
  await endBrowser();
  await room.end();
});

test('a wrong token is refused and nothing is shown', async () => {
  await inConsole(room, { signIn: false }, async (page) => {
    await page.getByLabel('Token', { exact: true }).first().check();
    await page.getByRole('textbox', { name: 'Token' }).fill('0'.repeat(64));
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Not signed in:').waitFor();
    assert.equal(await page.getByRole('navigation').count(), 0);
  });
});

test('signing out shows nothing any more', async () => {
  await inConsole(room, {}, async (page) => {
    await page.getByRole('button', { name: /^User/ }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.equal(await page.getByText('edge-1').count(), 0);
    await signInWithToken(page, room.token);
  });
});

test('the token is kept nowhere', async () => {
  await inConsole(room, {}, async (page) => {
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    assert.ok(!kept.includes(room.token), kept);
  });
});
