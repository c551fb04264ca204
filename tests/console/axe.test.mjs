// What axe-core finds on every page and dialog, light and dark, on a small and on a large screen: nothing.

import { after, before, describe, test } from 'node:test';
import { assertClean } from './axe.mjs';
import { endBrowser, NARROW, openConsole, openDialog, Room, startBrowser, visit, WIDE } from './harness.mjs';

let room;
let gpu;
let vm;
before(async () => {
  room = await Room.start('a16-pair');
  await startBrowser();
  const gpus = await room.json('gpu', 'list');
  gpu = gpus[0].id;
  await room.divvy('gpu', 'partition', gpu, '--count', '4');
  await room.divvy('gpu', 'partition', gpus[5].id, '--count', '16');
  vm = (await room.json('vm', 'list'))[0].id;
  await room.divvy('assign', vm, '--gpu', gpu);
  await room.divvy('sim', 'power', vm, 'on');
});
after(async () => {
  await endBrowser();
  await room.end();
});

const pages = () => [
  ['/', 'Overview'], ['/gpus', 'GPUs'], [`/gpus/${gpu}`, /^GPU/], ['/partitions', 'Partitions'],
  [`/partitions/${gpu}.0`, 'Partition 0'], ['/vms', 'VMs'], [`/vms/${vm}`, /^VM/], ['/checks', 'Checks'],
  ['/jobs', 'Jobs'], ['/jobs/1', 'Job 1'], ['/events', 'Events'], ['/settings', 'Settings'], ['/nowhere', 'No such page'],
];

async function signInPage(options) {
  const { context, page } = await openConsole(room, { ...options, signIn: false });
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  await assertClean(page, 'sign in');
  await context.close();
}

async function dialogs(page) {
  await visit(page, '/', 'Overview');
  const setting = await openDialog(page, 'Set partition count …');
  await setting.getByRole('button', { name: /^Choose 6 GPUs/ }).click();
  await setting.getByLabel('Number of partitions').selectOption('4');
  await setting.locator('.steps').waitFor();
  await assertClean(page, 'set a count');
  await page.keyboard.press('Escape');
  const assigning = await openDialog(page, 'Assign partitions …');
  await assigning.getByRole('combobox', { name: 'Partition of' }).click();
  await assigning.getByRole('listbox').waitFor();
  await assertClean(page, 'assign');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await visit(page, `/vms/${vm}`, /^VM/);
  await openDialog(page, 'Unassign …');
  await assertClean(page, 'unassign');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: /^User/ }).click();
  await assertClean(page, 'menu');
}

for (const theme of ['light', 'dark']) {
  for (const [size, viewport] of [['360 px', NARROW], ['1440 px', WIDE]]) {
    describe(`${theme}, ${size}`, () => {
      // axe comes into the page from outside, which its policy rightly does not allow.
      const options = { theme, viewport, bypassCSP: true };

      test('the sign-in page', () => signInPage(options));

      test('every page', async () => {
        const { context, page } = await openConsole(room, options);
        for (const [address, heading] of pages()) {
          await visit(page, address, heading);
          await assertClean(page, address);
        }
        await context.close();
      });

      test('every dialog, and the menu', async () => {
        const { context, page } = await openConsole(room, options);
        await dialogs(page);
        await context.close();
      });
    });
  }
}
