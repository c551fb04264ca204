// The first page: how much there is and how much is free, what needs somebody, and a picture of every server.

import { useSignal } from '@preact/signals';
import * as cli from '../cli.ts';
import { openAssign } from '../changes/assign-dialog.tsx';
import { openCount } from '../changes/count-dialog.tsx';
import { openWhole } from '../changes/whole-dialog.tsx';
import { count, number, share } from '../format.ts';
import { to } from '../router.ts';
import { attention, gpus, gpusOfServer, ownerOfWhole, runningJobs, servers, tallyOfAll } from '../store.ts';
import { Legend } from '../ui/bar.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, fits } from '../ui/filter.tsx';
import { Page, Section } from '../ui/page.tsx';
import { Notice } from '../ui/problem.tsx';
import { ShortFinding } from '../checks/line.tsx';
import { JobLine } from '../jobs/line.tsx';
import { useUsage } from '../usage/store.ts';
import { ServerPicture } from './server.tsx';

const MOST_FINDINGS = 5;
const MOST_JOBS = 3;

export function Overview() {
  useUsage(null);
  const hasGpus = gpus.value.size > 0;
  const hasPartitions = tallyOfAll.value.total > 0;
  const look = (isNext: boolean) => (isNext ? 'button primary' : 'button');
  const actions = (
    <>
      <button type="button" class={look(hasPartitions)} disabled={!hasGpus} onClick={() => openAssign()}>Assign partitions …</button>
      <button type="button" class={look(!hasPartitions)} disabled={!hasGpus} onClick={() => openCount()}>Set partition count …</button>
      <button type="button" class="button" disabled={!hasGpus} onClick={() => openWhole()}>Assign whole GPUs …</button>
    </>
  );
  return (
    <Page title="Overview" actions={actions}>
      <Kpis />
      {hasGpus && !hasPartitions && <FirstStep />}
      {runningJobs.value.length > 0 && (
        <Section title="Under way" aside={<a href={to('jobs')}>All jobs</a>}>
          {runningJobs.value.slice(0, MOST_JOBS).map((job) => <JobLine key={job.id} job={job} />)}
        </Section>
      )}
      <Attention />
      <Servers />
    </Page>
  );
}

function Kpis() {
  const sum = tallyOfAll.value;
  const split = [...gpus.value.values()].filter((gpu) => gpu.mode === 'partitioned').length;
  const whole = [...ownerOfWhole.value.keys()].filter((id) => gpus.value.has(id)).length;
  const used = whole === 0 ? `${number(split)} split` : `${number(split)} split · ${number(whole)} whole`;
  const needs = attention.value.length;
  return (
    <ul class="kpis" aria-label="In numbers">
      <Kpi name="GPUs" value={gpus.value.size} more={`${used} · ${count(servers.value.length, 'server')}`} to={to('gpus')} />
      <Kpi name="Partitions" value={sum.total} more={sum.other > 0 ? `${number(sum.other)} neither free nor assigned` : 'on all servers'} to={to('partitions')} />
      <Kpi name="Assigned" value={sum.assigned} more={`${share(sum.assigned, sum.total)} of all`} to={`${to('partitions')}?state=taken`} meter={[sum.assigned, sum.total]} />
      <Kpi name="Free" value={sum.free} more="ready for a VM" to={`${to('partitions')}?state=free`} />
      <Kpi name="Need attention" value={needs} more={needs === 0 ? 'nothing found' : 'findings to mend'} to={to('checks')} isBad={needs > 0} />
    </ul>
  );
}

interface KpiProps {
  name: string;
  value: number;
  more: string;
  to: string;
  meter?: [number, number];
  isBad?: boolean;
}

function Kpi({ name, value, more, to: address, meter, isBad }: KpiProps) {
  return (
    <li class={isBad ? 'kpi bad' : 'kpi'}>
      <a href={address}>
        <span class="kpi-name">{name}</span>
        <span class="kpi-value">{number(value)}</span>
        <span class="kpi-more">{more}</span>
      </a>
      {meter && <meter aria-label={`${name} of all`} min={0} max={Math.max(1, meter[1])} value={meter[0]} />}
    </li>
  );
}

/** GPUs are there and nothing can be given to a VM yet. */
function FirstStep() {
  return (
    <Notice tone="calm">
      <p>No GPU is split yet. Set a partition count to make partitions, then assign them to VMs; before, the <a href={to('checks')}>checks</a> say whether the servers are ready.</p>
    </Notice>
  );
}

function Attention() {
  const list = attention.value;
  if (list.length === 0) return null;
  const more = list.length - MOST_FINDINGS;
  return (
    <Section title="Needs attention" aside={<a href={to('checks')}>All checks, with their mend</a>}>
      <ul class="findings">
        {list.slice(0, MOST_FINDINGS).map((one, nth) => <ShortFinding key={nth} finding={one} />)}
      </ul>
      {more > 0 && <p><a href={to('checks')}>{count(more, 'more finding')}</a></p>}
    </Section>
  );
}

function Servers() {
  const typed = useSignal('');
  const all = servers.value;
  const fitting = all.filter((server) => fits(typed.value, server, ...new Set(gpusOfServer.value.get(server)?.map((gpu) => gpu.model))));
  return (
    <Section title="Servers" aside={gpus.value.size > 0 ? <Legend /> : undefined}>
      {all.length > 3 && <Filter label="Find a server" text={typed} fitting={fitting.length} all={all.length} />}
      {gpus.value.size === 0 && <NoGpu />}
      <div class="servers">
        {fitting.map((server) => <ServerPicture key={server} server={server} />)}
      </div>
    </Section>
  );
}

export function NoGpu() {
  return (
    <Empty title="No GPU was found.">
      <p>Look whether the GPUs are in the server and seen by the kernel (<code>lspci</code>), whether the vendor’s driver for virtualization is loaded, and whether SR-IOV and Above 4G Decoding are on in the firmware setup. The <a href={to('checks')}>checks</a> name what is missing.</p>
      <SameOnCli command={cli.CHECK} />
    </Empty>
  );
}
