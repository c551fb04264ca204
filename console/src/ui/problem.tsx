// What a server refused, or that it did not answer: the reason, what to do, and the findings behind it.

import { Refused, Unreachable } from '../api.ts';
import { Badge } from './badge.tsx';
import { Advice } from './copy.tsx';
import { Icon } from './icon.tsx';
import type { Finding, Problem } from '../types.ts';
import type { ComponentChildren } from 'preact';

export function problemOf(error: unknown): Problem {
  if (error instanceof Refused) return error.problem;
  const isSilent = error instanceof Unreachable;
  return {
    status: null,
    code: isSilent ? 'server_unreachable' : 'console',
    detail: isSilent ? 'the server does not answer' : String(error),
    hint: isSilent ? 'look whether divvyd runs; whether the change was made, the list of jobs will tell' : null,
    findings: [],
  };
}

export function ProblemBox({ problem, title = 'Refused' }: { problem: Problem; title?: string }) {
  return (
    <div class="notice tone-danger" role="alert">
      <Icon name="error" />
      <div>
        <p><strong>{title}:</strong> {problem.detail}</p>
        {problem.hint && <p><Advice text={problem.hint} label="the hint" /></p>}
        <FindingLines findings={problem.findings} />
        <p class="hint">code <code>{problem.code}</code></p>
      </div>
    </div>
  );
}

export function FindingLines({ findings }: { findings: readonly Finding[] }) {
  if (findings.length === 0) return null;
  return (
    <ul class="plain-list">
      {findings.map((finding) => (
        <li key={`${finding.code}${finding.subject.id}${finding.text}`}>
          <Badge word={finding.severity} /> {finding.text}
          {finding.mend && <> <Advice text={finding.mend} label="the mend" /></>}
        </li>
      ))}
    </ul>
  );
}

/** Something to know before going on; not read out at once as an alert would be. */
export function Notice({ tone, children }: { tone: 'warning' | 'danger' | 'calm'; children: ComponentChildren }) {
  const icon = { warning: 'warning', danger: 'error', calm: 'info' } as const;
  return (
    <div class={`notice tone-${tone}`}>
      <Icon name={icon[tone]} />
      <div>{children}</div>
    </div>
  );
}
