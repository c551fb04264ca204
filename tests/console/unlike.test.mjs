// A server that becomes unlike the others is told of on an open page, and no more when it is like them again.

import { after, before, test } from 'node:test';
import { onRoom, room } from './fresh-room.mjs';
import { endBrowser, inConsole, startBrowser, visit } from './harness.mjs';

before(startBrowser);
after(endBrowser);

onRoom('a10-trio');

test('another branch of the driver is among the checks by itself, with its mend, and goes by itself', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, '/checks', 'Checks');
    await page.getByText('Nothing was found').waitFor();
    await room.divvy('sim', 'fault', 'server', 'a10-3', 'nvidia-driver', '570.172.08');
    await page.getByText('server a10-3 has the driver nvidia 570.172.08', { exact: false }).waitFor();
    await page.getByText(/install the driver nvidia of branch 550 on server a10-3/).waitFor();
    await room.divvy('sim', 'fault', 'server', 'a10-3', 'nvidia-driver', '550.163.02');
    await page.getByText('Nothing was found').waitFor();
  });
});

test('the page of a GPU tells driver, version and ECC mode', async () => {
  await inConsole(room, {}, async (page) => {
    const [gpu] = await room.json('gpu', 'list');
    await visit(page, `/gpus/${gpu.id}`, /^GPU/);
    await page.getByText('nvidia 550.163.02').waitFor();
    await page.getByText('Corrects memory errors (ECC)').waitFor();
  });
});
