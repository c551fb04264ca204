// What fits: no page is wider than its window from 360 px to 4K, read from either side; and nothing that the
// policy forbids is tried on any of them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { endBrowser, inConsole, NARROW, openDialog, Room, startBrowser, visit, WIDE } from './harness.mjs';

const HUGE = { width: 3840, height: 2160 };

let room;
let pages;
before(async () => {
  room = await Room.start('a16-pair');
  await startBrowser();
  const [first, second, third] = await room.json('gpu', 'list');
  await room.divvy('pool', 'create', 'a-pool-with-a-name-that-is-rather-long-for-a-small-screen', first.id, second.id);
  await room.divvy('gpu', 'partition', '--all', '--count', '16');
  const vms = (await room.json('vm', 'list')).filter((vm) => vm.server === first.server);
  await room.divvy('assign', vms[0].id);
  await room.divvy('dda', 'assign', vms[1].id, '--gpu', first.id);
  pages = [
    ...PAGES, [`/gpus/${first.id}`, /^GPU/], [`/gpus/${third.id}`, /^GPU/], [`/vms/${vms[1].id}`, /^VM/], [`/partitions/${third.id}.0`, 'Partition 0'],
    ['/pools', 'Pools'], ['/pools/a-pool-with-a-name-that-is-rather-long-for-a-small-screen', /^Pool a-pool/],
  ];
});
after(async () => {
  await endBrowser();
  await room.end();
});

const PAGES = [['/', 'Overview'], ['/gpus', 'GPUs'], ['/partitions', 'Partitions'], ['/vms', 'VMs'], ['/checks', 'Checks'], ['/jobs', 'Jobs'], ['/jobs/1', 'Job 1'], ['/events', 'Events'], ['/settings', 'Settings']];

async function assertFits(page, those) {
  for (const [address, heading] of those) {
    await visit(page, address, heading);
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(wide <= window, `${address} is ${wide} px wide`);
  }
}

for (const [size, viewport] of [['360 px', NARROW], ['1440 px', WIDE], ['4K', HUGE]]) {
  for (const direction of ['ltr', 'rtl']) {
    test(`at ${size}, ${direction}, no page is wider than the window`, async () => {
      await inConsole(room, { viewport, direction }, (page) => assertFits(page, pages));
    });
  }
}

test('long words of findings and of jobs do not make a small page wider', async () => {
  const lab = await Room.start('mixed-lab');
  try {
    const { id: sick } = await lab.json('gpu', 'show', 'lab-1/0000:41:00.0');
    await lab.divvy('gpu', 'partition', sick, '--count', '4');
    await lab.divvy('assign', 'vm-001', '--gpu', sick);
    await lab.divvy('sim', 'fault', 'gpu', sick, 'reset-fails');
    for (const words of [['unassign', 'vm-001'], ['partition', 'cure', `${sick}.0`]]) await assert.rejects(lab.divvy(...words));
    await inConsole(lab, { viewport: NARROW }, async (page) => {
      await page.getByText('sriov_drivers_autoprobe').first().waitFor();
      await assertFits(page, [['/', 'Overview'], ['/checks', 'Checks'], [`/partitions/${sick}.0`, 'Partition 0'], ['/jobs/4', 'Job 4'], ['/settings', 'Settings']]);
    });
  } finally {
    await lab.end();
  }
});

test('read from the right, places stand on the right', async () => {
  await inConsole(room, { direction: 'rtl' }, async (page) => {
    const places = await page.getByRole('navigation', { name: 'Pages' }).boundingBox();
    assert.ok(places.x > WIDE.width / 2, `they begin at ${places.x} px`);
  });
});

test('the policy of the page forbids inline scripts and styles', async () => {
  await inConsole(room, {}, async (page) => {
    const policy = (await page.request.get(`${room.url}/console/`)).headers()['content-security-policy'];
    assert.match(policy, /default-src 'self'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
  });
});

test('the address without a path leads to the console', async () => {
  await inConsole(room, {}, async (page) => {
    await page.goto(`${room.url}/`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    assert.equal(new URL(page.url()).pathname, '/console/');
  });
});

test('the menu turns the colours dark and keeps it so', async () => {
  await inConsole(room, {}, async (page) => {
    await page.getByRole('button', { name: /^User/ }).click();
    await page.getByRole('menuitem', { name: 'Dark colours' }).click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    assert.equal(await page.evaluate(() => localStorage.getItem('divvy.theme')), 'dark');
  });
});

test('on a small screen a dialog is the page', async () => {
  await inConsole(room, { viewport: NARROW }, async (page) => {
    const dialog = await openDialog(page, 'Set partition count …');
    const box = await dialog.boundingBox();
    assert.deepEqual([box.x, box.width], [0, NARROW.width]);
  });
});

test('the buttons of a dialog are in view on a small screen, however much stands above them', async () => {
  await inConsole(room, { viewport: NARROW }, async (page) => {
    const dialog = await openDialog(page, 'Set partition count …');
    await dialog.getByText('Cannot go on').waitFor();
    const box = await dialog.getByRole('button', { name: 'Cancel' }).boundingBox();
    assert.ok(box.y + box.height <= NARROW.height, `they end at ${box.y + box.height} px`);
  });
});
