// What GPUs and partitions use: on the page of a GPU, of a partition and on the first page, in words that a
// reader hears too, asked for only while such a page is seen.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertClean } from './axe.mjs';
import { endBrowser, inConsole, NARROW, openConsole, Room, startBrowser, until, visit, WIDE } from './harness.mjs';

let room;
let gpu;
before(async () => {
  room = await Room.start('a2-edge');
  await startBrowser();
  gpu = (await room.json('gpu', 'list'))[0].id;
  await room.divvy('gpu', 'partition', gpu, '--count', '4');
  await room.divvy('assign', 'vm-001', 'vm-002');
  await room.divvy('sim', 'power', 'vm-001', 'on');
  await until('the VM uses its partition', async () => (await room.json('usage'))[0].partitions.length === 1);
});
after(async () => {
  await endBrowser();
  await room.end();
});

const section = (page) => page.locator('section', { has: page.getByRole('heading', { name: 'Use now' }) });
const isTold = (page) => page.getByText(/\d\s?% busy/).first();

test('the page of a GPU says how busy it is and how much memory is used, and so of each partition in use', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, `/gpus/${gpu}`, /^GPU/);
    await section(page).getByText(/^\d+%$/).first().waitFor();
    await section(page).getByText(/ of 16\sGiB$/).waitFor();
    assert.equal(await section(page).getByRole('meter', { name: 'GPU: busy' }).count(), 1);
    for (const what of ['encoding', 'decoding']) await section(page).getByRole('meter', { name: `GPU: ${what}` }).waitFor();
    const row = page.getByRole('row').filter({ hasText: 'vm-001' });
    await row.getByText(/ of 4\sGiB$/).waitFor();
    for (const what of ['busy', 'encoding', 'decoding']) await row.getByRole('meter', { name: `Partition 0: ${what}` }).waitFor();
    assert.equal(await page.getByRole('row').filter({ hasText: 'vm-002' }).getByRole('meter').count(), 0);
  });
});

test('the page of a partition says what its VM uses of it, or that no VM uses it', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, `/partitions/${gpu}.0`, 'Partition 0');
    await section(page).getByText(/^\d+%$/).first().waitFor();
    await section(page).getByText(/ of 4\sGiB$/).waitFor();
    await section(page).getByRole('meter', { name: 'Partition: encoding' }).waitFor();
    await section(page).getByText('Most of the GPU’s encoders').waitFor();
    await visit(page, `/partitions/${gpu}.3`, 'Partition 3');
    await section(page).getByText('No VM uses it now.').waitFor();
  });
});

test('the first page says it beside each GPU', async () => {
  await inConsole(room, {}, async (page) => {
    await isTold(page).waitFor();
    assert.equal(await page.getByRole('article', { name: 'Server edge-1' }).getByRole('meter').count(), 1);
  });
});

const UNKNOWN = {
  server: 'edge-1', at_ms: null, memory_bytes: null, memory_used_bytes: null, utilization_percent: null,
  encoder_utilization_percent: null, decoder_utilization_percent: null, encoder_capacity_percent: null, ecc: null,
  scheduler: null, reason: 'the library did not answer', partitions: [],
};

test('what cannot be told is said with its reason, and the first page stays as it is', async () => {
  await inConsole(room, {}, async (page) => {
    await page.route('**/v1/usage*', (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify([{ ...UNKNOWN, gpu }]) }));
    await visit(page, `/gpus/${gpu}`, /^GPU/);
    await section(page).getByText('It cannot be told: the library did not answer.').waitFor();
    assert.equal(await page.getByRole('meter').count(), 0);
    const answered = page.waitForResponse(/\/v1\/usage/);
    await visit(page, '/', 'Overview');
    await answered;
    assert.equal(await page.getByRole('article', { name: 'Server edge-1' }).getByRole('meter').count(), 0);
  });
});

test('an older server is asked once', async () => {
  await inConsole(room, {}, async (page) => {
    let asked = 0;
    await page.route('**/v1/usage*', (route) => {
      asked += 1;
      const problem = { type: 'about:blank', title: 'Not Found', status: 404, code: 'no_such_route', detail: 'no', hint: null, findings: [] };
      return route.fulfill({ status: 404, contentType: 'application/problem+json', body: JSON.stringify(problem) });
    });
    await visit(page, '/settings', 'Settings');
    await page.clock.install();
    asked = 0;
    await visit(page, `/gpus/${gpu}`, /^GPU/);
    await until('it was asked', () => asked === 1);
    await page.clock.fastForward(60_000);
    await visit(page, '/settings', 'Settings');
    assert.equal(asked, 1);
  });
});

/** Says to the page that it is seen, or not. */
const setHidden = (page, isHidden) => page.evaluate((value) => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
  document.dispatchEvent(new Event('visibilitychange'));
}, isHidden);

test('it is asked for again and again while the page is seen, and not while it is hidden or left', async () => {
  await inConsole(room, {}, async (page) => {
    await visit(page, '/settings', 'Settings');
    await page.clock.install();
    let answered = 0;
    page.on('requestfinished', (request) => { if (request.url().includes('/v1/usage')) answered += 1; });
    await visit(page, `/gpus/${gpu}`, /^GPU/);
    await until('the first answer', () => answered === 1);
    await section(page).waitFor();
    await page.clock.fastForward(6_000);
    await until('the second answer', () => answered === 2);
    await setHidden(page, true);
    await page.clock.fastForward(60_000);
    await setHidden(page, false);
    await until('an answer as soon as it is seen again', () => answered === 3);
    await visit(page, '/settings', 'Settings');
    await page.clock.fastForward(60_000);
    await page.evaluate(() => fetch('/v1/version'));
    assert.equal(answered, 3);
  });
});

for (const theme of ['light', 'dark']) {
  for (const viewport of [NARROW, WIDE]) {
    test(`axe finds nothing, ${theme}, ${viewport.width} px`, async () => {
      const { context, page } = await openConsole(room, { theme, viewport, bypassCSP: true });
      await isTold(page).waitFor();
      await assertClean(page, 'overview');
      for (const [address, heading] of [[`/gpus/${gpu}`, /^GPU/], [`/partitions/${gpu}.0`, 'Partition 0']]) {
        await visit(page, address, heading);
        await section(page).getByText(/^\d+%$/).first().waitFor();
        await assertClean(page, address);
      }
      await context.close();
    });
  }
}
