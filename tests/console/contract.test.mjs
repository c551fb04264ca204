// The parts of the API that the room's own server is not asked for here: sessions by cookie, and the stream
// of changes. A server of the test answers those by their contract, word for word, and passes everything
// else on to a real divvyd.

import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { endBrowser, openConsole, openDialog, Room, startBrowser, until } from './harness.mjs';

const COOKIE = 'divvy_session=s3cret';
const SESSION = { user: 'ada', csrf: 'c5rf', expires_ms: 4_000_000_000_000 };
const KNOWN = { 'content-type': 'application/json' };
const PROBLEM = { 'content-type': 'application/problem+json' };

/** Stands between the browser and divvyd. */
class Front {
  streams = [];
  resumed = [];
  changes = [];
  reads = 0;
  hasSession = false;
  isFull = false;

  constructor(room) {
    this.room = room;
    this.server = createServer((asked, answer) => this.#answer(asked, answer));
  }

  async listen() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  async close() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  say(type, id, data) {
    const text = `event: ${type}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const stream of this.streams) stream.write(text);
  }

  cut() {
    for (const stream of this.streams.splice(0)) stream.destroy();
  }

  #answer(asked, answer) {
    const isKnown = this.hasSession && (asked.headers.cookie ?? '').includes(COOKIE);
    if (asked.url === '/v1/session') return this.#session(asked, answer, isKnown);
    if (asked.url.startsWith('/v1/') && !isKnown) return problem(answer, 401, 'unauthorized');
    if (asked.url === '/v1/stream') return this.#stream(asked, answer);
    if (asked.method !== 'GET') {
      this.changes.push(asked.headers['x-csrf-token']);
      if (asked.headers['x-csrf-token'] !== SESSION.csrf) return problem(answer, 403, 'csrf_token_missing');
    }
    if (asked.url === '/v1/gpus') this.reads += 1;
    return this.#pass(asked, answer);
  }

  async #session(asked, answer, isKnown) {
    if (asked.method === 'DELETE') {
      this.hasSession = false;
      return answer.writeHead(204).end();
    }
    if (asked.method === 'GET') return isKnown ? answer.writeHead(200, KNOWN).end(JSON.stringify(SESSION)) : problem(answer, 401, 'unauthorized');
    let body = '';
    for await (const piece of asked) body += piece;
    if (JSON.parse(body).password !== 'enchantress') return problem(answer, 401, 'sign_in_failed');
    this.hasSession = true;
    return answer.writeHead(201, { ...KNOWN, 'set-cookie': `${COOKIE}; HttpOnly; SameSite=Strict; Path=/` }).end(JSON.stringify(SESSION));
  }

  #stream(asked, answer) {
    this.resumed.push(asked.headers['last-event-id'] ?? null);
    if (this.isFull) return problem(answer, 503, 'too_many_streams');
    answer.writeHead(200, { 'content-type': 'text/event-stream' });
    // To a client that names no place to go on from.
    answer.write('last-event-id' in asked.headers ? ': here\n\n' : 'id: a-0\nevent: reset\ndata: {"reason":"beginning"}\n\n');
    this.streams.push(answer);
  }

  #pass(asked, answer) {
    const { cookie, host, ...headers } = asked.headers;
    const passed = request(`${this.room.url}${asked.url}`, { method: asked.method, headers: { ...headers, authorization: `Bearer ${this.room.token}` } }, (told) => {
      answer.writeHead(told.statusCode, told.headers);
      told.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    asked.pipe(passed);
  }
}

function problem(answer, status, code) {
  answer.writeHead(status, PROBLEM).end(JSON.stringify({ type: 'about:blank', title: 'No', status, code, detail: `this is ${code}`, hint: null, findings: [] }));
}

let room;
let front;
let opened;
before(async () => {
  room = await Room.start('a2-edge');
  await startBrowser();
  await room.divvy('gpu', 'partition', '--all', '--count', '4');
});
after(async () => {
  await endBrowser();
  await room.end();
});
beforeEach(async () => {
  front = new Front(room);
  await front.listen();
});
afterEach(async () => {
  assert.deepEqual(opened.complaints, []);
  await opened.context.close();
  await front.close();
});

async function signedIn() {
  opened = await openConsole(front, { signIn: false });
  const { page } = opened;
  await page.getByLabel('User', { exact: true }).fill('ada');
  await page.getByLabel('Password', { exact: true }).fill('enchantress');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('live', { exact: true }).waitFor();
  return page;
}

test('a user signs in with a password and is named', async () => {
  const page = await signedIn();
  await page.getByRole('button', { name: 'User ada' }).waitFor();
});

test('a wrong password is refused with the server’s words', async () => {
  opened = await openConsole(front, { signIn: false });
  const { page } = opened;
  await page.getByLabel('User', { exact: true }).fill('ada');
  await page.getByLabel('Password', { exact: true }).fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('this is sign_in_failed').waitFor();
});

test('a session goes on after a reload, and its changes carry its CSRF token', async () => {
  const page = await signedIn();
  await page.reload();
  const dialog = await openDialog(page, 'Set partition count …');
  await dialog.getByLabel('Number of partitions').selectOption('2');
  await dialog.getByRole('button', { name: 'Set 2 partitions on 1 GPU' }).click();
  await page.getByText(/^Accepted: /).waitFor();
  assert.ok(front.changes.length > 0 && front.changes.every((token) => token === SESSION.csrf), String(front.changes));
});

test('a session that the server has forgotten leads to signing in, with the reason', async () => {
  const page = await signedIn();
  front.hasSession = false;
  front.cut();
  await page.getByText('You were signed out').waitFor();
});

test('signing out ends the session on the server', async () => {
  const page = await signedIn();
  await page.getByRole('button', { name: 'User ada' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.equal(front.hasSession, false);
});

test('a change of the stream is shown without reading anything again', async () => {
  const page = await signedIn();
  const reads = front.reads;
  const [first] = await room.json('partition', 'list');
  front.say('partition', 'a-1', { kind: 'put', id: first.id, value: { ...first, state: 'quarantined', reason: 'for the test' } });
  await page.locator('[data-partition].state-quarantined').waitFor();
  front.say('partition', 'a-2', { kind: 'gone', id: first.id, value: null });
  await page.locator('[data-partition].state-quarantined').waitFor({ state: 'detached' });
  assert.equal(front.reads, reads);
});

test('a stream that broke goes on after the last change that was seen', async () => {
  const page = await signedIn();
  const [vm] = await room.json('vm', 'list');
  front.say('vm', 'a-7', { kind: 'put', id: vm.id, value: { ...vm, name: 'renamed-now' } });
  await page.evaluate(() => { location.hash = '/vms'; });
  await page.getByRole('link', { name: 'renamed-now' }).waitFor();
  front.cut();
  await until('it has come again', () => front.resumed.length === 2);
  assert.deepEqual(front.resumed, [null, 'a-7']);
});

test('an error that is found is told of on whatever page one is', async () => {
  const page = await signedIn();
  await page.evaluate(() => { location.hash = '/settings'; });
  const finding = { code: 'gpu_lost', severity: 'error', subject: { kind: 'cluster', id: null }, text: 'a GPU does not answer', mend: '' };
  await page.route('**/v1/check', (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify([finding]) }));
  front.say('finding', 'a-1', { kind: 'put', id: 'f', value: finding });
  await page.getByRole('region', { name: 'News' }).getByText('a GPU does not answer').waitFor();
});

test('where too many follow the stream already, changes are asked for instead', async () => {
  front.isFull = true;
  const page = await signedIn();
  await room.divvy('assign', 'vm-009');
  await page.locator('[data-partition].state-assigned', { hasText: 'vm-009' }).waitFor();
  await room.divvy('unassign', 'vm-009');
});

test('a reset reads everything again', async () => {
  const page = await signedIn();
  const [gpu] = await room.json('gpu', 'list');
  front.say('gpu', 'a-1', { kind: 'gone', id: gpu.id, value: null });
  await page.getByText('No GPU was found.').waitFor();
  front.say('reset', 'b-1', { reason: 'forgotten' });
  await page.getByText('No GPU was found.').waitFor({ state: 'detached' });
});
