// The console's rules without a browser: what is said of a choice before the server is asked, the command
// lines, the order of names, and the reading of server-sent events.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { loadSources } from './sources.mjs';

let counts;
let assigning;
let cli;
let order;
let sse;
before(async () => {
  [counts, assigning, cli, order, sse] = await loadSources('changes/count-rules.ts', 'changes/assign-rules.ts', 'cli.ts', 'order.ts', 'sse.ts');
});

const gpu = (id, more = {}) => ({
  id, name: id, server: 's1', vendor: 'NVIDIA', model: 'A16', memory_bytes: 16 * 2 ** 30, mode: 'partitionable', reason: null,
  partition_count: 0, valid_partition_counts: [1, 2, 4], free_partitions: 0, ...more,
});
const vm = (id, more = {}) => ({ id, name: id, server: 's1', power: 'off', assignment: null, ...more });
const none = () => [];

test('GPUs that are all alike are one set', () => {
  assert.equal(counts.homogeneousSet([gpu('a'), gpu('b')])?.length, 2);
});

test('another model, memory or count makes another set', () => {
  for (const more of [{ model: 'A40' }, { memory_bytes: 1 }, { partition_count: 2 }, { vendor: 'Intel' }]) {
    assert.equal(counts.homogeneousSet([gpu('a'), gpu('b', more)]), null, JSON.stringify(more));
  }
});

test('a GPU that cannot be partitioned is in no set and says why', () => {
  const host = gpu('b', { mode: 'host', reason: 'the server has it' });
  assert.equal(counts.homogeneousSet([gpu('a'), host])?.length, 1);
  assert.equal(counts.whyNot(host), 'the server has it');
});

test('a choice of two models is an error', () => {
  const all = [gpu('a'), gpu('b', { model: 'A40' })];
  assert.match(counts.judge(all, all, none).errors.join(), /mixes models/);
});

test('a choice of one model with two counts is no error, for that is how a set becomes even again', () => {
  const all = [gpu('a'), gpu('b', { partition_count: 2, mode: 'partitioned' })];
  assert.deepEqual(counts.judge(all, all, none).errors, []);
});

test('only counts that all chosen GPUs take are offered', () => {
  const all = [gpu('a'), gpu('b', { valid_partition_counts: [2, 4, 8] })];
  assert.deepEqual(counts.judge(all, all, none).counts, [2, 4]);
});

test('partitions of VMs stop a choice and name the VMs once each', () => {
  const taken = [{ vm: 'v1', vm_name: 'one' }, { vm: 'v1', vm_name: 'one' }, { vm: null, vm_name: null }];
  const judged = counts.judge([gpu('a')], [gpu('a')], () => taken);
  assert.match(judged.errors.join(), /Unassign first: one\./);
  assert.deepEqual(judged.inTheWay, [{ id: 'v1', name: 'one' }]);
});

test('leaving one of the set out is a warning', () => {
  const all = [gpu('a'), gpu('b')];
  assert.match(counts.judge([all[0]], all, none).warnings.join(), /1 GPU of the same model is not chosen/);
});

test('nothing chosen is neither error nor warning', () => {
  const all = [gpu('a'), gpu('b')];
  const judged = counts.judge([], all, none);
  assert.deepEqual([judged.errors, judged.warnings], [[], []]);
});

test('as many VMs are taken as there are free partitions on their servers', () => {
  const list = [vm('1'), vm('2'), vm('3'), vm('4', { server: 's2' })];
  const capacity = { freeOfServer: new Map([['s1', 2]]), gpu: null };
  const known = new Map(list.map((one) => [one.id, one]));
  assert.deepEqual([...assigning.asManyAsFit(list, new Set(), known, capacity)], ['1', '2']);
});

test('a GPU that is chosen counts its own free partitions only', () => {
  const capacity = { freeOfServer: new Map([['s1', 9]]), gpu: gpu('a', { free_partitions: 1 }) };
  assert.equal(assigning.freeFor('s1', capacity), 1);
  assert.equal(assigning.freeFor('s2', capacity), 0);
});

test('words that a shell would take apart are quoted', () => {
  assert.equal(cli.assign({ vms: ["it's me", 'b$x'], gpu: null, accept: [] }), `divvy assign 'it'\\''s me' 'b$x'`);
});

test('names are in the order of their numbers', () => {
  assert.deepEqual(['vm-10', 'VM-9', 'vm-1'].sort(order.naturally), ['vm-1', 'VM-9', 'vm-10']);
});

async function read(...pieces) {
  const events = [];
  async function* text() { yield* pieces; }
  for await (const event of sse.sentEvents(text(), () => undefined)) events.push(event);
  return events;
}

test('an event is read whole, however its text is cut', async () => {
  const whole = 'id: 7\r\nevent: gpu\r\ndata: {"a":\r\ndata: 1}\r\n\r\n';
  const expected = [{ type: 'gpu', data: '{"a":\n1}', id: '7' }];
  for (let cut = 0; cut <= whole.length; cut += 1) {
    assert.deepEqual(await read(whole.slice(0, cut), whole.slice(cut)), expected, `cut at ${cut}`);
  }
});

test('a comment keeps the stream alive and is no event', async () => {
  assert.deepEqual(await read(': still here\n\n'), []);
});

test('an event that was cut off is none', async () => {
  assert.deepEqual(await read('data: half'), []);
});
