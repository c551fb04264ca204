// One GPU: what it is, how it is split, who has its partitions, and why it is as it is.

import type { ComponentChildren } from 'preact';
import * as cli from '../cli.ts';
import { openAssign } from '../changes/assign-dialog.tsx';
import { openCount } from '../changes/count-dialog.tsx';
import { whyNot } from '../changes/count-rules.ts';
import { openUnassign } from '../changes/unassign-dialog.tsx';
import { openWhole, whyNotGpu } from '../changes/whole-dialog.tsx';
import { bytes, number, yes } from '../format.ts';
import { to } from '../router.ts';
import { findings, gpus, jobList, ownerOfWhole, partitionsOfGpu } from '../store.ts';
import type { Gpu, Partition } from '../types.ts';
import { about, FindingLine } from '../checks/line.tsx';
import { JobLine } from '../jobs/line.tsx';
import { partitionColumns } from '../partitions/columns.tsx';
import { Badge } from '../ui/badge.tsx';
import { Legend, PartitionBar } from '../ui/bar.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { Explained } from '../ui/explained.tsx';
import { Facts, Gone, Page, Section } from '../ui/page.tsx';
import { Table } from '../ui/table.tsx';
import { useOfPartitions } from '../usage/columns.tsx';
import { GpuUse } from '../usage/section.tsx';
import { usage } from '../usage/store.ts';

const UP = { to: to('gpus'), text: 'GPUs' };

export function GpuPage({ id }: { id: string }) {
  const gpu = gpus.value.get(id);
  if (!gpu) return <Gone what="GPU" up={UP} />;
  const list = partitionsOfGpu.value.get(id) ?? [];
  const subtitle = <>{gpu.server} · <span class="mono">{gpu.pci_address}</span> <Badge word={gpu.mode} /> {gpu.reason}</>;
  const jobs = jobList.value.filter((job) => job.progress === 'running' && job.targets.some((one) => one.gpu === id || one.gpus.includes(id)));
  const found = about(findings.value, ({ kind, id: of }) => (kind === 'gpu' && of === id) || (kind === 'partition' && (of ?? '').startsWith(`${id}.`)));
  return (
    <Page title={`GPU ${gpu.model}`} up={UP} subtitle={subtitle} actions={<Actions gpu={gpu} />}>
      <WhyNots gpu={gpu} />
      {jobs.map((job) => <JobLine key={job.id} job={job} />)}
      <PartitionBar gpu={gpu} list={list} />
      {list.length > 0 && <Legend />}
      {found.length > 0 && (
        <Section title="Findings"><ul class="findings">{found.map((one, nth) => <FindingLine key={nth} finding={one} />)}</ul></Section>
      )}
      <GpuUse id={gpu.id} />
      <Partitions gpu={gpu} list={list} />
      <Section title="Details"><Facts facts={facts(gpu)} /></Section>
      <Section title="Why it is so"><Explained name={gpu.id} key={`${gpu.mode}${gpu.reason}${gpu.partition_count}${gpu.free_partitions}`} /></Section>
      <SameOnCli command={cli.showGpu(gpu.id)} />
    </Page>
  );
}

function Actions({ gpu }: { gpu: Gpu }) {
  const owner = ownerOfWhole.value.get(gpu.id);
  if (owner !== undefined) return <button type="button" class="button" onClick={() => openUnassign([owner.id])}>Unassign from {owner.name} …</button>;
  return (
    <>
      <button type="button" class="button primary" disabled={!gpu.free_partitions} onClick={() => openAssign([], gpu.id)}>Assign a partition …</button>
      <button type="button" class="button" disabled={whyNot(gpu) !== null} onClick={() => openCount([gpu.id])}>Set partition count …</button>
      <button type="button" class="button" disabled={whyNotGpu(gpu) !== null} onClick={() => openWhole({ gpus: [gpu.id] })}>Assign it whole …</button>
    </>
  );
}

/** What cannot be done with it, where the subtitle does not say it all. */
function WhyNots({ gpu }: { gpu: Gpu }) {
  if (ownerOfWhole.value.has(gpu.id)) return null;
  const told = [['Not to be split', whyNot(gpu)], ['Not to be given whole', whyNotGpu(gpu)]].filter(([, why]) => why !== null && why !== gpu.reason);
  return told.length === 0 ? null : <ul class="plain-list hint why-nots">{told.map(([what, why]) => <li key={what}>{what}: {why}.</li>)}</ul>;
}

function Partitions({ gpu, list }: { gpu: Gpu; list: readonly Partition[] }) {
  const empty = (
    <Empty title="It is not split into partitions.">
      <p>{ownerOfWhole.value.has(gpu.id) ? 'A VM has it whole, and a GPU is used whole or split, never both.' : (whyNot(gpu) ?? 'Set a partition count to make some.')}</p>
    </Empty>
  );
  return (
    <Section title="Partitions">
      <Table caption={`Partitions of GPU ${gpu.name}`} columns={[...partitionColumns({ hasGpu: false }), ...useOfPartitions(gpu.id)]} rows={list} keyOf={(one) => one.id} empty={empty} />
    </Section>
  );
}

/** `1 (16 GiB each), 2 (8 GiB each)`. */
function countsAndSizes(gpu: Gpu): string {
  const sized = (one: Gpu['memory_by_count'][number]) =>
    one.memory_per_partition_bytes === null ? number(one.partition_count) : `${number(one.partition_count)} (${bytes(one.memory_per_partition_bytes)} each)`;
  return gpu.memory_by_count.map(sized).join(', ');
}

function facts(gpu: Gpu): [string, ComponentChildren][] {
  const whole = ownerOfWhole.value.get(gpu.id);
  return [
    ['Id', <span class="mono">{gpu.id}</span>],
    ['Serial number', gpu.serial],
    ['Vendor', gpu.vendor],
    ['Server', gpu.server],
    ['PCI address', <span class="mono">{gpu.pci_address}</span>],
    ['NUMA node', number(gpu.numa_node)],
    ['Driver', [gpu.driver, gpu.driver_version].filter(Boolean).join(' ') || null],
    ['Corrects memory errors (ECC)', yes(gpu.ecc ?? usage.value.get(gpu.id)?.ecc)],
    ['Split by', gpu.scheme],
    ['Memory', bytes(gpu.memory_bytes)],
    ['Memory of each partition', bytes(gpu.memory_per_partition_bytes)],
    ['Partition count', number(gpu.partition_count)],
    ['Sizes of the partitions', gpu.sizes?.join(', ')],
    ['Valid partition counts', countsAndSizes(gpu) || null],
    ['Most partitions', number(gpu.max_partitions)],
    ['Address space of a VM that gets it whole', bytes(gpu.mmio_bytes)],
    ['Pool', gpu.pool && <a href={to('pools', gpu.pool)}>{gpu.pool}</a>],
    ['Whole to', whole && <a href={to('vms', whole.id)}>{whole.name}</a>],
  ];
}
