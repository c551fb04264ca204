// What goes wrong in a simulated room: the list of it, one thing more, and the end of all. A server with real
// hardware has no such thing.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { inOrder } from '../order.ts';
import { gpus, partitions, servers, vms } from '../store.ts';
import type { Fault, Problem } from '../types.ts';
import { Combobox, type Choice } from '../ui/combobox.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { TextField } from '../ui/field.tsx';
import { Select } from '../ui/filter.tsx';
import { ProblemBox, problemOf } from '../ui/problem.tsx';

/** As the command line has them; a word in capitals is to be filled in. */
const KINDS: [string, string][] = [
  ['gpu GPU lose', 'a GPU is gone from the bus'],
  ['gpu GPU hang-writes', 'writes to a GPU hang in the kernel'],
  ['gpu GPU fail ERRNO', 'the driver of a GPU refuses changes'],
  ['gpu GPU partial N', 'a GPU makes fewer partitions and says yes'],
  ['gpu GPU slow MS', 'each write to a GPU takes longer'],
  ['gpu GPU reset-fails', 'neither a GPU nor its partitions can be reset'],
  ['gpu GPU busy', 'a program of the server has a GPU open'],
  ['gpu GPU sriov-manage-lies', 'NVIDIA’s program does nothing and says yes'],
  ['gpu GPU sriov-manage-dies', 'NVIDIA’s program dies half-way'],
  ['gpu GPU wedge', 'the partitions of a GPU work for nobody until they are made anew'],
  ['gpu GPU lose-profiles', 'the partitions of a GPU lose their types and shares'],
  ['gpu GPU ecc MODE', 'the ECC mode of a GPU is switched, for the next boot'],
  ['gpu GPU mig MODE', 'the MIG mode of a GPU is switched'],
  ['gpu GPU clear', 'all of that ends for a GPU'],
  ['partition PARTITION wedge', 'a partition works for nobody'],
  ['partition PARTITION linger N', 'the driver of a partition does not let it go'],
  ['vm VM kill', 'the QEMU of a VM is killed'],
  ['server SERVER reboot', 'a server is powered off and on'],
  ['server SERVER renumber', 'the same, and addresses name other GPUs'],
  ['server SERVER reload-driver', 'the drivers of the GPUs of a server are loaded anew'],
  ['server SERVER nvidia-driver VERSION', 'the same, with another version of NVIDIA’s driver'],
];

const AMOUNTS: Record<string, string> = { ERRNO: 'Error, such as ENOSPC or 5', N: 'How many', MS: 'Milliseconds', MODE: 'on or off', VERSION: 'Version, such as 570.172.08' };

function targets(kind: string): Choice[] {
  if (kind === 'gpu') return inOrder(gpus.value.values(), (gpu) => gpu.name).map((gpu) => ({ value: gpu.id, text: gpu.name, more: gpu.model }));
  if (kind === 'partition') return inOrder(partitions.value.values(), (one) => one.id).map((one) => ({ value: one.id, text: one.id, more: one.vm_name ?? one.state }));
  if (kind === 'vm') return inOrder(vms.value.values(), (vm) => vm.name).map((vm) => ({ value: vm.id, text: vm.name, more: vm.server }));
  return servers.value.map((server) => ({ value: server, text: server }));
}

export function Faults() {
  const now = useSignal<readonly Fault[]>([]);
  const problem = useSignal<Problem | null>(null);
  const asking = (asked: Promise<Fault[]>) => {
    problem.value = null;
    asked.then((list) => { now.value = list; }, (error: unknown) => { problem.value = problemOf(error); });
  };
  useEffect(() => asking(api.faults()), []);
  return (
    <>
      {now.value.length === 0
        ? <p>Nothing that was caused. What is caused here goes wrong until it is ended, for trying what Divvy does then.</p>
        : <ul class="plain-list" aria-label="What goes wrong">{now.value.map(({ fault }) => <li key={fault}><code>{fault}</code></li>)}</ul>}
      <Cause onCause={(fault) => asking(api.causeFault(fault))} />
      {problem.value && <ProblemBox problem={problem.value} />}
      {now.value.length > 0 && <p><button type="button" class="button" onClick={() => asking(api.endFaults())}>End all of it</button></p>}
    </>
  );
}

function Cause({ onCause }: { onCause: (fault: string) => void }) {
  const template = useSignal(KINDS[0]?.[0] ?? '');
  const target = useSignal('');
  const typed = useSignal('');
  const [kind = '', , what = '', amount] = template.value.split(' ');
  const choices = targets(kind);
  const chosen = choices.some((one) => one.value === target.value) ? target.value : (choices[0]?.value ?? '');
  const wrong = amount === undefined || /^[\w.-]+$/.test(typed.value.trim()) ? null : 'One word or number.';
  const fault = [kind, chosen, what, ...(amount === undefined ? [] : [typed.value.trim()])].join(' ');
  const isReady = chosen !== '' && wrong === null;
  const submit = (event: Event) => {
    event.preventDefault();
    if (isReady) onCause(fault);
  };
  return (
    <form class="form narrow" onSubmit={submit} noValidate>
      <Select label="What goes wrong" value={template} choices={KINDS} />
      <Combobox label="With what" value={chosen} choices={choices} onChoose={(id) => { target.value = id; }} />
      {amount !== undefined && <TextField label={AMOUNTS[amount] ?? amount} value={typed} error={typed.value === '' ? null : wrong} isNumber />}
      <button type="submit" class="button" disabled={!isReady}>Let it go wrong</button>
      {isReady && <SameOnCli command={cli.fault(fault)} />}
    </form>
  );
}
