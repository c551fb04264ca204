// The command line that does the same: what an administrator puts into a script after trying it here.

import type { AssignRequest, CountRequest, CureRequest, WholeRequest } from './api.ts';

/** A word as a shell reads it back. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function line(...wordsOfLine: string[]): string {
  return ['divvy', ...wordsOfLine].map(quoted).join(' ');
}

/** Puts a user into the group that may use the socket. */
export const letIn = (user: string): string => ['usermod', '-aG', 'divvy', user].map(quoted).join(' ');

/** `isAll`: these are all GPUs that can be partitioned. */
export function setCount({ gpus, wish }: CountRequest, isAll: boolean): string {
  const which = isAll && gpus.length > 1 ? ['--all'] : gpus;
  const option = 'off' in wish ? ['--off'] : 'sizes' in wish ? ['--sizes', wish.sizes.join(',')] : ['--count', String(wish.count)];
  return line('gpu', 'partition', ...which, ...option);
}

const accepting = (accept: string[]): string[] => accept.flatMap((code) => ['--accept', code]);

export function assign({ vms, gpu, memory_bytes: memory, accept }: AssignRequest): string {
  const least = memory === undefined ? [] : ['--memory', `${memory / 2 ** 30}GiB`];
  return line('assign', ...vms, ...(gpu === null ? [] : ['--gpu', gpu]), ...least, ...accepting(accept));
}

export function assignWhole({ vm, wish, accept }: WholeRequest): string {
  const which = 'pool' in wish ? ['--pool', wish.pool, ...(wish.count === 1 ? [] : ['--count', String(wish.count)]), ...(wish.at_start ? ['--at-start'] : [])] : wish.gpus.flatMap((gpu) => ['--gpu', gpu]);
  return line('dda', 'assign', vm, ...which, ...accepting(accept));
}

/** Partitions of several VMs in one command, whole GPUs of one VM in each. */
export function unassign(vms: string[], whole: string[]): string {
  const commands = [...(vms.length > 0 ? [line('unassign', ...vms)] : []), ...whole.map((vm) => line('dda', 'unassign', vm))];
  return commands.join(' && ');
}

export function cure({ partition, remakeSiblings }: CureRequest): string {
  return line('partition', 'cure', partition, ...(remakeSiblings ? ['--remake-siblings'] : []));
}

export const pool = (verb: 'create' | 'add' | 'take' | 'rename' | 'remove', name: string, ...more: string[]): string => line('pool', verb, name, ...more);

export const power = (vm: string, on: boolean): string => line('sim', 'power', vm, on ? 'on' : 'off');
export const explain = (name: string): string => line('explain', name);
export const showJob = (id: number): string => line('job', 'show', String(id));
export const cancelJob = (id: number): string => line('job', 'cancel', String(id));
export const fault = (fault: string): string => line('sim', 'fault', ...fault.split(' '));
export const list = (what: 'gpu' | 'partition' | 'pool' | 'vm' | 'job' | 'webhook'): string => line(what, 'list');
export const showGpu = (gpu: string): string => line('gpu', 'show', gpu);
export const usage = (gpu: string): string => line('usage', '--gpu', gpu);
export const showVm = (vm: string): string => line('vm', 'show', vm);
export const CHECK = line('check');
export const EVENTS = line('events', '--follow');
