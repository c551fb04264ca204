// Going on in spite of findings that may be accepted: each by its code, on purpose, and recorded.

import type { Signal } from '@preact/signals';
import type { Finding } from '../types.ts';
import { Advice } from '../ui/copy.tsx';
import type { Planned } from './plan.tsx';

interface Props {
  planned: Planned;
  accepted: Signal<ReadonlySet<string>>;
}

/** Stands there once the server asked for it, so that it can be taken back too. */
export function Accept({ planned, accepted }: Props) {
  const asked = planned.problem?.code === 'not_accepted' ? planned.problem.findings : [];
  return asked.length > 0 || accepted.value.size > 0 ? <Choices findings={asked} accepted={accepted} /> : null;
}

function Choices({ findings, accepted }: { findings: readonly Finding[]; accepted: Signal<ReadonlySet<string>> }) {
  const codes = new Map<string, Finding | null>(findings.map((one) => [one.code, one]));
  for (const code of accepted.value) if (!codes.has(code)) codes.set(code, null);
  const set = (code: string, isOn: boolean) => {
    const next = new Set(accepted.value);
    isOn ? next.add(code) : next.delete(code);
    accepted.value = next;
  };
  return (
    <fieldset class="accept">
      <legend>Go on in spite of</legend>
      {[...codes].map(([code, finding]) => (
        <div key={code}>
          <label class="choose-line">
            <input type="checkbox" checked={accepted.value.has(code)} onChange={(event) => set(code, event.currentTarget.checked)} />
            <span><code>{code}</code> <span class="hint">{finding?.text ?? 'accepted'}</span></span>
          </label>
          {finding?.mend && <p class="hint instead"><span class="label">Or mend it:</span> <Advice text={finding.mend} label="the mend" /></p>}
        </div>
      ))}
      <p class="hint">What is accepted is recorded with your name.</p>
    </fieldset>
  );
}
