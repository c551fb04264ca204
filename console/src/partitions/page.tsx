// One partition: whose it is, of which GPU, and why it is as it is.

import * as cli from '../cli.ts';
import { openAssign } from '../changes/assign-dialog.tsx';
import { openCure } from '../changes/cure-dialog.tsx';
import { openUnassign } from '../changes/unassign-dialog.tsx';
import { bytes, number } from '../format.ts';
import { to } from '../router.ts';
import { findings, gpus, jobList, partitions, partitionsOfGpu } from '../store.ts';
import { about, FindingLine } from '../checks/line.tsx';
import { JobLine } from '../jobs/line.tsx';
import { Badge } from '../ui/badge.tsx';
import { PartitionBar } from '../ui/bar.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Facts, Gone, Page, Section } from '../ui/page.tsx';
import { Notice } from '../ui/problem.tsx';
import { PartitionUse } from '../usage/section.tsx';
import { Lifecycle } from './lifecycle.tsx';

const UP = { to: to('partitions'), text: 'Partitions' };

export function PartitionPage({ id }: { id: string }) {
  const one = partitions.value.get(id);
  if (!one) return <Gone what="partition" up={UP} />;
  const { vm } = one;
  const gpu = gpus.value.get(one.gpu);
  const running = jobList.value.filter((job) => job.progress === 'running' && job.targets.some((target) => target.partition === id));
  const isSick = one.state === 'quarantined' && running.length === 0;
  const actions = isSick
    ? <button type="button" class="button primary" onClick={() => openCure(id)}>Cure …</button>
    : vm === null
    ? <button type="button" class="button primary" disabled={one.state !== 'free'} onClick={() => openAssign([], one.gpu)}>Assign one of this GPU …</button>
    : <button type="button" class="button" onClick={() => openUnassign([vm])}>Unassign …</button>;
  const found = about(findings.value, (subject) => subject.kind === 'partition' && subject.id === id);
  return (
    <Page title={`Partition ${number(one.index)}`} up={UP} subtitle={<>of <a class="mono" href={to('gpus', one.gpu)}>{gpu?.name ?? one.gpu}</a> <Badge word={one.state} /> {one.reason}</>} actions={actions}>
      {running.map((job) => <JobLine key={job.id} job={job} />)}
      {isSick && <LastCure id={id} reason={one.reason} />}
      <Lifecycle state={one.state} />
      {gpu && <PartitionBar gpu={gpu} list={partitionsOfGpu.value.get(gpu.id) ?? []} current={id} />}
      <PartitionUse gpu={one.gpu} id={id} />
      <Section title="Details">
        <Facts
          facts={[
            ['Id', <span class="mono">{one.id}</span>],
            ['VM', vm && <a href={to('vms', vm)}>{one.vm_name ?? vm}</a>],
            ['VM’s id', vm && <span class="mono">{vm}</span>],
            ['GPU', <a href={to('gpus', one.gpu)}>{gpu?.name ?? one.gpu}</a>],
            ['Server', one.server],
            ['Memory', bytes(one.memory_bytes)],
          ]}
        />
      </Section>
      {found.length > 0 && <Section title="Findings"><ul class="findings">{found.map((finding, nth) => <FindingLine key={nth} finding={finding} />)}</ul></Section>}
      <SameOnCli command={cli.list('partition')} />
    </Page>
  );
}

/** The last cure did not help: what it said, and what is left to try. */
function LastCure({ id, reason }: { id: string; reason: string | null }) {
  const job = jobList.value.find((one) => one.kind === 'cure' && one.targets.some((target) => target.partition === id));
  const target = job?.targets.find((one) => one.partition === id);
  if (job?.progress !== 'failed' || !target) return null;
  return (
    <Notice tone="danger">
      <p><strong>The last cure did not help</strong> (<a href={to('jobs', job.id)}>job {job.id}</a>){target.detail === reason ? '.' : `: ${target.detail}`}</p>
      <button type="button" class="button small" onClick={() => openCure(id, true)}>Make all partitions of its GPU again …</button>
    </Notice>
  );
}
