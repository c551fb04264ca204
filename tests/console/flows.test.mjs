// What an administrator does with the mouse: setting partition counts, assigning, unassigning, and being told
// why not.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { onRoom, room, setting } from './fresh-room.mjs';
import { endBrowser, inConsole, isDone, kpi, openDialog, startBrowser, until, visit } from './harness.mjs';

before(startBrowser);
after(endBrowser);

const gpus = () => room.json('gpu', 'list');

/** A list draws what it has when it has been seen, which is a moment after its dialog. */
const chosen = (dialog, many) =>
  until(`${many} GPUs are chosen`, async () => (await dialog.getByRole('checkbox', { name: /^A16/, checked: true }).count()) === many);

describe('partition counts', () => {
  onRoom('a16-pair');

  test('GPUs that are all alike are chosen for a start', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Set partition count …');
      await chosen(dialog, 8);
      assert.equal(await dialog.locator('.notice').count(), 0);
    });
  });

  test('only counts of the vendor can be chosen, with the memory of each partition', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Set partition count …');
      const choices = await dialog.getByLabel('Number of partitions').locator('option').allTextContents();
      const plain = choices.map((text) => text.replaceAll('\u00a0', ' '));
      assert.deepEqual(plain.slice(1), [
        '1 partition: 16 GiB each', '2 partitions: 8 GiB each', '4 partitions: 4 GiB each', '8 partitions: 2 GiB each',
        '16 partitions: 1 GiB each', 'Different sizes …', 'Off: not split',
      ]);
    });
  });

  test('memory and steps follow the chosen count before anything is done', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Set partition count …');
      await dialog.getByLabel('Number of partitions').selectOption('4');
      await dialog.getByText('4 GiB of GPU memory for each partition; 32 partitions in all.').waitFor();
      await dialog.getByText('8 steps on 2 servers').waitFor();
      await dialog.getByLabel('Number of partitions').selectOption('8');
      await dialog.getByText('2 GiB of GPU memory for each partition; 64 partitions in all.').waitFor();
      assert.equal(await dialog.locator('.preview .segment').count(), 8);
    });
    assert.ok((await gpus()).every((gpu) => gpu.partition_count === 0));
  });

  test('setting a count partitions every chosen GPU', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Set partition count …');
      await dialog.getByLabel('Number of partitions').selectOption('4');
      await dialog.getByRole('button', { name: 'Set 4 partitions on 8 GPUs' }).click();
      await isDone(page);
      await until('the page shows it', async () => (await kpi(page, 'Partitions').textContent()) === '32');
    });
    assert.ok((await gpus()).every((gpu) => gpu.partition_count === 4));
  });

  test('leaving a GPU of the set out is warned of and allowed', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Set partition count …');
      await dialog.getByRole('checkbox', { name: /0000:46:00.0/ }).last().uncheck();
      await dialog.getByText('1 GPU of the same model is not chosen.').waitFor();
      await dialog.getByLabel('Number of partitions').selectOption('2');
      await dialog.getByRole('button', { name: 'Set 2 partitions on 7 GPUs' }).click();
      await isDone(page);
    });
    assert.equal((await gpus()).filter((gpu) => gpu.partition_count === 2).length, 7);
  });

  test('servers that are unlike have no set chosen, and sets to choose from', async () => {
    const [first] = await gpus();
    await room.divvy('gpu', 'partition', first.id, '--count', '4');
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Set partition count …');
      await dialog.getByText('The servers do not all have the same GPU configuration.').waitFor();
      await dialog.getByRole('checkbox', { name: /^A16/ }).first().waitFor();
      await chosen(dialog, 0);
      await dialog.getByRole('button', { name: 'Choose 7 GPUs: A16, not split' }).click();
      await chosen(dialog, 7);
    });
  });

  test('a GPU with an assigned partition stops it, and leads to unassigning', async () => {
    const [first] = await gpus();
    await room.divvy('gpu', 'partition', '--all', '--count', '2');
    await room.divvy('assign', (await room.json('vm', 'list'))[0].id, '--gpu', first.id);
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Set partition count …');
      await dialog.getByText('Cannot go on: 1 VM').waitFor();
      await dialog.getByLabel('Number of partitions').selectOption('4');
      assert.ok(await dialog.getByRole('button', { name: 'Set 4 partitions on 8 GPUs' }).isDisabled());
      await dialog.getByRole('button', { name: 'Unassign 1 VM …' }).click();
      await page.getByRole('heading', { name: 'Unassign vm-001' }).waitFor();
    });
  });

  test('off removes the partitions', async () => {
    await room.divvy('gpu', 'partition', '--all', '--count', '2');
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Set partition count …');
      await dialog.getByLabel('Number of partitions').selectOption('off');
      await dialog.getByRole('button', { name: 'Remove the partitions of 8 GPUs' }).click();
      await isDone(page);
    });
    assert.ok((await gpus()).every((gpu) => gpu.partition_count === 0));
  });
});

describe('assignments', () => {
  onRoom('a16-pair');
  beforeEach(() => room.divvy('gpu', 'partition', '--all', '--count', '1'));

  test('several VMs that were searched for get a partition each', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign partitions …');
      await dialog.getByLabel('Find a VM').fill('vm-00 a16-1');
      for (const name of [/vm-002/, /vm-003/]) await dialog.getByRole('checkbox', { name }).check();
      await dialog.getByText('2 of 4 free partitions').waitFor();
      await dialog.getByRole('button', { name: 'Assign a partition to 2 VMs' }).click();
      await isDone(page);
    });
    const having = (await room.json('vm', 'list')).filter((vm) => vm.assignment !== null);
    assert.deepEqual(having.map((vm) => [vm.server, vm.name]), [['a16-1', 'vm-002'], ['a16-1', 'vm-003']]);
  });

  test('a VM that has one already is greyed out with the reason', async () => {
    const [vm] = await room.json('vm', 'list');
    await room.divvy('assign', vm.id);
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign partitions …');
      await dialog.getByLabel('Find a VM').fill(vm.id);
      const box = dialog.getByRole('checkbox', { name: new RegExp(`${vm.name}.*has gpu-.* already`) });
      assert.ok(await box.isDisabled());
    });
  });

  test('a VM whose server has nothing free is greyed out with the reason', async () => {
    const vms = (await room.json('vm', 'list')).filter((vm) => vm.server === 'a16-1').map((vm) => vm.id);
    await room.divvy('assign', ...vms.slice(0, 4));
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign partitions …');
      await dialog.getByLabel('Find a VM').fill(vms[9]);
      const box = dialog.getByRole('checkbox', { name: /no partition is free on server a16-1/ });
      assert.ok(await box.isDisabled());
    });
  });

  test('choosing all takes as many VMs as there are partitions', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign partitions …');
      await dialog.getByRole('button', { name: 'Choose all that can get one' }).click();
      await dialog.getByRole('button', { name: 'Assign a partition to 8 VMs' }).click();
      await isDone(page);
    });
    assert.equal((await room.json('partition', 'list')).filter((one) => one.state === 'free').length, 0);
  });

  test('more VMs than partitions are stopped before anything is asked', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign partitions …');
      await dialog.getByLabel('Find a VM').fill('vm-00 a16-1');
      for (const nth of [1, 2, 3, 4, 5]) await dialog.getByRole('checkbox', { name: `vm-00${nth}` }).check();
      await dialog.getByText('5 VMs chosen on server a16-1, and 4 partitions free.').waitFor();
      assert.ok(await dialog.getByRole('button', { name: 'Assign a partition to 5 VMs' }).isDisabled());
    });
  });

  test('the GPU can be chosen, and the VMs are those of its server', async () => {
    const gpu = (await gpus()).find((one) => one.server === 'a16-2');
    const wanted = (await room.json('vm', 'list')).find((one) => one.server === 'a16-2');
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign partitions …');
      await dialog.getByRole('combobox', { name: 'Partition of' }).fill(gpu.name);
      await dialog.getByRole('option', { name: new RegExp(gpu.name) }).click();
      await until('only its VMs are left', async () => (await dialog.getByText(/^a16-1$/).count()) === 0);
      await dialog.getByRole('checkbox', { name: new RegExp(wanted.name) }).check();
      await dialog.getByRole('button', { name: 'Assign a partition to 1 VM' }).click();
      await isDone(page);
    });
    const [vm] = (await room.json('vm', 'list')).filter((one) => one.assignment !== null);
    assert.deepEqual([vm.id, vm.assignment.gpu], [wanted.id, gpu.id]);
  });

  test('unassigning gives the partition back', async () => {
    const [vm] = await room.json('vm', 'list');
    await room.divvy('assign', vm.id);
    await inConsole(room, {}, async (page) => {
      await visit(page, `/vms/${vm.id}`, `VM ${vm.name}`);
      const dialog = await openDialog(page, 'Unassign …');
      await dialog.getByRole('button', { name: 'Unassign 1 VM' }).click();
      await isDone(page);
      await page.getByRole('button', { name: 'Assign a partition …' }).waitFor();
    });
    assert.equal((await room.json('vm', 'show', vm.id)).assignment, null);
  });

  test('unassigning a VM that runs is warned of', async () => {
    const [vm] = await room.json('vm', 'list');
    await room.divvy('assign', vm.id);
    await room.divvy('sim', 'power', vm.id, 'on');
    await inConsole(room, {}, async (page) => {
      await visit(page, `/vms/${vm.id}`, `VM ${vm.name}`);
      const dialog = await openDialog(page, 'Unassign …');
      await dialog.getByText('what is unassigned is taken out while it runs').waitFor();
    });
  });
});

describe('refusals', () => {
  onRoom('a2-edge', (kept) => {
    setting('vm-003', { guest_os: null })(kept);
    setting('vm-006', { saved_state: true })(kept);
  });
  beforeEach(() => room.divvy('gpu', 'partition', '--all', '--count', '4'));

  test('a refusal is shown with its reason, what to do and its code', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign partitions …');
      await dialog.getByRole('checkbox', { name: /vm-006/ }).check();
      const refusal = dialog.getByRole('alert');
      await refusal.getByText('has a saved memory image').first().waitFor();
      await refusal.getByText('virsh managedsave-remove vm-006').first().waitFor();
      await refusal.getByText('not_ready', { exact: true }).waitFor();
      assert.ok(await dialog.getByRole('button', { name: 'Assign a partition to 1 VM' }).isDisabled());
    });
  });

  test('what needs to be accepted can be accepted by its code, and the command line says so', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign partitions …');
      await dialog.getByRole('checkbox', { name: /vm-003/ }).check();
      await dialog.getByRole('checkbox', { name: /guest_os_unknown/ }).check();
      await dialog.getByText('divvy assign vm-003 --accept guest_os_unknown').waitFor();
      await dialog.getByRole('button', { name: 'Assign a partition to 1 VM' }).click();
      await isDone(page);
    });
    assert.notEqual((await room.json('vm', 'show', 'vm-003')).assignment, null);
  });

  test('a simulated VM can be powered on from its page', async () => {
    const [first] = await room.json('vm', 'list');
    await inConsole(room, {}, async (page) => {
      await visit(page, `/vms/${first.id}`, 'VM vm-001');
      await page.getByRole('button', { name: 'Power on (simulated)' }).click();
      await page.getByRole('button', { name: 'Power off (simulated)' }).waitFor();
    });
    assert.equal((await room.json('vm', 'show', first.id)).power, 'running');
  });
});

describe('what goes wrong in a room', () => {
  onRoom('a2-edge');

  test('is caused, told of and ended on the page of settings', async () => {
    const [gpu] = await gpus();
    await inConsole(room, {}, async (page) => {
      await visit(page, '/settings', 'Settings');
      await page.getByLabel('What goes wrong', { exact: true }).selectOption('gpu GPU partial N');
      assert.ok(await page.getByRole('button', { name: 'Let it go wrong' }).isDisabled());
      await page.getByLabel('How many').fill('2');
      await page.getByText(`divvy sim fault gpu ${gpu.id} partial 2`).waitFor();
      await page.getByRole('button', { name: 'Let it go wrong' }).click();
      await page.getByRole('list', { name: 'What goes wrong' }).getByText(`gpu ${gpu.id} partial 2`).waitFor();
      assert.equal((await room.json('sim', 'fault', 'list')).length, 1);
      await page.getByRole('button', { name: 'End all of it' }).click();
      await page.getByText('Nothing that was caused.').waitFor();
    });
    assert.deepEqual(await room.json('sim', 'fault', 'list'), []);
  });

  test('that cannot be is refused with the words of the server', async () => {
    await inConsole(room, {}, async (page) => {
      await visit(page, '/settings', 'Settings');
      await page.getByLabel('What goes wrong', { exact: true }).selectOption('gpu GPU fail ERRNO');
      await page.getByLabel(/^Error/).fill('ENOTHING');
      await page.getByRole('button', { name: 'Let it go wrong' }).click();
      await page.getByRole('alert').getByText(/ENOTHING/).waitFor();
    });
  });
});

describe('command line', () => {
  onRoom('a2-edge');

  test('the command that a dialog shows does what its button does', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Set partition count …');
      await dialog.getByLabel('Number of partitions').selectOption('4');
      const command = await dialog.locator('.same-on-cli code').textContent();
      const [program, ...words] = command.split(' ');
      assert.equal(program, 'divvy');
      await room.divvy(...words);
    });
    assert.equal((await gpus())[0].partition_count, 4);
  });

  test('every page says its command', async () => {
    await inConsole(room, {}, async (page) => {
      for (const [address, heading, command] of [
        ['/gpus', 'GPUs', 'divvy gpu list'], ['/partitions', 'Partitions', 'divvy partition list'], ['/pools', 'Pools', 'divvy pool list'], ['/vms', 'VMs', 'divvy vm list'],
        ['/checks', 'Checks', 'divvy check'], ['/jobs', 'Jobs', 'divvy job list'], ['/events', 'Events', 'divvy events --follow'],
      ]) {
        await visit(page, address, heading);
        await page.locator('.same-on-cli code', { hasText: command }).waitFor();
      }
    });
  });
});
