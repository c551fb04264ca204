// Webhooks on the page of settings: how it goes with each, a test that is taken and one that is not, and
// servers without any.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { assertClean } from './axe.mjs';
import { endBrowser, inConsole, Room, startBrowser, until, visit } from './harness.mjs';

let room;
let receiver;
let url;
let status = 204;
const taken = [];

before(async () => {
  receiver = createServer(async (asked, answer) => {
    let body = '';
    for await (const piece of asked) body += piece;
    taken.push(JSON.parse(body));
    answer.writeHead(status).end();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  url = `http://127.0.0.1:${receiver.address().port}/in`;
  room = await Room.start('a2-edge', null, async (folder) => {
    const secret = path.join(folder, 'secret');
    await writeFile(secret, `whsec_${Buffer.alloc(32, 7).toString('base64')}`, { mode: 0o600 });
    return `[[webhook]]\nurl = '${url}?key=hunter2'\nsecret_file = '${secret}'\ncodes = ['count_set']\n`;
  });
  await startBrowser();
});
after(async () => {
  await endBrowser();
  await room.end();
  receiver.closeAllConnections();
  receiver.close();
});

const row = (page) => page.getByRole('row').filter({ hasText: url });
const attempt = (page) => page.getByRole('button', { name: `Send a test event to ${url}` });

test('a webhook is shown with its state, and a test event tells that it is taken', async () => {
  await inConsole(room, { bypassCSP: true }, async (page) => {
    await visit(page, '/settings', 'Settings');
    await row(page).getByText('working').waitFor();
    await row(page).getByText('count_set').waitFor();
    assert.ok(!(await page.content()).includes('hunter2'));
    await attempt(page).click();
    await page.getByRole('status').getByText('took the test event, with status 204').waitFor();
    assert.deepEqual(taken.map((one) => one.type), ['webhook_test']);
    await assertClean(page, 'the settings with a webhook');
  });
});

test('one that takes no events says since when and why, and a test event says it too', async () => {
  status = 503;
  const [gpu] = await room.json('gpu', 'list');
  await room.divvy('gpu', 'partition', gpu.id, '--count', '4');
  await until('it is tried again', async () => (await room.json('webhook', 'list'))[0].state === 'retrying');
  await inConsole(room, {}, async (page) => {
    await visit(page, '/settings', 'Settings');
    await row(page).getByText('retrying').waitFor();
    await row(page).getByText(/since .*answered with status 503/).waitFor();
    await attempt(page).click();
    await page.getByRole('status').getByText(/did not take the test event: .*503/).waitFor();
    status = 204;
    await attempt(page).click();
    await row(page).getByText('working').waitFor();
  });
  await until('the event came', async () => taken.at(-1).type === 'count_set');
});

test('without a webhook it is said where one is made, and an older server is not asked about it', async () => {
  await inConsole(room, {}, async (page) => {
    await page.route('**/v1/webhooks', (route) => route.fulfill({ json: [] }));
    await visit(page, '/settings', 'Settings');
    await page.getByText('Nobody is told of events.').waitFor();
    await visit(page, '/', 'Overview');
    await page.unroute('**/v1/webhooks');
    const problem = { status: 404, code: 'no_such_route', detail: 'there is nothing', hint: null, findings: [] };
    await page.route('**/v1/webhooks', (route) => route.fulfill({ status: 404, json: problem }));
    const answered = page.waitForResponse('**/v1/webhooks');
    await visit(page, '/settings', 'Settings');
    await answered;
    assert.equal(await page.getByRole('heading', { name: 'Webhooks' }).count(), 0);
  });
});
