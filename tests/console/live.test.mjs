// What is shown follows what is so: changes of others, a server that goes and comes back, work that goes on
// while nobody looks.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { onRoom, room } from './fresh-room.mjs';
import { endBrowser, inConsole, openDialog, shows, signInWithToken, startBrowser, visit } from './harness.mjs';

before(startBrowser);
after(endBrowser);

onRoom('a2-edge');

test('what the command line changes is shown without a reload', async () => {
  await inConsole(room, {}, async (page) => {
    await shows(page, 'Partitions', '0');
    await room.divvy('gpu', 'partition', '--all', '--count', '4');
    await shows(page, 'Partitions', '4');
    await room.divvy('assign', 'vm-001');
    await page.locator('.segment.state-assigned', { hasText: 'vm-001' }).waitFor();
    await room.divvy('sim', 'power', 'vm-001', 'on');
    await page.locator('.segment.state-in_use', { hasText: 'vm-001' }).waitFor();
  });
});

test('a dialog follows changes of others while it is open', async () => {
  await room.divvy('gpu', 'partition', '--all', '--count', '4');
  await inConsole(room, {}, async (page) => {
    const dialog = await openDialog(page, 'Assign partitions …');
    assert.ok(await dialog.getByRole('checkbox', { name: 'vm-002' }).isEnabled());
    await room.divvy('assign', 'vm-002');
    await dialog.getByRole('checkbox', { name: /vm-002.*already/ }).waitFor();
  });
});

test('a job of another client is found in the list and in the events', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, '/jobs', 'Jobs');
    await room.divvy('gpu', 'partition', '--all', '--count', '2');
    await page.getByRole('link', { name: '1', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'Job 1' }).waitFor();
    await page.getByText(/make 2 partitions/).waitFor();
    await visit(page, '/events', 'Events');
    await page.getByRole('cell', { name: /shall have 2 partitions/ }).waitFor();
  });
});

test('a job that was started here is told of on whatever page one is then', async () => {
  await inConsole(room, {}, async (page) => {
    const dialog = await openDialog(page, 'Set partition count …');
    await dialog.getByLabel('Number of partitions').selectOption('8');
    await dialog.getByRole('button', { name: 'Set 8 partitions on 1 GPU' }).click();
    await visit(page, '/settings', 'Settings');
    await page.getByText('Done: 8 partitions on 1 GPU.').waitFor();
  });
});

test('a server that goes away is told of, and when it is back everything is shown anew', async () => {
  await inConsole(room, {}, async (page) => {
    await room.stop();
    await page.getByText('The server does not answer.').waitFor();
    await room.start();
    await room.divvy('gpu', 'partition', '--all', '--count', '16');
    await page.getByText('The server does not answer.').waitFor({ state: 'detached' });
    // A server with sessions has forgotten them and asks who is there.
    if (await page.getByRole('heading', { name: 'Sign in' }).isVisible()) await signInWithToken(page, room.token);
    await shows(page, 'Partitions', '16');
  });
});

test('a question that nobody answers is given up, and everything is asked again', async () => {
  await inConsole(room, {}, async (page) => {
    let asked = 0;
    // The first of them is never answered.
    await page.route('**/v1/pools*', (route) => (++asked === 1 ? undefined : route.continue()));
    await page.clock.install();
    const asking = page.waitForRequest('**/v1/pools*');
    await page.reload();
    await asking;
    await page.getByText('Reading what is there').waitFor();
    await page.clock.fastForward(60_000);
    await page.getByText('The server does not answer.').waitFor();
    await page.clock.fastForward(10_000);
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
    await page.getByText('Reading what is there').waitFor({ state: 'detached' });
    assert.equal(asked, 2);
  });
});

test('a change that nobody answers says that it may or may not be made', async () => {
  await inConsole(room, {}, async (page) => {
    const dialog = await openDialog(page, 'Set partition count …');
    await dialog.getByLabel('Number of partitions').selectOption('4');
    await dialog.getByText(/1 step on 1 server/).waitFor();
    await room.stop();
    await dialog.getByRole('button', { name: 'Set 4 partitions on 1 GPU' }).click();
    await dialog.getByText('whether the change was made, the list of jobs will tell').waitFor();
  });
});

test('a page of a thing that is gone says so', async () => {
  await room.divvy('gpu', 'partition', '--all', '--count', '4');
  await inConsole(room, {}, async (page) => {
    const [first] = await room.json('partition', 'list');
    await visit(page, `/partitions/${first.id}`, 'Partition 0');
    await room.divvy('gpu', 'partition', '--all', '--off');
    await page.getByRole('heading', { name: 'No such partition' }).waitFor();
  });
});

test('numbers and times are written as the browser’s language has them', async () => {
  await room.divvy('gpu', 'partition', '--all', '--count', '16');
  await inConsole(room, { locale: 'de-DE' }, async (page) => {
    await visit(page, '/jobs/1', 'Job 1');
    await page.getByText(/^\d\d\.\d\d\.\d{4}, \d\d:\d\d:\d\d$/).first().waitFor();
  });
});
