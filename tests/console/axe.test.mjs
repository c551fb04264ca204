// What axe-core finds on every page and dialog, light and dark, on a small and on a large screen: nothing.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertClean } from './axe.mjs';
import { endBrowser, NARROW, openConsole, openDialog, Room, startBrowser, visit, WIDE } from './harness.mjs';

let room;
let gpu;
let vm;
let lab;
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
/** A room with whole GPUs, pools and a partition in quarantine whose cure did not help. */
before(async () => {
  const own = await Room.start('mixed-lab');
  const { id: sick } = await own.json('gpu', 'show', 'lab-1/0000:41:00.0');
  const { id: whole } = await own.json('gpu', 'show', 'lab-1/0000:43:00.0');
  await own.divvy('gpu', 'partition', sick, '--count', '4');
  await own.divvy('assign', 'vm-001', 'vm-002', '--gpu', sick);
  await own.divvy('sim', 'fault', 'gpu', sick, 'reset-fails');
  for (const words of [['unassign', 'vm-001'], ['partition', 'cure', `${sick}.0`]]) await assert.rejects(own.divvy(...words));
  await own.divvy('pool', 'create', 'ml', whole, 'lab-1/0000:44:00.0');
  await own.divvy('dda', 'assign', 'vm-003', '--gpu', whole, '--accept', 'vm_mmio_window');
  lab = { room: own, sick, whole, vm: (await own.json('vm', 'show', 'vm-003')).id };
});
after(async () => {
  await endBrowser();
  await room.end();
  await lab.room.end();
});

const pages = () => [
  ['/', 'Overview'], ['/gpus', 'GPUs'], [`/gpus/${gpu}`, /^GPU/], ['/partitions', 'Partitions'],
  [`/partitions/${gpu}.0`, 'Partition 0'], ['/vms', 'VMs'], [`/vms/${vm}`, /^VM/], ['/checks', 'Checks'],
  ['/jobs', 'Jobs'], ['/jobs/1', 'Job 1'], ['/events', 'Events'], ['/settings', 'Settings'], ['/pools', 'Pools'], ['/nowhere', 'No such page'],
];

const wholePages = () => [
  ['/', 'Overview'], ['/gpus', 'GPUs'], [`/gpus/${lab.whole}`, /^GPU/], [`/gpus/${lab.sick}`, /^GPU/], ['/pools', 'Pools'], ['/pools/ml', 'Pool ml'],
  ['/partitions', 'Partitions'], [`/partitions/${lab.sick}.0`, 'Partition 0'], ['/vms', 'VMs'], [`/vms/${lab.vm}`, /^VM/], ['/jobs', 'Jobs'],
  ['/jobs/4', 'Job 4'], ['/pools/none', 'No such pool'],
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

async function within(page, button, name, doing) {
  const dialog = await openDialog(page, button);
  await doing(dialog);
  await assertClean(page, name);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
}

async function wholeDialogs(page) {
  await visit(page, `/partitions/${lab.sick}.0`, 'Partition 0');
  await within(page, 'Cure …', 'cure', (dialog) => dialog.locator('.steps').waitFor());
  await within(page, 'Make all partitions of its GPU again …', 'cure by making all again', (dialog) => dialog.getByRole('alert').waitFor());
  await visit(page, '/pools/ml', 'Pool ml');
  await within(page, 'Assign to a VM …', 'assign from a pool', async (dialog) => {
    await dialog.getByRole('radio', { name: /vm-005/ }).check();
    await dialog.locator('.steps').waitFor();
    await dialog.getByLabel('How many GPUs').fill('none');
  });
  await within(page, 'Add GPUs …', 'add to a pool', (dialog) => dialog.getByLabel('Pool', { exact: true }).selectOption('').then(() => dialog.getByLabel('Name of the new pool').fill('a b')));
  await within(page, 'Rename …', 'rename a pool', (dialog) => dialog.getByLabel('New name').fill('a b'));
  await within(page, 'Remove …', 'remove a pool', (dialog) => dialog.getByText('Cannot go on:').waitFor());
  await visit(page, '/', 'Overview');
  await within(page, 'Assign whole GPUs …', 'assign whole GPUs', async (dialog) => {
    await dialog.getByRole('radio', { name: /vm-005/ }).check();
    await dialog.getByRole('checkbox', { name: /0001:81:00.0/ }).check();
    await dialog.locator('.accept').waitFor();
  });
  await visit(page, `/vms/${lab.vm}`, /^VM/);
  await within(page, 'Unassign …', 'unassign a whole GPU', (dialog) => dialog.locator('.steps').waitFor());
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

      test('every page and dialog of whole GPUs, pools and cures', async () => {
        const { context, page } = await openConsole(lab.room, options);
        for (const [address, heading] of wholePages()) {
          await visit(page, address, heading);
          await assertClean(page, address);
        }
        await wholeDialogs(page);
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
