// One VM: what it has, whether it may start, and why.

import { useSignal } from '@preact/signals';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { openAssign } from '../changes/assign-dialog.tsx';
import { claimOf } from '../changes/assign-rules.ts';
import { openUnassign } from '../changes/unassign-dialog.tsx';
import { openWhole } from '../changes/whole-dialog.tsx';
import { system } from '../format.ts';
import { to } from '../router.ts';
import { findings, gpus, jobList, plainName, version, vms } from '../store.ts';
import type { Vm } from '../types.ts';
import { about, FindingLine } from '../checks/line.tsx';
import { JobLine } from '../jobs/line.tsx';
import { Badge } from '../ui/badge.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Explained } from '../ui/explained.tsx';
import { Facts, Gone, Page, Section } from '../ui/page.tsx';
import { problemOf } from '../ui/problem.tsx';
import { toast } from '../ui/toast.tsx';

const UP = { to: to('vms'), text: 'VMs' };

export function VmPage({ id }: { id: string }) {
  const vm = vms.value.get(id);
  if (!vm) return <Gone what="VM" up={UP} />;
  const { assignment } = vm;
  const actions = (
    <>
      {assignment === null
        ? (
          <>
            <button type="button" class="button primary" onClick={() => openAssign([id])}>Assign a partition …</button>
            <button type="button" class="button" onClick={() => openWhole({ vm: id })}>Assign whole GPUs …</button>
          </>
        )
        : <button type="button" class="button" onClick={() => openUnassign([id])}>Unassign …</button>}
      {version.value?.room != null && <PowerButton vm={vm} />}
    </>
  );
  const jobs = jobList.value.filter((job) => job.progress === 'running' && job.targets.some((one) => one.vm === id));
  const found = about(findings.value, (subject) => subject.kind === 'vm' && subject.id === id);
  return (
    <Page title={`VM ${vm.name}`} up={UP} subtitle={<>{vm.server} <Badge word={vm.power} /></>} actions={actions}>
      {jobs.map((job) => <JobLine key={job.id} job={job} />)}
      {found.length > 0 && <Section title="Findings"><ul class="findings">{found.map((one, nth) => <FindingLine key={nth} finding={one} />)}</ul></Section>}
      <Section title="Details">
        <Facts
          facts={[
            ['Partition', assignment?.partition && <a class="mono" href={to('partitions', assignment.partition)}>{assignment.partition}</a>],
            [assignment?.kind === 'dda' ? 'Whole GPUs' : 'GPU', assignment && assignment.gpus.length > 0 ? <ul class="plain-list">{assignment.gpus.map((gpu) => <li key={gpu}><a href={to('gpus', gpu)}>{gpus.value.get(gpu)?.name ?? gpu}</a></li>)}</ul> : null],
            ['Promised', assignment?.pool != null ? <><a href={to('pools', assignment.pool)}>{claimOf(assignment)}</a> at each start <Badge word={assignment.state} /></> : null],
            ['Server', vm.server],
            ['Guest OS', system(vm.guest_os)],
            ['Managed by Divvy', vm.managed ? 'yes' : 'no'],
            ['Id', <span class="mono">{vm.id}</span>],
          ]}
        />
      </Section>
      <Section title="Why it is so"><Explained name={vm.id} key={`${vm.power}${assignment?.partition}${assignment?.gpus.join()}${assignment?.state}`} /></Section>
      <SameOnCli command={cli.showVm(plainName(vm))} />
    </Page>
  );
}

/** A simulated VM has no other hand that could turn it on. */
function PowerButton({ vm }: { vm: Vm }) {
  const isAsking = useSignal(false);
  const isOn = vm.power === 'off';
  const press = () => {
    isAsking.value = true;
    api.power(vm.id, isOn).then(
      () => toast({ tone: 'good', text: `VM ${vm.name} is ${isOn ? 'on' : 'off'}. ${cli.power(vm.name, isOn)} does the same.` }),
      (error: unknown) => {
        const problem = problemOf(error);
        toast({ tone: 'danger', text: `${problem.detail}${problem.hint ? `; ${problem.hint}` : ''}` });
      },
    ).finally(() => { isAsking.value = false; });
  };
  return <button type="button" class="button" disabled={isAsking.value} onClick={press}>Power {isOn ? 'on' : 'off'} (simulated)</button>;
}
