// Pictures of the main pages, for people to look at:
//
//   node screenshots.mjs FOLDER

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { endBrowser, NARROW, openConsole, Room, startBrowser, visit, WIDE } from './harness.mjs';

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

const room = await Room.start('a16-pair');
await startBrowser();
try {
  const things = await prepare(room);
  for (const theme of ['light', 'dark']) {
    for (const [size, viewport] of [['wide', WIDE], ['narrow', NARROW]]) {
      const shot = (page) => async (name) => {
        // What is far below the window is drawn only when it comes near.
        if (name === 'overview') {
          await page.setViewportSize({ ...viewport, height: 1600 });
          await page.getByText('vm-008').waitFor();
        }
        await page.screenshot({ path: path.join(folder, `${name}-${theme}-${size}.png`), fullPage: !name.startsWith('dialog') });
        await page.setViewportSize(viewport);
      };
      const signedOut = await openConsole(room, { viewport, theme, signIn: false });
      await signedOut.page.getByRole('button', { name: 'Sign in' }).waitFor();
      await shot(signedOut.page)('sign-in');
      await signedOut.context.close();
      const { context, page } = await openConsole(room, { viewport, theme });
      await pages(page, things, shot(page));
      await dialogs(page, shot(page));
      await context.close();
    }
  }
  const { context, page } = await openConsole(room, { direction: 'rtl' });
  await page.screenshot({ path: path.join(folder, 'overview-rtl-wide.png'), fullPage: true });
  await context.close();
} finally {
  await endBrowser();
  await room.end();
}
