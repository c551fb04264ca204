// One finding: how much it stops, what is so, on what, and the mend to copy.

import { to } from '../router.ts';
import { gpus, partitions, vms } from '../store.ts';
import type { Finding, Subject } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { Advice } from '../ui/copy.tsx';

/** A thing by the name that people use, as a link to its page. */
export function SubjectLink({ subject }: { subject: Subject }) {
  const { kind, id } = subject;
  if (id === null) return <span>cluster</span>;
  if (kind === 'gpu') return <a href={to('gpus', id)}>GPU {gpus.value.get(id)?.name ?? id}</a>;
  if (kind === 'vm') return <a href={to('vms', id)}>VM {vms.value.get(id)?.name ?? id}</a>;
  if (kind === 'partition' && partitions.value.has(id)) return <a href={to('partitions', id)}>partition {id}</a>;
  return <span>{kind} {id}</span>;
}

export function FindingLine({ finding }: { finding: Finding }) {
  return (
    <li class={`finding severity-${finding.severity}`}>
      <div class="finding-head">
        <Badge word={finding.severity} />
        <SubjectLink subject={finding.subject} />
        <code class="hint">{finding.code}</code>
      </div>
      <p>{finding.text}</p>
      {finding.mend && <p class="mend"><span class="label">Mend</span> <Advice text={finding.mend} label="the mend" /></p>}
    </li>
  );
}

/** The same in a line, for where the mend is one page away. */
export function ShortFinding({ finding }: { finding: Finding }) {
  return (
    <li class={`finding short severity-${finding.severity}`}>
      <Badge word={finding.severity} />
      <SubjectLink subject={finding.subject} />
      <p>{finding.text}</p>
    </li>
  );
}

/** Findings about one thing and what belongs to it. */
export function about(findings: readonly Finding[], belongs: (subject: Subject) => boolean): Finding[] {
  return findings.filter((one) => belongs(one.subject));
}
