// How the console talks through Cockpit's bridge, without Cockpit: what comes in any pieces, with any ending.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { loadSources } from './sources.mjs';

let transport;
before(async () => { [transport] = await loadSources('cockpit/transport.ts'); });

const bytes = (text) => new TextEncoder().encode(text);

/** A bridge whose other end is the test. */
function bridge() {
  const heard = {};
  const channel = {
    sent: '',
    isClosed: false,
    send(piece) { this.sent += new TextDecoder().decode(piece); },
    addEventListener(type, hear) { heard[type] = hear; },
    close() { this.isClosed = true; },
    says(piece) { heard.message({}, piece); },
    ends(how = {}) { heard.close({}, how); },
  };
  const asked = [];
  const http = {
    request(what) {
      const request = { what, closed: null, response(hear) { this.head = hear; return this; }, then(done, failed) { Object.assign(this, { done, failed }); }, close(why) { this.closed = why; } };
      asked.push(request);
      return request;
    },
  };
  return { channel, asked, way: transport.bridgeTransport({ channel: () => channel, http: () => http }, '/s') };
}

async function whole(text) {
  let all = '';
  for await (const piece of text) all += piece;
  return all;
}

const HEAD = 'HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n';

test('a stream is the same in whatever pieces it comes', async () => {
  const sent = bytes(`${HEAD}data: é🖥\n\n`);
  for (let cut = 1; cut < sent.length; cut += 1) {
    const { channel, way } = bridge();
    const opening = way.open({ method: 'GET', path: '/v1/stream' });
    channel.says(sent.slice(0, cut));
    channel.says(sent.slice(cut));
    const { status, text } = await opening;
    channel.ends();
    assert.deepEqual([status, await whole(text)], [200, 'data: é🖥\n\n'], `cut at ${cut}`);
  }
});

test('a stream is asked for with its headers, in a way in which the answer ends with the connection', async () => {
  const { channel, way } = bridge();
  way.open({ method: 'GET', path: '/v1/stream', headers: { 'last-event-id': 'a-1' } }).catch(() => {});
  assert.match(channel.sent, /^GET \/v1\/stream HTTP\/1\.0\r\n/);
  assert.match(channel.sent, /\r\nlast-event-id: a-1\r\n(.*\r\n)*\r\n$/);
});

test('a stream that breaks off says so after what came before', async () => {
  const { channel, way } = bridge();
  const opening = way.open({ method: 'GET', path: '/v1/stream' });
  channel.says(bytes(`${HEAD}data: 1\n\n`));
  channel.ends({ problem: 'terminated' });
  const seen = [];
  const reading = async () => { for await (const piece of (await opening).text) seen.push(piece); };
  await assert.rejects(reading, /does not answer/);
  assert.equal(seen.join(''), 'data: 1\n\n');
});

test('who stops reading a stream ends its connection', async () => {
  const { channel, way } = bridge();
  const opening = way.open({ method: 'GET', path: '/v1/stream' });
  channel.says(bytes(`${HEAD}data: 1\n\n`));
  for await (const _ of (await opening).text) break;
  assert.ok(channel.isClosed);
});

test('a stream that nobody wants any more fails, and its connection ends', async () => {
  const { channel, way } = bridge();
  const ending = new AbortController();
  const opening = way.open({ method: 'GET', path: '/v1/stream', signal: ending.signal });
  ending.abort();
  await assert.rejects(opening, /does not answer/);
  assert.ok(channel.isClosed);
});

test('a refused stream tells its status', async () => {
  const { channel, way } = bridge();
  const opening = way.open({ method: 'GET', path: '/v1/stream' });
  channel.says(bytes('HTTP/1.0 503 Service Unavailable\r\n\r\n'));
  assert.equal((await opening).status, 503);
});

test('what is no HTTP, or ends before it says anything, is no answer', async () => {
  for (const said of ['hello\r\n\r\n', 'HTTP/1.0 200 OK\r\n', '']) {
    const { channel, way } = bridge();
    const opening = way.open({ method: 'GET', path: '/v1/stream' });
    channel.says(bytes(said));
    channel.ends();
    await assert.rejects(opening, /does not answer/, said);
  }
});

test('a refusal comes with its document and its headers, however they are written', async () => {
  const { asked, way } = bridge();
  const sending = way.send({ method: 'POST', path: '/v1/x', body: { a: 'é' } });
  const [request] = asked;
  assert.equal(new TextDecoder().decode(request.what.body), '{"a":"é"}');
  request.head(429, { 'Retry-After': '7', Link: '</v1/x?page=2>; rel="next"' });
  request.failed({ problem: null }, bytes('{"code":"busy"}'));
  assert.deepEqual(await sending, { status: 429, retryAfter: 7, next: '/v1/x?page=2', document: { code: 'busy' } });
});

test('a socket that is not for this user is told from one where nobody answers', async () => {
  const endings = [
    [{ problem: 'access-denied' }, 'NotLetIn'],
    [{ problem: 'not-found', message: '[Errno 13] Permission denied' }, 'NotLetIn'],
    [{ problem: 'not-found', message: '[Errno 2] No such file or directory' }, 'Unreachable'],
    [{ problem: 'terminated' }, 'Unreachable'],
  ];
  for (const [how, expected] of endings) {
    const { asked, way } = bridge();
    const sending = way.send({ method: 'GET', path: '/v1/version' });
    asked[0].failed(how);
    const error = await sending.then(() => null, (one) => one);
    assert.equal(error?.constructor.name, expected, JSON.stringify(how));
  }
});

test('a request that nobody wants any more is given up', () => {
  const { asked, way } = bridge();
  const ending = new AbortController();
  way.send({ method: 'GET', path: '/v1/events', signal: ending.signal });
  ending.abort();
  assert.equal(asked[0].closed, 'cancelled');
});
