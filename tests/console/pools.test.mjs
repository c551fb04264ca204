// Pools: made, filled, emptied, renamed and removed; and why not.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { onRoom, room } from './fresh-room.mjs';
import { endBrowser, inConsole, openDialog, startBrowser, visit } from './harness.mjs';

before(startBrowser);
after(endBrowser);

onRoom('a10-trio');
let gpus;
beforeEach(async () => { gpus = await room.json('gpu', 'list'); });

const pools = async () => Object.fromEntries((await room.json('pool', 'list')).map((pool) => [pool.name, pool.gpus.map((gpu) => gpu.id)]));
const make = (name, ...nths) => room.divvy('pool', 'create', name, ...nths.map((nth) => gpus[nth].id));
const box = (place, nth) => place.getByRole('group', { name: `Server ${gpus[nth].server}` }).getByRole('checkbox', { name: new RegExp(gpus[nth].pci_address) });
const news = (page, text) => page.getByRole('region', { name: 'News' }).getByText(text).waitFor();

test('where there is no pool the page says what one is for, and makes one', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, '/pools', 'Pools');
    await page.getByText('There is no pool.').waitFor();
    const dialog = await openDialog(page, 'Make a pool …');
    await dialog.getByLabel('Name of the new pool').fill('ml');
    await box(dialog, 0).check();
    await box(dialog, 2).check();
    await dialog.getByText(`divvy pool create ml ${gpus[0].id} ${gpus[2].id}`).waitFor();
    await dialog.getByRole('button', { name: 'Make a pool of 2 GPUs' }).click();
    await news(page, 'Pool ml is there, with 2 GPUs.');
    await page.getByRole('link', { name: 'ml', exact: true }).click();
    await page.getByText('2 of 2 GPUs free').waitFor();
  });
  assert.deepEqual(await pools(), { ml: [gpus[0].id, gpus[2].id] });
});

test('a name that cannot be one is said beside its field', async () => {
  await make('ml', 0);
  await inConsole(room, {}, async (page) => {
    await visit(page, '/pools', 'Pools');
    const dialog = await openDialog(page, 'Put GPUs into a pool …');
    await box(dialog, 1).check();
    const name = dialog.getByLabel('Name of the new pool');
    for (const [bad, why] of [['a b', 'Only letters'], ['größe', 'Only letters'], ['x'.repeat(129), 'At most 128'], ['ml', 'There is a pool called ml']]) {
      await name.fill(bad);
      await dialog.getByText(why).waitFor();
      assert.equal(await name.getAttribute('aria-invalid'), 'true');
      assert.ok(await dialog.getByRole('button', { name: 'Make a pool of 1 GPU' }).isDisabled(), bad);
    }
    await name.fill('');
    assert.ok(await dialog.getByRole('button', { name: 'Make a pool of 1 GPU' }).isDisabled());
  });
});

test('GPUs are put into a pool that is there, from the list of GPUs', async () => {
  await make('ml', 0);
  await inConsole(room, {}, async (page) => {
    await visit(page, '/gpus', 'GPUs');
    await page.getByRole('checkbox', { name: `GPU ${gpus[1].name}` }).check();
    const dialog = await openDialog(page, 'Put 1 GPU into a pool …');
    await dialog.getByLabel('Pool', { exact: true }).selectOption('ml');
    await dialog.getByRole('button', { name: 'Put 1 GPU into pool ml' }).click();
    await news(page, 'Pool ml has 1 GPU more.');
  });
  assert.equal((await pools()).ml.length, 2);
});

test('a GPU that is split or in another pool is greyed out with the reason', async () => {
  await make('ml', 0);
  await room.divvy('gpu', 'partition', gpus[1].id, '--count', '2');
  await inConsole(room, {}, async (page) => {
    await visit(page, '/pools', 'Pools');
    const dialog = await openDialog(page, 'Put GPUs into a pool …');
    assert.ok(await dialog.getByRole('checkbox', { name: /it is in pool ml, and a GPU is in one pool at most/ }).isDisabled());
    assert.ok(await dialog.getByRole('checkbox', { name: /it is split into 2 partitions/ }).isDisabled());
  });
});

test('a GPU of a pool cannot be split, and says so', async () => {
  await make('ml', 0);
  await inConsole(room, {}, async (page) => {
    await visit(page, `/gpus/${gpus[0].id}`, /^GPU/);
    await page.getByText('Not to be split: it is in pool ml, whose GPUs are given whole.').waitFor();
    assert.ok(await page.getByRole('button', { name: 'Set partition count …' }).isDisabled());
    await page.getByRole('definition').getByRole('link', { name: 'ml' }).click();
    await page.getByRole('heading', { level: 1, name: 'Pool ml' }).waitFor();
  });
});

test('a pool gets another name, and the page goes along', async () => {
  await make('ml', 0, 1);
  await inConsole(room, {}, async (page) => {
    await visit(page, '/pools/ml', 'Pool ml');
    const dialog = await openDialog(page, 'Rename …');
    await dialog.getByLabel('New name').fill('inference');
    await dialog.getByText('divvy pool rename ml inference').waitFor();
    await dialog.getByRole('button', { name: 'Rename', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'Pool inference' }).waitFor();
  });
  assert.deepEqual(Object.keys(await pools()), ['inference']);
});

test('GPUs are taken out of a pool, and the last one ends it', async () => {
  await make('ml', 0, 1);
  await inConsole(room, {}, async (page) => {
    await visit(page, '/pools/ml', 'Pool ml');
    await page.getByRole('checkbox', { name: `GPU ${gpus[0].name}` }).check();
    const first = await openDialog(page, 'Take 1 GPU out …');
    await first.getByRole('button', { name: 'Take 1 GPU out of pool ml' }).click();
    await page.getByText('1 of 1 GPU free').waitFor();
    await page.getByRole('checkbox', { name: `GPU ${gpus[1].name}` }).check();
    const last = await openDialog(page, 'Take 1 GPU out …');
    await last.getByText('They are all that the pool has, so it is gone then.').waitFor();
    await last.getByRole('button', { name: 'Take 1 GPU out of pool ml' }).click();
    await page.getByText('There is no pool.').waitFor();
  });
  assert.deepEqual(await pools(), {});
});

test('a pool is removed', async () => {
  await make('ml', 0, 1);
  await inConsole(room, {}, async (page) => {
    await visit(page, '/pools/ml', 'Pool ml');
    const dialog = await openDialog(page, 'Remove …');
    await dialog.getByText('divvy pool remove ml').waitFor();
    await dialog.getByRole('button', { name: 'Remove pool ml' }).click();
    await page.getByText('There is no pool.').waitFor();
  });
  assert.deepEqual(await pools(), {});
});

test('a pool whose GPU a VM has stays, and leads to unassigning', async () => {
  await make('ml', 0, 1);
  const vm = (await room.json('vm', 'list')).find((one) => one.server === gpus[0].server);
  await room.divvy('dda', 'assign', vm.id, '--pool', 'ml', '--accept', 'vm_mmio_window');
  await inConsole(room, {}, async (page) => {
    await visit(page, '/pools', 'Pools');
    await page.getByRole('row', { name: /^ml/ }).getByRole('link', { name: vm.name }).waitFor();
    await visit(page, '/pools/ml', 'Pool ml');
    const dialog = await openDialog(page, 'Remove …');
    await dialog.getByText(`Unassign first: ${vm.name}.`).waitFor();
    assert.ok(await dialog.getByRole('button', { name: 'Remove pool ml' }).isDisabled());
    await dialog.getByRole('button', { name: 'Unassign 1 VM …' }).click();
    await page.getByRole('heading', { name: `Unassign ${vm.name}` }).waitFor();
  });
});

test('what the command line does to pools is shown without a reload', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, '/pools', 'Pools');
    await page.getByText('There is no pool.').waitFor();
    await make('ml', 0);
    await page.getByRole('row', { name: /^ml/ }).waitFor();
    await visit(page, '/pools/ml', 'Pool ml');
    await room.divvy('pool', 'add', 'ml', gpus[1].id);
    await page.getByText('2 of 2 GPUs free').waitFor();
    await room.divvy('pool', 'rename', 'ml', 'other');
    await page.getByRole('heading', { name: 'No such pool' }).waitFor();
  });
});

test('a refusal of the server is shown with its reason and code', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, '/pools', 'Pools');
    const dialog = await openDialog(page, 'Make a pool …');
    await dialog.getByLabel('Name of the new pool').fill('ml');
    await box(dialog, 1).check();
    // The page does not hear of it in time.
    await page.route('**/v1/pools', async (route) => {
      if (route.request().method() === 'POST') await make('ml', 0);
      await route.continue();
    });
    await dialog.getByRole('button', { name: 'Make a pool of 1 GPU' }).click();
    await dialog.getByRole('alert').getByText('pool_exists', { exact: true }).waitFor();
    await dialog.getByText(/divvy pool add ml/).waitFor();
  });
});
