// The console as a page of a real Cockpit: everything by its bridge, as the user who is signed in there, who
// signs in nowhere else.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { assertClean } from './axe.mjs';
import { Cockpit, inCockpit, openCockpit, openDoor, shutDoor, user } from './cockpit.mjs';
import { onRoom, room } from './fresh-room.mjs';
import { endBrowser, openDialog, shows, startBrowser, until, visit } from './harness.mjs';

before(startBrowser);
after(endBrowser);

onRoom('a16-pair');
let cockpit;
beforeEach(async () => {
  await openDoor(room);
  cockpit = await Cockpit.start(room);
});
afterEach(() => cockpit.end());

const colours = (frame, theme) => frame.locator(`html[data-theme="${theme}"]`).waitFor();

async function setFour(frame) {
  const dialog = await openDialog(frame, 'Set partition count …');
  await dialog.getByLabel('Number of partitions').selectOption('4');
  await dialog.getByRole('button', { name: 'Set 4 partitions on 8 GPUs' }).click();
  await shows(frame, 'Partitions', '32');
}

test('the menu of Cockpit leads to the GPUs', async () => {
  const { context, window, frame, complaints } = await openCockpit(cockpit, { address: '/' });
  await window.getByRole('link', { name: 'GPUs' }).click();
  await shows(await frame(), 'GPUs', '8');
  assert.equal(new URL(window.url()).pathname, '/divvy');
  assert.deepEqual(complaints, []);
  await context.close();
});

test('partitions are made and assigned', async () => {
  await inCockpit(cockpit, {}, async (frame) => {
    await setFour(frame);
    const dialog = await openDialog(frame, 'Assign partitions …');
    await dialog.getByRole('checkbox', { name: 'vm-001' }).first().check();
    await dialog.getByRole('button', { name: /^Assign/ }).click();
    await frame.locator('.segment.state-assigned', { hasText: 'vm-001' }).waitFor();
  });
  assert.equal((await room.json('partition', 'list')).filter((one) => one.vm !== null).length, 1);
});

test('a whole GPU of a pool goes to a VM and comes back', async () => {
  const [gpu] = await room.json('gpu', 'list');
  await inCockpit(cockpit, {}, async (frame) => {
    await visit(frame, '/pools', 'Pools');
    const making = await openDialog(frame, 'Make a pool …');
    await making.getByLabel('Name of the new pool').fill('ml');
    await making.getByRole('group', { name: `Server ${gpu.server}` }).getByRole('checkbox', { name: new RegExp(gpu.pci_address) }).check();
    await making.getByRole('button', { name: 'Make a pool of 1 GPU' }).click();
    await frame.getByRole('link', { name: 'ml', exact: true }).click();
    const giving = await openDialog(frame, 'Assign to a VM …');
    await giving.getByRole('radio', { name: new RegExp(`vm-001.*${gpu.server}`) }).check();
    await giving.getByRole('button', { name: 'Assign 1 whole GPU to vm-001' }).click();
    await frame.getByText(/^Done: give 1 GPU whole/).waitFor();
    const staying = await openDialog(frame, 'Remove …');
    await staying.getByRole('button', { name: 'Unassign 1 VM …' }).click();
    await frame.getByRole('button', { name: 'Unassign 1 VM', exact: true }).click();
    await frame.getByText(/^Done: take 1 GPU back/).waitFor();
    const ending = await openDialog(frame, 'Remove …');
    await ending.getByRole('button', { name: 'Remove pool ml' }).click();
    await frame.getByText('There is no pool.').waitFor();
  });
  assert.deepEqual(await room.json('pool', 'list'), []);
});

test('a change is recorded as of the user who is signed in to Cockpit', async () => {
  await inCockpit(cockpit, {}, setFour);
  const told = await room.json('events');
  assert.ok(told.some((event) => event.principal === user), JSON.stringify(told));
});

test('what the command line changes is shown without a reload', async () => {
  await inCockpit(cockpit, {}, async (frame) => {
    await shows(frame, 'Partitions', '0');
    await frame.getByTitle('live', { exact: true }).waitFor();
    await room.divvy('gpu', 'partition', '--all', '--count', '16');
    await shows(frame, 'Partitions', '128');
  });
});

test('the user of Cockpit is shown, and nothing to sign in or out', async () => {
  await inCockpit(cockpit, {}, async (frame) => {
    await frame.locator('.masthead .user', { hasText: user }).waitFor();
    await visit(frame, '/settings', 'Settings');
    await frame.getByText('divvyd asks the kernel who is at its socket').waitFor();
    assert.equal(await frame.getByRole('button', { name: 'Sign out' }).count(), 0);
    assert.equal(await frame.getByLabel('Colours').count(), 0);
  });
});

test('a place in the page is an address of Cockpit, which can be kept', async () => {
  await inCockpit(cockpit, { address: '/divvy#/jobs' }, async (frame, window) => {
    await frame.getByRole('heading', { level: 1, name: 'Jobs' }).waitFor();
    await frame.getByRole('link', { name: 'VMs', exact: true }).click();
    await frame.getByRole('heading', { level: 1, name: 'VMs' }).waitFor();
    await until('Cockpit has the address', async () => window.url().endsWith('/divvy#/vms'));
  });
});

test('colours are those that are chosen in Cockpit, at once', async () => {
  await inCockpit(cockpit, { theme: 'light' }, async (frame, window) => {
    await colours(frame, 'light');
    await window.getByRole('button', { name: 'Session' }).click();
    await window.getByRole('button', { name: 'Dark' }).click();
    await colours(frame, 'dark');
  });
});

test('colours are those of the system where Cockpit has none chosen', async () => {
  await inCockpit(cockpit, { theme: 'dark' }, async (frame, window) => {
    await colours(frame, 'dark');
    await window.emulateMedia({ colorScheme: 'light' });
    await colours(frame, 'light');
  });
});

test('a user whom the socket does not let in is told what to do, and let in when that is done', async () => {
  await shutDoor(room);
  await inCockpit(cockpit, {}, async (frame) => {
    await frame.getByText(`${user} may not use Divvy`).waitFor();
    await frame.getByText(`usermod -aG divvy ${user}`).waitFor();
    assert.equal(await frame.getByText('a16-1').count(), 0);
    await openDoor(room);
    await shows(frame, 'GPUs', '8');
  });
});

test('a divvyd that does not run is told of, until it does', async () => {
  await room.stop();
  await inCockpit(cockpit, {}, async (frame) => {
    await frame.getByText('divvyd does not answer').waitFor();
    await room.start();
    await openDoor(room);
    await shows(frame, 'GPUs', '8');
  });
});

test('a divvyd that goes away is told of, and when it is back everything is shown anew', async () => {
  await inCockpit(cockpit, {}, async (frame) => {
    await shows(frame, 'Partitions', '0');
    await room.stop();
    await frame.getByText('The server does not answer.').waitFor();
    await room.start();
    await room.divvy('gpu', 'partition', '--all', '--count', '4');
    await openDoor(room);
    await shows(frame, 'Partitions', '32');
  });
});

test('the policy that Cockpit has for every page is enough for this one', async () => {
  await inCockpit(cockpit, {}, async (frame, window) => {
    await shows(frame, 'GPUs', '8');
    const policy = (await window.request.get(frame.url())).headers()['content-security-policy'];
    assert.match(policy, /default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe/);
  });
});

for (const theme of ['light', 'dark']) {
  test(`axe finds nothing on the page, ${theme}`, async () => {
    // axe comes into the page from outside, which its policy rightly does not allow.
    await inCockpit(cockpit, { theme, bypassCSP: true }, async (frame) => {
      await colours(frame, theme);
      await setFour(frame);
      await assertClean(frame, 'overview');
      for (const [address, heading] of [['/settings', 'Settings'], ['/pools', 'Pools'], ['/checks', 'Checks'], ['/events', 'Events']]) {
        await visit(frame, address, heading);
        await assertClean(frame, address);
      }
    });
  });

  test(`axe finds nothing on the page of a user who is not let in, ${theme}`, async () => {
    await shutDoor(room);
    await inCockpit(cockpit, { theme, bypassCSP: true }, async (frame) => {
      await frame.getByText(`${user} may not use Divvy`).waitFor();
      await assertClean(frame, 'shut');
    });
  });
}
