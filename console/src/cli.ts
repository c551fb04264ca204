// The command line that does the same: what an administrator puts into a script after trying it here.

import type { AssignRequest, CountRequest } from './api.ts';

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
  return line('gpu', 'partition', ...which, ...('off' in wish ? ['--off'] : ['--count', String(wish.count)]));
}

export function assign({ vms, gpu, accept }: AssignRequest): string {
  return line('assign', ...vms, ...(gpu === null ? [] : ['--gpu', gpu]), ...accept.flatMap((code) => ['--accept', code]));
}

export const unassign = (vms: string[]): string => line('unassign', ...vms);
export const power = (vm: string, on: boolean): string => line('sim', 'power', vm, on ? 'on' : 'off');
export const explain = (name: string): string => line('explain', name);
export const showJob = (id: number): string => line('job', 'show', String(id));
export const list = (what: 'gpu' | 'partition' | 'vm' | 'job'): string => line(what, 'list');
export const showGpu = (gpu: string): string => line('gpu', 'show', gpu);
export const usage = (gpu: string): string => line('usage', '--gpu', gpu);
export const showVm = (vm: string): string => line('vm', 'show', vm);
export const CHECK = line('check');
export const EVENTS = line('events', '--follow');
