// Partitions of different sizes: set where the GPU takes them, shown as large as they are, given by memory.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { onRoom, room } from './fresh-room.mjs';
import { endBrowser, inConsole, isDone, openDialog, startBrowser, visit } from './harness.mjs';

before(startBrowser);
after(endBrowser);

describe('a GPU with MIG', () => {
  onRoom('h200-mig');
  let gpu;
  beforeEach(async () => { [gpu] = await room.json('gpu', 'list'); });

  test('is split into different sizes, with the memory of each said before', async () => {
    await inConsole(room, {}, async (page) => {
      await visit(page, `/gpus/${gpu.id}`, /^GPU/);
      const dialog = await openDialog(page, 'Set partition count …');
      await dialog.getByLabel('Number of partitions').selectOption('sizes');
      await dialog.getByLabel('Sizes').fill('4, 2, 5');
      await dialog.getByText('5 is no size of these GPUs', { exact: false }).waitFor();
      await dialog.getByLabel('Sizes').fill('2,2,4');
      await dialog.getByText(/do not fit together/).first().waitFor();
      await dialog.getByLabel('Sizes').fill('4, 2, 4');
      await dialog.getByRole('img', { name: /^Partitions of 71.GiB, 35.GiB, 35.GiB$/ }).waitFor();
      await dialog.getByText(`divvy gpu partition ${gpu.id} --sizes 2,4,4`).waitFor();
      await dialog.getByRole('button', { name: 'Set 3 partitions of the sizes 2,4,4 on 1 GPU' }).click();
      await isDone(page);
      await page.getByText('split into 3 partitions (sizes 2,4,4)', { exact: false }).first().waitFor();
      const widths = await page.locator('main > .bar-room [data-partition]').evaluateAll((all) => all.map((one) => one.getBoundingClientRect().width));
      assert.equal(widths.length, 3);
      assert.ok(widths[0] > 1.5 * widths[1] && Math.abs(widths[1] - widths[2]) < 1, widths.join());
    });
    assert.deepEqual((await room.json('gpu', 'show', gpu.id)).sizes, [2, 4, 4]);
  });

  test('gives a VM the smallest partition that has as much memory as was typed', async () => {
    await room.divvy('gpu', 'partition', gpu.id, '--sizes', '2,4,4');
    await inConsole(room, {}, async (page) => {
      await visit(page, `/gpus/${gpu.id}`, /^GPU/);
      const dialog = await openDialog(page, 'Assign a partition …');
      await dialog.getByRole('checkbox', { name: /vm-001/ }).check();
      await dialog.getByLabel('At least so much memory, GiB').fill('100');
      await dialog.getByText(/no free partition .* has 100 GiB/).first().waitFor();
      await dialog.getByLabel('At least so much memory, GiB').fill('40');
      await dialog.getByText(`--memory 40GiB`, { exact: false }).waitFor();
      await dialog.getByRole('button', { name: 'Assign a partition to 1 VM' }).click();
      await isDone(page);
    });
    assert.equal((await room.json('vm', 'show', 'vm-001')).assignment.partition, `${gpu.id}.0`);
  });
});

describe('a GPU whose driver makes equal partitions only', () => {
  onRoom('mixed-lab');

  test('offers no different sizes', async () => {
    const gpu = (await room.json('gpu', 'list')).find((one) => one.scheme === 'intel_xe');
    await inConsole(room, {}, async (page) => {
      await visit(page, `/gpus/${gpu.id}`, /^GPU/);
      const dialog = await openDialog(page, 'Set partition count …');
      const choices = await dialog.getByLabel('Number of partitions').locator('option').allTextContents();
      assert.ok(choices.some((text) => text.startsWith('4 partitions')) && !choices.some((text) => text.includes('sizes')), choices.join());
    });
  });
});
