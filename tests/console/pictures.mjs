// The pictures of README, as small as they can be read:
//
//   node pictures.mjs FOLDER

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Cockpit, openCockpit, openDoor } from './cockpit.mjs';
import { endBrowser, openConsole, openDialog, Room, startBrowser } from './harness.mjs';

const folder = path.resolve(process.argv[2] ?? 'pictures');
const viewport = { width: 1200, height: 750 };
await mkdir(folder, { recursive: true });

async function shoot(page, name) {
  // Nothing is pointed at.
  await page.mouse.move(0, 0);
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
}

async function dialog(room) {
  const { context, page } = await openConsole(room, { viewport });
  const setting = await openDialog(page, 'Set partition count …');
  await setting.getByLabel('Number of partitions').selectOption('4');
  await setting.locator('.steps').waitFor();
  await shoot(page, 'partition-count');
  await context.close();
}

/** Every GPU in four, most partitions with a VM, some of them running. */
async function putToUse(room) {
  await room.divvy('gpu', 'partition', '--all', '--count', '4');
  const vms = await room.json('vm', 'list');
  for (const server of new Set(vms.map((vm) => vm.server))) {
    const here = vms.filter((vm) => vm.server === server).map((vm) => vm.id);
    await room.divvy('assign', ...here.slice(0, 11));
    for (const vm of here.slice(0, 7)) await room.divvy('sim', 'power', vm, 'on');
  }
}

async function overview(room, theme) {
  const { context, page } = await openConsole(room, { viewport, theme });
  await page.locator('.segment.state-in_use').first().waitFor();
  await shoot(page, `overview-${theme}`);
  await context.close();
}

async function inCockpit(room) {
  await openDoor(room);
  const cockpit = await Cockpit.start(room);
  try {
    const { context, window, frame } = await openCockpit(cockpit, { viewport });
    await (await frame()).locator('.segment.state-in_use').first().waitFor();
    await shoot(window, 'cockpit');
    await context.close();
  } finally {
    await cockpit.end();
  }
}

const room = await Room.start('a16-pair');
await startBrowser();
try {
  await dialog(room);
  await putToUse(room);
  for (const theme of ['light', 'dark']) await overview(room, theme);
  await inCockpit(room);
} finally {
  await endBrowser();
  await room.end();
}
