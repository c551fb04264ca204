// What a GPU, or one partition of it, uses now, as a section of its page.

import * as cli from '../cli.ts';
import { clock, NONE, words } from '../format.ts';
import { SameOnCli } from '../ui/copy.tsx';
import { Facts, Section } from '../ui/page.tsx';
import { Busy, Memory } from './figures.tsx';
import { usage, useUsage } from './store.ts';

const yes = (is: boolean | null): string => (is === null ? NONE : is ? 'yes' : 'no');

export function GpuUse({ id }: { id: string }) {
  useUsage(id);
  const told = usage.value.get(id);
  if (!told) return null;
  return (
    <Section title="Use now" aside={told.at_ms === null ? undefined : <span class="hint">at {clock(told.at_ms)}</span>}>
      {told.reason === null
        ? (
          <Facts
            facts={[
              ['Busy', <Busy of={told} name="GPU" />],
              ['Memory used', <Memory of={told} name="GPU" />],
              ['Shares its time by', told.scheduler === null ? null : words(told.scheduler)],
              ['Corrects memory errors (ECC)', yes(told.ecc)],
            ]}
          />
        )
        : <p class="hint">It cannot be told: {told.reason}.</p>}
      <SameOnCli command={cli.usage(id)} />
    </Section>
  );
}

export function PartitionUse({ gpu, id }: { gpu: string; id: string }) {
  useUsage(gpu);
  const ofGpu = usage.value.get(gpu);
  const told = ofGpu?.partitions.find((one) => one.partition === id);
  if (!ofGpu) return null;
  return (
    <Section title="Use now" aside={ofGpu.at_ms === null ? undefined : <span class="hint">at {clock(ofGpu.at_ms)}</span>}>
      {told && ofGpu.reason === null
        ? <Facts facts={[['Busy', <Busy of={told} name="Partition" />], ['Memory used', <Memory of={told} name="Partition" />]]} />
        : <p class="hint">{ofGpu.reason === null ? 'No VM uses it now.' : `It cannot be told: ${ofGpu.reason}.`}</p>}
    </Section>
  );
}
