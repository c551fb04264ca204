// One server as a picture: its GPUs as bars, each divided into its partitions. Only what is near to the
// window is drawn.

import { count, number } from '../format.ts';
import { to } from '../router.ts';
import { gpusOfServer, partitionsOfGpu, tally, vmsOfServer } from '../store.ts';
import type { Gpu } from '../types.ts';
import { PartitionBar } from '../ui/bar.tsx';
import { Icon } from '../ui/icon.tsx';
import { Lazy } from '../ui/lazy.tsx';
import { Short } from '../usage/figures.tsx';
import { usage } from '../usage/store.ts';

/** Of one GPU's bar with its name, before it was drawn. */
const BAR_PIXELS = 66;

export function ServerPicture({ server }: { server: string }) {
  const gpus = gpusOfServer.value.get(server) ?? [];
  const sum = tally(gpus.flatMap((gpu) => partitionsOfGpu.value.get(gpu.id) ?? []));
  const vms = vmsOfServer.value.get(server)?.length ?? 0;
  const told = `${count(gpus.length, 'GPU')} · ${number(sum.free)} of ${count(sum.total, 'partition')} free · ${count(vms, 'VM')}`;
  return (
    <article class="server" aria-label={`Server ${server}`}>
      <header class="server-head">
        <h3>{server}</h3>
        <span class="hint">{told}</span>
      </header>
      <Lazy height={Math.max(1, gpus.length) * BAR_PIXELS} instead={told}>
        {() => gpus.length === 0
          ? <p class="hint">no GPU</p>
          : gpus.map((gpu) => <GpuLine key={gpu.id} gpu={gpu} />)}
      </Lazy>
    </article>
  );
}

function GpuLine({ gpu }: { gpu: Gpu }) {
  const told = usage.value.get(gpu.id);
  return (
    <div class="gpu-line">
      <div class="gpu-name">
        <a href={to('gpus', gpu.id)}>{gpu.model} <span class="mono">{gpu.pci_address}</span></a>
        {told && <Short of={told} name={gpu.name} />}
        {gpu.findings > 0 && <span class="tone-text-warning"><Icon name="warning" /> {count(gpu.findings, 'finding')}</span>}
      </div>
      <PartitionBar gpu={gpu} list={partitionsOfGpu.value.get(gpu.id) ?? []} />
    </div>
  );
}
