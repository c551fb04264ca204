// Everything by the keyboard alone: the main flow from signing in to unassigning, without one click; and the
// widgets as people who use readers expect them.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { onRoom, room } from './fresh-room.mjs';
import { endBrowser, inConsole, startBrowser, until, visit } from './harness.mjs';

before(startBrowser);
after(endBrowser);

onRoom('a2-edge');

/** Presses Tab until something with this name has the focus; more often than any page has stops is a failure. */
async function tabTo(page, name) {
  for (let pressed = 0; pressed < 120; pressed += 1) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate(() => {
      const element = document.activeElement;
      // Past the last stop the page itself has the focus, and its text is the text of everything.
      if (!element?.matches('a, button, input, select, summary')) return '';
      const label = element?.labels?.[0]?.textContent ?? '';
      return `${element?.getAttribute('aria-label') ?? ''} ${label} ${element?.textContent ?? ''}`;
    });
    if (name.test(focused)) return;
  }
  assert.fail(`the keyboard does not reach ${name}`);
}

test('the whole flow needs no mouse', async () => {
  await inConsole(room, { signIn: false }, async (page) => {
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await tabTo(page, /User and password/);
    await page.keyboard.press('ArrowRight');
    await tabTo(page, /^ Token/);
    await page.keyboard.type(room.token);
    await page.keyboard.press('Enter');
    await page.getByRole('list', { name: 'In numbers' }).waitFor();

    await tabTo(page, /Set partition count/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await tabTo(page, /Number of partitions/);
    await page.keyboard.type('4');
    await page.getByText(/1 step on 1 server/).waitFor();
    await tabTo(page, /Set 4 partitions/);
    await page.keyboard.press('Enter');
    await page.getByText(/^Done: 4 partitions/).waitFor();

    await tabTo(page, /Assign partitions/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await tabTo(page, /Find a VM/);
    await page.keyboard.type('vm-007');
    await tabTo(page, /vm-007/);
    await page.keyboard.press('Space');
    await page.getByText(/steps? on 1 server/).waitFor();
    await tabTo(page, /Assign a partition to 1 VM/);
    await page.keyboard.press('Enter');
    await page.getByText(/^Done: assign/).waitFor();

    await tabTo(page, /^ +VMs$/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'VMs' }).waitFor();
    await tabTo(page, /^VM vm-007 on/);
    await page.keyboard.press('Space');
    await tabTo(page, /Unassign 1 VM/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await tabTo(page, /^ +Unassign 1 VM$/);
    await page.keyboard.press('Enter');
    await page.getByText(/^Done: unassign vm-007/).waitFor();
  });
  assert.equal((await room.json('vm', 'show', 'vm-007')).assignment, null);
});

test('whole GPUs, pools and their end need no mouse', async () => {
  await inConsole(room, {}, async (page) => {
    const press = async (name, key = 'Enter') => {
      await tabTo(page, name);
      await page.keyboard.press(key);
    };
    await press(/^ +Pools$/);
    await page.getByRole('heading', { level: 1, name: 'Pools' }).waitFor();
    await press(/Make a pool …/);
    await page.getByRole('dialog').waitFor();
    await tabTo(page, /Name of the new pool/);
    await page.keyboard.type('ml');
    await press(/0000:41:00.0/, 'Space');
    await press(/Make a pool of 1 GPU/);
    await page.getByText('Pool ml is there').waitFor();

    await press(/^ +ml$/);
    await page.getByRole('heading', { level: 1, name: 'Pool ml' }).waitFor();
    await press(/Assign to a VM …/);
    await page.getByRole('dialog').waitFor();
    await tabTo(page, /Find a VM/);
    await page.keyboard.type('vm-003');
    await press(/vm-003/, 'Space');
    await page.getByText(/steps on 1 server/).waitFor();
    await press(/Assign 1 whole GPU to vm-003/);
    await page.getByText(/^Done: give 1 GPU whole/).waitFor();

    await press(/^ +VMs$/);
    await page.getByRole('heading', { level: 1, name: 'VMs' }).waitFor();
    await press(/^VM vm-003 on/, 'Space');
    await press(/Unassign 1 VM/);
    await page.getByRole('dialog').waitFor();
    await press(/^ +Unassign 1 VM$/);
    await page.getByText(/^Done: take 1 GPU back from vm-003/).waitFor();
  });
  assert.equal((await room.json('vm', 'show', 'vm-003')).assignment, null);
});

test('a dialog keeps the focus inside and gives it back', async () => {
  await inConsole(room, {}, async (page) => {
    const opener = page.getByRole('button', { name: 'Set partition count …' });
    await opener.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    for (let pressed = 0; pressed < 30; pressed += 1) {
      await page.keyboard.press('Tab');
      // Between its last and its first stop the browser itself has the focus, never the page behind.
      assert.ok(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest('dialog') !== null));
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.ok(await opener.evaluate((element) => element === document.activeElement));
  });
});

test('the skip button leads to the content', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, '/gpus', 'GPUs');
    await page.evaluate(() => { document.activeElement.blur(); document.querySelector('.skip').focus(); });
    await page.keyboard.press('Enter');
    assert.ok(await page.evaluate(() => document.activeElement.tagName === 'MAIN'));
  });
});

test('a new page gives the focus to its heading', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, '/vms', 'VMs');
    await until('the heading has the focus', () => page.evaluate(() => document.activeElement.textContent === 'VMs'));
  });
});

test('arrow keys go through a menu and Esc closes it', async () => {
  await inConsole(room, {}, async (page) => {
    const button = page.getByRole('button', { name: /^User/ });
    await button.focus();
    await page.keyboard.press('Enter');
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    await until('the first entry has the focus', async () => /colours/.test(await focused()));
    await page.keyboard.press('ArrowDown');
    assert.equal(await focused(), 'Settings');
    await page.keyboard.press('End');
    assert.equal(await focused(), 'Sign out');
    await page.keyboard.press('Escape');
    assert.equal(await page.getByRole('menu').count(), 0);
    assert.ok(await button.evaluate((element) => element === document.activeElement));
  });
});

test('arrow keys choose in a combobox, and Esc there leaves the dialog open', async () => {
  await room.divvy('gpu', 'partition', '--all', '--count', '4');
  await inConsole(room, {}, async (page) => {
    await page.getByRole('button', { name: 'Assign partitions …' }).click();
    const box = page.getByRole('combobox', { name: 'Partition of' });
    await box.focus();
    await page.keyboard.press('ArrowDown');
    await page.getByRole('listbox').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('listbox').waitFor({ state: 'detached' });
    assert.ok(await page.getByRole('dialog').isVisible());
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await until('the GPU is chosen', async () => (await box.inputValue()).includes('0000:41:00.0'));
  });
});
