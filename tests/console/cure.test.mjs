// A partition that was not proved clean: seen with its reason, and cured in two ways.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { onRoom, room } from './fresh-room.mjs';
import { endBrowser, inConsole, openDialog, startBrowser, visit } from './harness.mjs';

before(startBrowser);
after(endBrowser);

onRoom('mixed-lab');
let gpu;
let sick;
beforeEach(async () => {
  gpu = await room.json('gpu', 'show', 'lab-1/0000:41:00.0');
  await room.divvy('gpu', 'partition', gpu.id, '--count', '4');
  await room.divvy('assign', 'vm-001', 'vm-002', '--gpu', gpu.id);
  await room.divvy('sim', 'fault', 'gpu', gpu.id, 'reset-fails');
  await assert.rejects(room.divvy('unassign', 'vm-001'));
  sick = (await room.json('partition', 'list')).find((one) => one.state === 'quarantined').id;
});

const state = async () => (await room.json('partition', 'list')).find((one) => one.id === sick).state;
const inPage = (test) => inConsole(room, {}, async (page) => {
  await visit(page, `/partitions/${sick}`, 'Partition 0');
  await test(page);
});

test('its page says what quarantine means and why it is there', async () => {
  await inPage(async (page) => {
    await page.getByText('so no VM gets it until it is cured').waitFor();
    await page.getByText('no way to reset it works now').first().waitFor();
    await page.getByRole('list', { name: 'States of a partition' }).locator('[aria-current=step]', { hasText: 'quarantined' }).waitFor();
  });
});

test('its reset is tried again, and is enough when it works', async () => {
  await room.divvy('sim', 'fault', 'clear');
  await inPage(async (page) => {
    const dialog = await openDialog(page, 'Cure …');
    await dialog.getByText(`divvy partition cure ${sick}`, { exact: true }).waitFor();
    await dialog.locator('.steps').waitFor();
    await dialog.getByRole('button', { name: 'Try the reset again' }).click();
    await page.getByText(`Done: cure partition ${sick}.`).waitFor();
    await page.locator('.subtitle').getByText('free').waitFor();
  });
  assert.equal(await state(), 'free');
});

test('a cure that did not help leads to the other way, which is refused while a VM has a partition', async () => {
  await inPage(async (page) => {
    const first = await openDialog(page, 'Cure …');
    await first.getByRole('button', { name: 'Try the reset again' }).click();
    await page.getByText('The last cure did not help').waitFor();
    const second = await openDialog(page, 'Make all partitions of its GPU again …');
    assert.ok(await second.getByRole('radio', { name: /^Make all 4 partitions/ }).isChecked());
    await second.getByText('partition 1, assigned to VM vm-002').waitFor();
    const refusal = second.getByRole('alert');
    await refusal.getByText(/assigned to VM vm-002/).waitFor();
    await refusal.getByText('shut these VMs down', { exact: false }).waitFor();
    await refusal.locator('code').last().waitFor();
    assert.ok(await second.getByRole('button', { name: 'Make 4 partitions again' }).isDisabled());
  });
});

test('when nothing is in the way any more the dialog goes on by itself, and all partitions are made again', async () => {
  await inPage(async (page) => {
    const dialog = await openDialog(page, 'Cure …');
    await dialog.getByRole('radio', { name: /^Make all 4 partitions/ }).check();
    await dialog.getByText('In the way:').waitFor();
    await assert.rejects(room.divvy('unassign', 'vm-002'));
    await dialog.getByText('In the way:').waitFor({ state: 'detached' });
    await dialog.getByText('2 steps on 1 server').waitFor();
    await dialog.getByText(`divvy partition cure ${sick} --remake-siblings`).waitFor();
    await dialog.getByRole('button', { name: 'Make 4 partitions again' }).click();
    await page.getByText(`Done: cure partition ${sick}.`).waitFor();
  });
  assert.ok((await room.json('partition', 'list')).filter((one) => one.gpu === gpu.id).every((one) => one.state === 'free'));
});

test('nothing is tried while another partition of the GPU is open, and the reason is said', async () => {
  await room.divvy('sim', 'power', 'vm-002', 'on');
  await inPage(async (page) => {
    const dialog = await openDialog(page, 'Cure …');
    await dialog.getByText('partition 1, open in VM vm-002').waitFor();
    await dialog.getByText('is not trusted to leave the others alone').waitFor();
    await dialog.getByRole('alert').getByText(/open in VM vm-002/).waitFor();
    assert.ok(await dialog.getByRole('button', { name: 'Try the reset again' }).isDisabled());
    await room.divvy('sim', 'power', 'vm-002', 'off');
    await dialog.getByRole('alert').waitFor({ state: 'detached' });
    await dialog.locator('.steps').waitFor();
  });
});

test('a partition that was cured by another hand leaves nothing to do', async () => {
  await inPage(async (page) => {
    const dialog = await openDialog(page, 'Cure …');
    await dialog.getByRole('button', { name: 'Try the reset again' }).waitFor();
    await room.divvy('sim', 'fault', 'clear');
    await room.divvy('partition', 'cure', sick);
    await dialog.getByText('There is nothing to cure: the partition is free.').waitFor();
    assert.ok(await dialog.getByRole('button', { name: 'Try the reset again' }).isDisabled());
  });
});

test('it is found in the list by its state, with the reason', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, '/partitions?state=quarantined', 'Partitions');
    await page.getByRole('link', { name: sick }).click();
    await page.getByRole('heading', { level: 1, name: 'Partition 0' }).waitFor();
  });
});
