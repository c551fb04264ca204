// A hundred servers with 8 GPUs of 32 partitions each: what is drawn stays as much as a person can look at.
// Counted, not timed.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SERVERS, tellOfHall } from './hall.mjs';
import { endBrowser, openConsole, openDialog, Room, signInWithToken, startBrowser, until, visit } from './harness.mjs';

/** Less than one in ten of the partitions alone. */
const MOST_ELEMENTS = 6000;

let room;
let opened;
before(async () => {
  room = await Room.start('a2-edge');
  await startBrowser();
  opened = await openConsole(room, { signIn: false });
  await tellOfHall(opened.page);
  await signInWithToken(opened.page, room.token);
});
after(async () => {
  assert.deepEqual(opened.complaints, []);
  await endBrowser();
  await room.end();
});

const elements = (page) => page.evaluate(() => document.querySelectorAll('*').length);

test('of the picture of all servers only what is near the window is drawn', async () => {
  const { page } = opened;
  await until('all servers have a heading', async () => (await page.locator('.server').count()) === SERVERS);
  await page.locator('[data-partition]').first().waitFor();
  assert.ok(await elements(page) < MOST_ELEMENTS, `${await elements(page)} elements`);
});

test('scrolling to the last server draws it', async () => {
  const { page } = opened;
  const last = page.getByRole('article', { name: 'Server server-100', exact: true });
  await last.scrollIntoViewIfNeeded();
  await last.locator('[data-partition]').first().waitFor();
  assert.ok(await elements(page) < MOST_ELEMENTS, `${await elements(page)} elements`);
});

test('lists of thousands are drawn page by page and can be searched', async () => {
  const { page } = opened;
  for (const [address, heading, all] of [['/vms', 'VMs', '25,600'], ['/partitions', 'Partitions', '25,600'], ['/gpus', 'GPUs', '800']]) {
    await visit(page, address, heading);
    await page.getByText(`1–50 of ${all} rows`).waitFor();
    assert.ok(await elements(page) < MOST_ELEMENTS, `${address}: ${await elements(page)} elements`);
  }
  await page.getByLabel('Find a GPU').fill('server-77/');
  await page.getByText('8 of 800').waitFor();
});

test('choosing among thousands of VMs lists a few and says how many more', async () => {
  const { page } = opened;
  await visit(page, '/vms', 'VMs');
  const dialog = await openDialog(page, /^Assign …/);
  await dialog.getByText('25,500 more; search to see them.').waitFor();
  await page.keyboard.press('Escape');
});

test('all GPUs can be chosen for a partition count, and those near to what is seen are drawn', async () => {
  const { page } = opened;
  await visit(page, '/gpus', 'GPUs');
  const dialog = await openDialog(page, 'Set partition count …');
  await dialog.getByText('800 chosen').waitFor();
  await until('all servers are listed', async () => (await dialog.getByRole('group', { name: /^Server server-/ }).count()) === SERVERS);
  const last = dialog.getByRole('group', { name: 'Server server-100', exact: true });
  const ofLast = last.getByRole('checkbox', { name: /^A40/, checked: true });
  assert.equal(await ofLast.count(), 0);
  assert.ok(await elements(page) < MOST_ELEMENTS, `${await elements(page)} elements`);
  await last.scrollIntoViewIfNeeded();
  await until('the GPUs of the last server are chosen', async () => (await ofLast.count()) === 8);
  await page.keyboard.press('Escape');
});

test('the keyboard reaches every GPU to choose, whether it was drawn or not', async () => {
  const { page } = opened;
  await visit(page, '/gpus', 'GPUs');
  const dialog = await openDialog(page, 'Set partition count …');
  const inFocus = () => page.evaluate(() => new Promise((tell) => {
    requestAnimationFrame(() => tell(document.activeElement?.closest('label')?.textContent ?? ''));
  }));
  await dialog.getByRole('checkbox', { name: 'server-1', exact: true }).focus();
  for (const server of ['server-1', 'server-2', 'server-3', 'server-4', 'server-5', 'server-6']) {
    assert.equal(await inFocus(), server);
    for (let nth = 0; nth < 8; nth += 1) {
      await page.keyboard.press('Tab');
      assert.match(await inFocus(), new RegExp(`^A40 0000:4${nth}:00\\.0`));
    }
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Escape');
});
