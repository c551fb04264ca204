// Pictures of the main pages, for people to look at:
//
//   node screenshots.mjs FOLDER

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { endBrowser, NARROW, openConsole, openDialog, Room, startBrowser, visit, WIDE } from './harness.mjs';

const folder = path.resolve(process.argv[2] ?? 'screenshots');
await mkdir(folder, { recursive: true });

async function prepare(room) {
  const gpus = await room.json('gpu', 'list');
  const [first, second, third, fourth, fifth] = gpus;
  await room.divvy('gpu', 'partition', first.id, second.id, '--count', '4');
  await room.divvy('gpu', 'partition', third.id, '--count', '16');
  await room.divvy('gpu', 'partition', fifth.id, '--count', '8');
  const onServer = (server) => room.json('vm', 'list').then((list) => list.filter((vm) => vm.server === server).map((vm) => vm.id));
  const here = await onServer(first.server);
  await room.divvy('assign', ...here.slice(0, 3), '--gpu', first.id);
  await room.divvy('assign', ...here.slice(3, 8), '--gpu', third.id);
  for (const vm of here.slice(1, 5)) await room.divvy('sim', 'power', vm, 'on');
  return { gpu: first, split: third, whole: fourth, vm: here[1] };
}

async function pages(page, { gpu, split, vm }, shoot) {
  await shoot('overview');
  await visit(page, '/gpus', 'GPUs');
  await shoot('gpus');
  await visit(page, `/gpus/${split.id}`, /GPU/);
  await page.getByRole('heading', { name: 'Why it is so' }).waitFor();
  await shoot('gpu');
  await visit(page, '/partitions', 'Partitions');
  await shoot('partitions');
  await visit(page, `/partitions/${gpu.id}.1`, 'Partition 1');
  await shoot('partition');
  await visit(page, '/vms', 'VMs');
  await shoot('vms');
  await visit(page, `/vms/${vm}`, /VM/);
  await shoot('vm');
  for (const [address, heading] of [['checks', 'Checks'], ['jobs', 'Jobs'], ['events', 'Events'], ['settings', 'Settings']]) {
    await visit(page, `/${address}`, heading);
    await shoot(address);
  }
  await visit(page, '/jobs/1', 'Job 1');
  await shoot('job');
}

async function dialogs(page, shoot) {
  await visit(page, '/', 'Overview');
  await page.getByRole('button', { name: 'Set partition count …' }).click();
  await page.getByRole('button', { name: /^Choose 4 GPUs/ }).first().click();
  await page.getByLabel('Number of partitions').selectOption('4');
  await page.locator('.steps').waitFor();
  await shoot('dialog-count');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Assign partitions …' }).click();
  await page.getByLabel('Find a VM').fill('vm-0');
  await page.getByRole('dialog').getByRole('checkbox', { name: /vm-009/ }).first().check();
  await page.locator('.steps').waitFor();
  await shoot('dialog-assign');
  await page.keyboard.press('Escape');
}

/** What a picture of every page needs besides: whole GPUs, a pool, a partition in quarantine. */
async function prepareWhole(room) {
  const [sick, spare, whole, other] = await Promise.all(['41', '42', '43', '44'].map((bus) => room.json('gpu', 'show', `lab-1/0000:${bus}:00.0`)));
  await room.divvy('gpu', 'partition', sick.id, '--count', '4');
  await room.divvy('assign', 'vm-001', 'vm-002', '--gpu', sick.id);
  await room.divvy('sim', 'fault', 'gpu', sick.id, 'reset-fails');
  await room.divvy('unassign', 'vm-001').catch(() => undefined);
  await room.divvy('partition', 'cure', `${sick.id}.0`).catch(() => undefined);
  await room.divvy('pool', 'create', 'inference', spare.id, whole.id);
  await room.divvy('pool', 'create', 'desktops', other.id);
  await room.divvy('dda', 'assign', 'vm-003', '--gpu', whole.id, '--accept', 'vm_mmio_window');
  return { sick, whole: whole.id, vm: (await room.json('vm', 'show', 'vm-003')).id };
}

async function wholePages(page, { sick, whole, vm }, shoot) {
  await shoot('overview-lab');
  for (const [address, heading, name] of [
    ['/gpus', 'GPUs', 'gpus-lab'], [`/gpus/${whole}`, /GPU/, 'gpu-whole'], [`/gpus/${sick.id}`, /GPU/, 'gpu-sick'], ['/pools', 'Pools', 'pools'],
    ['/pools/inference', 'Pool inference', 'pool'], [`/partitions/${sick.id}.0`, 'Partition 0', 'partition-sick'],
    ['/partitions', 'Partitions', 'partitions-lab'], [`/vms/${vm}`, /VM/, 'vm-whole'], ['/jobs', 'Jobs', 'jobs-lab'], ['/jobs/4', 'Job 4', 'job-cure'],
  ]) {
    await visit(page, address, heading);
    await shoot(name);
  }
}

async function wholeDialogs(page, { sick }, shoot) {
  const within = async (button, name, doing) => {
    const dialog = await openDialog(page, button);
    await doing(dialog);
    await shoot(`dialog-${name}`);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  };
  await visit(page, `/partitions/${sick.id}.0`, 'Partition 0');
  await within('Cure …', 'cure', (dialog) => dialog.locator('.steps').waitFor());
  await within('Make all partitions of its GPU again …', 'cure-remake', (dialog) => dialog.getByRole('alert').waitFor());
  await visit(page, '/', 'Overview');
  await within('Assign whole GPUs …', 'whole', async (dialog) => {
    await dialog.getByRole('radio', { name: /vm-005/ }).check();
    await dialog.getByRole('checkbox', { disabled: false }).last().check();
    await dialog.locator('.steps, .accept').first().waitFor();
  });
  await within('Assign whole GPUs …', 'whole-pool', async (dialog) => {
    await dialog.getByRole('radio', { name: /vm-005/ }).check();
    await dialog.getByRole('radio', { name: 'Any of a pool' }).check();
    await dialog.locator('.steps, .accept').first().waitFor();
  });
  await visit(page, '/pools/inference', 'Pool inference');
  await within('Add GPUs …', 'pool-add', (dialog) => dialog.getByRole('checkbox').first().waitFor());
  await within('Rename …', 'pool-rename', (dialog) => dialog.getByLabel('New name').fill('desktops'));
  await within('Remove …', 'pool-remove', (dialog) => dialog.getByText('Cannot go on:').waitFor());
}

const SIDES = [
  ['light-wide', { theme: 'light', viewport: WIDE }], ['light-narrow', { theme: 'light', viewport: NARROW }],
  ['dark-wide', { theme: 'dark', viewport: WIDE }], ['dark-narrow', { theme: 'dark', viewport: NARROW }],
  ['rtl-wide', { direction: 'rtl', viewport: WIDE }], ['rtl-narrow', { direction: 'rtl', viewport: NARROW }],
];

/** Each room from every side: `doing` gets a window and how to take a picture of it. */
async function fromEverySide(room, doing) {
  for (const [side, options] of SIDES) {
    const { context, page } = await openConsole(room, options);
    await doing(page, async (name) => {
      // What is far below the window is drawn only when it comes near.
      if (name.startsWith('overview')) {
        await page.setViewportSize({ ...options.viewport, height: 1600 });
        await page.locator('[data-partition]').first().waitFor();
      }
      await page.screenshot({ path: path.join(folder, `${name}-${side}.png`), fullPage: !name.startsWith('dialog') });
      await page.setViewportSize(options.viewport);
    });
    await context.close();
  }
}

async function signedOut(room) {
  const { context, page } = await openConsole(room, { signIn: false });
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  for (const theme of ['light', 'dark']) {
    await page.evaluate((to) => { document.documentElement.dataset.theme = to; }, theme);
    await page.screenshot({ path: path.join(folder, `sign-in-${theme}-wide.png`) });
  }
  await context.close();
}

async function inRoom(name, doing) {
  const room = await Room.start(name);
  try {
    await doing(room);
  } finally {
    await room.end();
  }
}

await startBrowser();
try {
  await inRoom('a16-pair', async (room) => {
    await signedOut(room);
    const things = await prepare(room);
    await fromEverySide(room, async (page, shoot) => {
      await pages(page, things, shoot);
      await dialogs(page, shoot);
    });
  });
  await inRoom('mixed-lab', async (room) => {
    const things = await prepareWhole(room);
    await fromEverySide(room, async (page, shoot) => {
      await wholePages(page, things, shoot);
      await wholeDialogs(page, things, shoot);
    });
  });
} finally {
  await endBrowser();
}
