// The console's rules without a browser: what is said of a choice before the server is asked, the command
// lines, the order of names, and the reading of server-sent events.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { loadSources } from './sources.mjs';

let whole;
let cures;
let format;
let counts;
let assigning;
let cli;
let order;
let sse;
before(async () => {
  [whole, cures, format] = await loadSources('changes/whole-rules.ts', 'changes/cure-rules.ts', 'format.ts');
  [counts, assigning, cli, order, sse] = await loadSources('changes/count-rules.ts', 'changes/assign-rules.ts', 'cli.ts', 'order.ts', 'sse.ts');
});

const gpu = (id, more = {}) => ({
  id, name: id, server: 's1', vendor: 'NVIDIA', model: 'A16', memory_bytes: 16 * 2 ** 30, mode: 'partitionable', reason: null,
  partition_count: 0, valid_partition_counts: [1, 2, 4], free_partitions: 0,
  memory_by_count: [1, 2, 4].map((many) => ({ partition_count: many, memory_per_partition_bytes: 2 ** 34 / many })), ...more,
});
const vm = (id, more = {}) => ({ id, name: id, server: 's1', power: 'off', assignment: null, ...more });
const none = () => [];

test('a partition has what the server tells of its count, which need not be an equal share', () => {
  const cut = gpu('a', { memory_bytes: 141 * 2 ** 30, memory_by_count: [{ partition_count: 3, memory_per_partition_bytes: 35 * 2 ** 30 }] });
  assert.equal(counts.eachHas(cut, 3), 35 * 2 ** 30);
  assert.equal(counts.eachHas(cut, 4), null);
});

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

test('different sizes are offered only where every chosen GPU takes them', () => {
  const all = [gpu('a', { takes_sizes: true }), gpu('b', { takes_sizes: true }), gpu('c')];
  assert.equal(counts.judge(all.slice(0, 2), all, none).takesSizes, true);
  assert.equal(counts.judge(all, all, none).takesSizes, false);
  assert.equal(counts.judge([], all, none).takesSizes, false);
});

test('sizes are read however they are separated, and the largest comes first', () => {
  for (const text of ['4,2,4', '4 2 4', ' 2,, 4 4 ']) assert.deepEqual(counts.sizesOf(text, [1, 2, 4]), { sizes: [2, 4, 4] }, text);
  assert.equal(counts.sizesOf(' , ', [1, 2, 4]), null);
  for (const text of ['2,5', '2,x', '-2', '2.5', '0', '4,4,4,4,4,4,4,4,4']) assert.ok('error' in counts.sizesOf(text, [1, 2, 4]), text);
});

test('GPUs with the same number of other sizes are another set', () => {
  const three = { partition_count: 3, mode: 'partitioned' };
  assert.equal(counts.homogeneousSet([gpu('a', { ...three, sizes: [2, 4, 4] }), gpu('b', three)]), null);
  assert.equal(counts.homogeneousSet([gpu('a', { ...three, sizes: [2, 4, 4] }), gpu('b', { ...three, sizes: [2, 4, 4] })])?.length, 2);
});

test('memory is a whole number of GiB or nothing', () => {
  assert.deepEqual(assigning.memoryOf(' 20 '), { bytes: 20 * 2 ** 30 });
  assert.deepEqual(assigning.memoryOf(''), { bytes: undefined });
  for (const text of ['0', '-1', '1.5', '20GiB', 'x', '9999999']) assert.ok('error' in assigning.memoryOf(text), text);
});

test('sizes and memory are in the command line', () => {
  assert.equal(cli.setCount({ gpus: ['a'], wish: { sizes: [2, 4, 4] } }, false), 'divvy gpu partition a --sizes 2,4,4');
  assert.equal(cli.assign({ vms: ['v'], gpu: null, memory_bytes: 20 * 2 ** 30, accept: [] }), 'divvy assign v --memory 20GiB');
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

test('a GPU in a pool is in no set to be split, and names the pool', () => {
  const kept = gpu('b', { pool: 'ml', mode: 'dda' });
  assert.equal(counts.homogeneousSet([gpu('a'), kept])?.length, 1);
  assert.match(counts.whyNot(kept), /in pool ml/);
});

test('each reason against giving a GPU whole is said', () => {
  const inPool = { free: false };
  for (const [more, owner, pooled, why] of [
    [{}, { name: 'vm-1' }, undefined, /VM vm-1 has it whole/],
    [{ partition_count: 4, mode: 'partitioned' }, undefined, undefined, /split into 4 partitions/],
    [{ mode: 'unknown', reason: 'it hangs' }, undefined, undefined, /it hangs/],
    [{ mode: 'not_assignable', reason: 'no IOMMU group' }, undefined, undefined, /no IOMMU group/],
    [{ mode: 'dda', driver: 'vfio-pci', reason: 'used whole by driver vfio-pci' }, undefined, undefined, /used whole/],
    [{ mode: 'dda', pool: 'ml', reason: 'used whole by VM x until it is back' }, undefined, inPool, /until it is back/],
  ]) {
    assert.match(whole.whyNotWhole(gpu('a', more), owner, pooled) ?? '', why);
  }
});

test('a GPU that nobody has and that is not split can be given whole, in a pool or not', () => {
  for (const [more, pooled] of [[{}, undefined], [{ mode: 'host' }, undefined], [{ mode: 'dda', driver: null }, undefined], [{ mode: 'dda', pool: 'ml' }, { free: true }]]) {
    assert.equal(whole.whyNotWhole(gpu('a', more), undefined, pooled), null, JSON.stringify(more));
  }
});

test('a count is a whole number of 1 and more', () => {
  assert.deepEqual(['1', ' 12 ', '65535', '0', '-1', '1.5', '', '0x2', '65536'].map(whole.countOf), [1, 12, 65535, null, null, null, null, null, null]);
});

test('of a pool only the free GPUs of the VM’s server count', () => {
  const pool = { name: 'ml', gpus: [{ server: 's1', free: true }, { server: 's1', free: false }, { server: 's2', free: true }] };
  assert.equal(whole.tooFew(pool, vm('1'), 1), null);
  assert.match(whole.tooFew(pool, vm('1'), 2), /1 free GPU on server s1.*It has 1 free GPU on s2/);
});

test('of a pool that is promised all GPUs of the VM’s server count, free or not', () => {
  const pool = { name: 'ml', gpus: [{ server: 's1', free: true }, { server: 's1', free: false }, { server: 's2', free: true }] };
  assert.equal(whole.tooFewThere(pool, vm('1'), 2), null);
  assert.match(whole.tooFewThere(pool, vm('1'), 3), /2 GPUs on server s1/);
});

test('a VM that is promised GPUs says so where it cannot be chosen', () => {
  const assignment = { kind: 'dda', gpu: null, gpus: [], partition: null, pool: 'ml', count: 2, state: 'waiting_for_start' };
  assert.equal(whole.whyNotVmWhole(vm('1', { assignment })), 'is promised 2 GPUs of pool ml already');
});

test('VMs that have GPUs of a pool are named once each', () => {
  const taken = [{ vm: 'v1', vm_name: 'one' }, { vm: 'v1', vm_name: 'one' }, { vm: null, vm_name: null }];
  assert.deepEqual(whole.havingOf(taken), [{ id: 'v1', name: 'one' }]);
});

test('an open partition is in the way of every cure, an assigned one of making all again only', () => {
  const siblings = ['quarantined', 'free', 'assigned', 'in_use'].map((state, index) => ({ id: `g.${index}`, state }));
  const ids = (remake) => cures.inTheWay(siblings, 'g.0', remake).map(({ partition, isOpen }) => [partition.id, isOpen]);
  assert.deepEqual(ids(false), [['g.3', true]]);
  assert.deepEqual(ids(true), [['g.2', false], ['g.3', true]]);
});

test('whole GPUs and partitions are taken back by a command each', () => {
  assert.equal(cli.unassign(['a', 'b'], ['c']), 'divvy unassign a b && divvy dda unassign c');
  assert.equal(cli.unassign([], ['c', 'd']), 'divvy dda unassign c && divvy dda unassign d');
});

test('one of a pool is asked for without a count', () => {
  assert.equal(cli.assignWhole({ vm: 'a', wish: { pool: 'ml', count: 1 }, accept: [] }), 'divvy dda assign a --pool ml');
  assert.equal(cli.assignWhole({ vm: 'a', wish: { pool: 'ml', count: 2 }, accept: ['x'] }), 'divvy dda assign a --pool ml --count 2 --accept x');
  assert.equal(cli.assignWhole({ vm: 'a', wish: { pool: 'ml', count: 1, at_start: true }, accept: ['x'] }), 'divvy dda assign a --pool ml --at-start --accept x');
  assert.equal(cli.assignWhole({ vm: 'a', wish: { gpus: ['g', 'h'] }, accept: [] }), 'divvy dda assign a --gpu g --gpu h');
});

test('numbers in a row are told as the first and the last', () => {
  assert.deepEqual([[1, 2, 3, 4, 8], [1, 2, 4], [], [7]].map(format.numbers), ['1–4, 8', '1, 2, 4', '', '7']);
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
