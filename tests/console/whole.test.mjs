// Whole GPUs for VMs: given by name and out of a pool, taken back, and the reasons why not.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { onRoom, room, setting } from './fresh-room.mjs';
import { endBrowser, inConsole, isDone, openDialog, shows, startBrowser, until, visit } from './harness.mjs';

before(startBrowser);
after(endBrowser);

const vmOf = (name) => room.json('vm', 'show', name);

describe('one GPU', () => {
  onRoom('a2-edge', setting('vm-004', { free_hotplug_ports: 0 }));
  let gpu;
  beforeEach(async () => { [gpu] = await room.json('gpu', 'list'); });

  test('the first page leads to a VM with a whole GPU, with the steps before', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign whole GPUs …');
      await dialog.getByRole('radio', { name: /vm-001/ }).check();
      await dialog.getByRole('checkbox', { name: /0000:41:00.0/ }).check();
      await dialog.getByText('2 steps on 1 server').waitFor();
      await dialog.getByText(/take GPU gpu-48b02db7b700001d at 0000:41:00.0 from the server/).waitFor();
      await dialog.getByText(`divvy dda assign vm-001 --gpu ${gpu.id}`).waitFor();
      await dialog.getByRole('button', { name: 'Assign 1 whole GPU to vm-001' }).click();
      await isDone(page);
      await page.locator('[data-whole].state-assigned', { hasText: 'vm-001' }).waitFor();
      await until('it is counted', async () => (await page.getByRole('list', { name: 'In numbers' }).textContent()).includes('1 whole'));
    });
    assert.deepEqual((await vmOf('vm-001')).assignment, { kind: 'dda', gpu: gpu.id, gpus: [gpu.id], partition: null, pool: null, count: null, state: 'assigned' });
  });

  test('the page of a GPU gives it and takes it back', async () => {
    await inConsole(room, {}, async (page) => {
      await visit(page, `/gpus/${gpu.id}`, /^GPU/);
      const giving = await openDialog(page, 'Assign it whole …');
      assert.ok(await giving.getByRole('checkbox', { name: /0000:41:00.0/ }).isChecked());
      await giving.getByRole('radio', { name: /vm-002/ }).check();
      await giving.getByRole('button', { name: 'Assign 1 whole GPU to vm-002' }).click();
      await page.getByText(/^Done: give 1 GPU whole to vm-002/).waitFor();
      await page.getByText('used whole by VM vm-002', { exact: false }).first().waitFor();
      const taking = await openDialog(page, 'Unassign from vm-002 …');
      await taking.getByText('divvy dda unassign vm-002').waitFor();
      await taking.getByRole('button', { name: 'Unassign 1 VM' }).click();
      await page.getByText(/^Done: take 1 GPU back from vm-002/).waitFor();
      await page.getByRole('button', { name: 'Assign it whole …' }).waitFor();
    });
    assert.equal((await vmOf('vm-002')).assignment, null);
    assert.equal((await room.json('gpu', 'show', gpu.id)).mode, 'partitionable');
  });

  test('the page of a VM shows its whole GPU and takes it back', async () => {
    await room.divvy('dda', 'assign', 'vm-001', '--gpu', gpu.id);
    const { id } = await vmOf('vm-001');
    await inConsole(room, {}, async (page) => {
      await visit(page, `/vms/${id}`, 'VM vm-001');
      await page.getByRole('definition').getByRole('link', { name: gpu.name }).waitFor();
      const dialog = await openDialog(page, 'Unassign …');
      await dialog.getByText(`whole: ${gpu.name}`).waitFor();
      await dialog.getByRole('button', { name: 'Unassign 1 VM' }).click();
      await page.getByRole('button', { name: 'Assign whole GPUs …' }).waitFor();
    });
    assert.equal((await vmOf('vm-001')).assignment, null);
  });

  test('a GPU that is split is greyed out with the reason, and leads to the end of that', async () => {
    await room.divvy('gpu', 'partition', gpu.id, '--count', '4');
    await inConsole(room, {}, async (page) => {
      await visit(page, `/gpus/${gpu.id}`, /^GPU/);
      await page.getByText('Not to be given whole: it is split into 4 partitions').waitFor();
      assert.ok(await page.getByRole('button', { name: 'Assign it whole …' }).isDisabled());
      await visit(page, '/gpus', 'GPUs');
      await page.getByRole('checkbox', { name: `GPU ${gpu.name}` }).check();
      const dialog = await openDialog(page, 'Assign 1 GPU whole …');
      await dialog.getByText(/Cannot go on: GPU .*: it is split into 4 partitions/).waitFor();
      await dialog.getByRole('button', { name: 'Stop splitting 1 GPU …' }).click();
      await page.getByRole('button', { name: 'Remove the partitions of 1 GPU' }).click();
      await isDone(page);
    });
    assert.equal((await room.json('gpu', 'show', gpu.id)).partition_count, 0);
  });

  test('a GPU that a VM has whole cannot be split, and says which VM', async () => {
    await room.divvy('dda', 'assign', 'vm-001', '--gpu', gpu.id);
    await inConsole(room, {}, async (page) => {
      const counting = await openDialog(page, 'Set partition count …');
      assert.ok(await counting.getByRole('checkbox', { name: /used whole by VM vm-001/ }).isDisabled());
      await page.keyboard.press('Escape');
      const giving = await openDialog(page, 'Assign whole GPUs …');
      assert.ok(await giving.getByRole('checkbox', { name: /VM vm-001 has it whole/ }).isDisabled());
      assert.ok(await giving.getByRole('radio', { name: /vm-001.*has gpu-.* whole already/ }).isDisabled());
    });
  });

  test('what needs to be accepted can be accepted by its code', async () => {
    await room.divvy('sim', 'power', 'vm-004', 'on');
    await inConsole(room, {}, async (page) => {
      await visit(page, `/gpus/${gpu.id}`, /^GPU/);
      const dialog = await openDialog(page, 'Assign it whole …');
      await dialog.getByRole('radio', { name: /vm-004/ }).check();
      await dialog.getByRole('alert').getByText('not_accepted', { exact: true }).waitFor();
      await dialog.getByRole('checkbox', { name: /vm_will_restart/ }).check();
      await dialog.getByText(`--gpu ${gpu.id} --accept vm_will_restart`).waitFor();
      await dialog.getByRole('button', { name: 'Assign 1 whole GPU to vm-004' }).click();
      await isDone(page);
    });
    assert.equal((await vmOf('vm-004')).assignment.kind, 'dda');
  });

  test('a GPU that processes of the server use is warned of', async () => {
    await room.divvy('sim', 'fault', 'gpu', gpu.id, 'busy');
    await inConsole(room, {}, async (page) => {
      await visit(page, `/gpus/${gpu.id}`, /^GPU/);
      const dialog = await openDialog(page, 'Assign it whole …');
      await dialog.getByRole('radio', { name: /vm-001/ }).check();
      await dialog.locator('.plan .notice.tone-warning').getByText(/process/).first().waitFor();
    });
  });

  test('what another client does is shown while the dialog is open', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign whole GPUs …');
      assert.ok(await dialog.getByRole('checkbox', { name: /0000:41:00.0/ }).isEnabled());
      await room.divvy('dda', 'assign', 'vm-003', '--gpu', gpu.id);
      await dialog.getByRole('checkbox', { name: /VM vm-003 has it whole/ }).waitFor();
    });
  });

  test('what a VM has whole is counted on the first page', async () => {
    await room.divvy('dda', 'assign', 'vm-001', '--gpu', '0000:41:00.0');
    await inConsole(room, {}, async (page) => {
      await shows(page, 'GPUs', '1');
      await page.getByText('1 whole', { exact: false }).waitFor();
    });
  });
});

describe('several GPUs', () => {
  onRoom('a10-trio');

  test('VMs with partitions and VMs with whole GPUs are unassigned in one go', async () => {
    const gpus = (await room.json('gpu', 'list')).filter((gpu) => gpu.server === 'a10-1');
    await room.divvy('gpu', 'partition', gpus[0].id, '--count', '2');
    const [first, second] = [await vmOf('vm-001'), await vmOf('vm-002')];
    await room.divvy('assign', first.id);
    await room.divvy('dda', 'assign', second.id, '--gpu', gpus[1].id, '--accept', 'vm_mmio_window');
    await inConsole(room, {}, async (page) => {
      await visit(page, '/vms', 'VMs');
      for (const vm of [first, second]) await page.getByRole('checkbox', { name: `VM ${vm.name} on a10-1` }).check();
      const dialog = await openDialog(page, 'Unassign 2 VMs …');
      await dialog.getByText(/^divvy unassign \S+ && divvy dda unassign \S+$/).waitFor();
      await dialog.getByRole('button', { name: 'Unassign 2 VMs' }).click();
      await page.getByText(/^Done: take 1 GPU back/).waitFor();
    });
    assert.ok((await room.json('vm', 'list')).every((vm) => vm.assignment === null));
  });

  test('GPUs of another server than the VM’s are not offered', async () => {
    await inConsole(room, {}, async (page) => {
      const dialog = await openDialog(page, 'Assign whole GPUs …');
      await dialog.getByLabel('Find a VM').fill('vm-053');
      await dialog.getByRole('radio', { name: /vm-053 a10-2/ }).check();
      await until('only its server is left', async () => (await dialog.getByRole('group', { name: /^Server/ }).count()) === 1);
      await dialog.getByRole('group', { name: 'Server a10-2' }).waitFor();
    });
  });

  describe('in a pool', () => {
    beforeEach(async () => {
      const ids = (await room.json('gpu', 'list')).filter((gpu) => gpu.server !== 'a10-3').map((gpu) => gpu.id);
      await room.divvy('pool', 'create', 'ml', ...ids);
    });

    test('a VM gets so many of the pool as are asked for', async () => {
      const vm = await vmOf('vm-001');
      await inConsole(room, {}, async (page) => {
        await visit(page, '/pools/ml', 'Pool ml');
        const dialog = await openDialog(page, 'Assign to a VM …');
        await dialog.getByLabel('Find a VM').fill('vm-001');
        await dialog.getByRole('radio', { name: /vm-001/ }).check();
        await dialog.getByLabel('How many GPUs').fill('2');
        await dialog.getByRole('checkbox', { name: /vm_mmio_window/ }).check();
        await dialog.getByText(/--pool ml --count 2 --accept vm_mmio_window$/).waitFor();
        await dialog.getByRole('button', { name: 'Assign 2 whole GPUs to vm-001' }).click();
        await isDone(page);
        await until('the page shows it', async () => (await page.getByRole('cell', { name: 'vm-001' }).count()) === 2);
        await page.getByText('2 of 4 GPUs free').waitFor();
      });
      assert.equal((await room.json('vm', 'show', vm.id)).assignment.gpus.length, 2);
    });

    test('a VM is promised a GPU that it has while it runs, also when none is free now', async () => {
      const vm = await vmOf('vm-001');
      const server = (await room.json('gpu', 'list')).filter((gpu) => gpu.server === vm.server);
      await room.divvy('dda', 'assign', 'vm-002', ...server.flatMap((gpu) => ['--gpu', gpu.id]), '--accept', 'vm_mmio_window');
      await inConsole(room, {}, async (page) => {
        await visit(page, '/pools/ml', 'Pool ml');
        const dialog = await openDialog(page, 'Assign to a VM …');
        await dialog.getByLabel('Find a VM').fill('vm-001');
        await dialog.getByRole('radio', { name: /vm-001/ }).check();
        await dialog.getByText(/Pool ml has 0 free GPUs on server a10-1/).waitFor();
        await dialog.getByRole('radio', { name: 'Pick when the VM starts' }).check();
        await dialog.getByRole('checkbox', { name: /vm_mmio_window/ }).check();
        await dialog.getByText('No step has to be taken for it now.').waitFor();
        await dialog.getByText(/--pool ml --at-start --accept vm_mmio_window$/).waitFor();
        await dialog.getByRole('button', { name: 'Promise 1 whole GPU to vm-001' }).click();
        await isDone(page);
        await page.getByText('2 of 4 GPUs free, 1 promised to VMs at their start').waitFor();
        await visit(page, `/vms/${vm.id}`, 'VM vm-001');
        await page.getByRole('definition').getByText('waiting for its start').waitFor();
        await room.divvy('dda', 'unassign', 'vm-002');
        await page.getByRole('button', { name: 'Power on (simulated)' }).click();
        await page.getByRole('definition').getByRole('link', { name: /^a10-1\// }).waitFor();
        const ending = await openDialog(page, 'Unassign …');
        await ending.getByRole('button', { name: 'Unassign 1 VM' }).click();
        await page.getByRole('button', { name: 'Assign whole GPUs …' }).waitFor();
      });
      assert.equal((await vmOf('vm-001')).assignment, null);
    });

    test('more than the VM’s server has are stopped, with where there are others', async () => {
      await inConsole(room, {}, async (page) => {
        await visit(page, '/pools/ml', 'Pool ml');
        const dialog = await openDialog(page, 'Assign to a VM …');
        await dialog.getByLabel('Find a VM').fill('vm-001');
        await dialog.getByRole('radio', { name: /vm-001/ }).check();
        await dialog.getByLabel('How many GPUs').fill('3');
        await dialog.getByText(/Pool ml has 2 free GPUs on server a10-1.*2 free GPUs on a10-2/).waitFor();
        assert.ok(await dialog.getByRole('button', { name: 'Assign 3 whole GPUs to vm-001' }).isDisabled());
      });
    });

    test('a count that is none is said beside its field', async () => {
      await inConsole(room, {}, async (page) => {
        await visit(page, '/pools/ml', 'Pool ml');
        const dialog = await openDialog(page, 'Assign to a VM …');
        for (const bad of ['0', '-1', '1.5', 'two', '', '65536', '1e1']) {
          await dialog.getByLabel('How many GPUs').fill(bad);
          await dialog.getByText('A whole number, 1 or more.').waitFor();
          assert.ok(await dialog.getByRole('button', { name: /^Assign/ }).isDisabled(), bad);
        }
      });
    });
  });
});
