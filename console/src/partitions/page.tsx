// One partition: whose it is, of which GPU, and why it is as it is.

import * as cli from '../cli.ts';
import { openAssign } from '../changes/assign-dialog.tsx';
import { openUnassign } from '../changes/unassign-dialog.tsx';
import { bytes, number } from '../format.ts';
import { to } from '../router.ts';
import { findings, gpus, partitions, partitionsOfGpu } from '../store.ts';
import { about, FindingLine } from '../checks/line.tsx';
import { Badge } from '../ui/badge.tsx';
import { PartitionBar } from '../ui/bar.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Facts, Gone, Page, Section } from '../ui/page.tsx';
import { PartitionUse } from '../usage/section.tsx';

const UP = { to: to('partitions'), text: 'Partitions' };

export function PartitionPage({ id }: { id: string }) {
  const one = partitions.value.get(id);
  if (!one) return <Gone what="partition" up={UP} />;
  const { vm } = one;
  const gpu = gpus.value.get(one.gpu);
  const actions = vm === null
    ? <button type="button" class="button primary" disabled={one.state !== 'free'} onClick={() => openAssign([], one.gpu)}>Assign one of this GPU …</button>
    : <button type="button" class="button" onClick={() => openUnassign([vm])}>Unassign …</button>;
  const found = about(findings.value, (subject) => subject.kind === 'partition' && subject.id === id);
  return (
    <Page title={`Partition ${number(one.index)}`} up={UP} subtitle={<><Badge word={one.state} /> {one.reason}</>} actions={actions}>
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
