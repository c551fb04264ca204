// The states that a partition goes through, with the one that it is in, and what that means:
//
//   free ──▶ assigned ──▶ in use ──▶ releasing ──▶ free, when it was proved clean
//                                        └──────▶ quarantined, when it was not ──cure──▶ free

import { words } from '../format.ts';
import type { PartitionState } from '../types.ts';
import { Badge } from '../ui/badge.tsx';

const WAY: PartitionState[] = ['free', 'assigned', 'in_use', 'releasing'];

const MEANING: Record<PartitionState, string> = {
  free: 'It was proved clean and is nobody’s: Divvy may give it to a VM.',
  assigned: 'It belongs to a VM that does not have it open now.',
  in_use: 'Its VM runs and has it open.',
  releasing: 'Its VM gave it up. It is reset, and that is proved, before another VM gets it; then it is free.',
  quarantined: 'It could not be proved clean after its last VM, so no VM gets it until it is cured.',
  unknown: 'What it is cannot be told now, so nothing is done with it.',
};

export function Lifecycle({ state }: { state: PartitionState }) {
  // Those two are on nobody's way.
  const states = WAY.includes(state) ? WAY : [...WAY, state];
  return (
    <div class="lifecycle">
      <ol aria-label="States of a partition">
        {states.map((one) => (
          <li key={one} aria-current={one === state ? 'step' : undefined}>
            {one === state ? <Badge word={one} /> : words(one)}
          </li>
        ))}
      </ol>
      <p>{MEANING[state] ?? words(state)}</p>
    </div>
  );
}
