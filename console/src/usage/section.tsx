// What a GPU, or one partition of it, uses now, as a section of its page.

import * as cli from '../cli.ts';
import { clock, number, share, words } from '../format.ts';
import { SameOnCli } from '../ui/copy.tsx';
import { Facts, Section } from '../ui/page.tsx';
import { Busy, Decoding, Encoding, Memory } from './figures.tsx';
import { usage, useUsage } from './store.ts';
import type { PartitionUsage } from './types.ts';

const percent = (value: number | null | undefined): string | null => (value == null ? null : share(value, 100));

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
              ['Encoding video', <Encoding of={told} name="GPU" />],
              ['Decoding video', <Decoding of={told} name="GPU" />],
              ['Encoders free for more', percent(told.encoder_capacity_percent)],
              ['Memory used', <Memory of={told} name="GPU" />],
              ['Shares its time by', told.scheduler === null ? null : words(told.scheduler)],
            ]}
          />
        )
        : <p class="hint">It cannot be told: {told.reason}.</p>}
      <SameOnCli command={cli.usage(id)} />
    </Section>
  );
}

/** What it does not share; nothing where it shares everything. */
function hardware({ multiprocessors, encoders, decoders }: PartitionUsage): [string, string][] {
  if (multiprocessors == null) return [];
  return [
    ['Multiprocessors of its own', number(multiprocessors)],
    ['Encoders, decoders of its own', `${number(encoders)}, ${number(decoders)}`],
  ];
}

export function PartitionUse({ gpu, id }: { gpu: string; id: string }) {
  useUsage(gpu);
  const ofGpu = usage.value.get(gpu);
  const told = ofGpu?.partitions.find((one) => one.partition === id);
  if (!ofGpu) return null;
  return (
    <Section title="Use now" aside={ofGpu.at_ms === null ? undefined : <span class="hint">at {clock(ofGpu.at_ms)}</span>}>
      {told && ofGpu.reason === null
        ? (
          <Facts
            facts={[
              ['Busy', <Busy of={told} name="Partition" />],
              ['Encoding video', <Encoding of={told} name="Partition" />],
              ['Decoding video', <Decoding of={told} name="Partition" />],
              ['Most of the GPU’s encoders', percent(told.encoder_capacity_percent)],
              ['Memory used', <Memory of={told} name="Partition" />],
              ...hardware(told),
            ]}
          />
        )
        : <p class="hint">{ofGpu.reason === null ? 'No VM uses it now.' : `It cannot be told: ${ofGpu.reason}.`}</p>}
    </Section>
  );
}
