// What a change would do, asked of the server while it is being put together, and what every dialog of a
// change has in common: steps, warnings, the refusal, the same on the command line, and the way it is sent.

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { count } from '../format.ts';
import type { Accepted, Plan, Problem } from '../types.ts';
import { SameOnCli } from '../ui/copy.tsx';
import { closeDialog } from '../ui/dialog.tsx';
import { FindingLines, Notice, ProblemBox, problemOf } from '../ui/problem.tsx';
import { follow } from './follow.ts';

/** Nobody types or clicks faster than the server is asked. */
const PAUSE_MS = 200;

/** So many are shown without being asked for. */
const FEW_STEPS = 12;

export interface Planned {
  isAsking: boolean;
  plan: Plan | null;
  problem: Problem | null;
}

const NOTHING: Planned = { isAsking: false, plan: null, problem: null };

/** The plan of a request; asked again whenever the key is another, and not at all while it is null. */
export function usePlan(key: string | null, ask: () => Promise<Plan>): Planned {
  const planned = useSignal<Planned>(NOTHING);
  useEffect(() => {
    if (key === null) {
      planned.value = NOTHING;
      return;
    }
    let isOld = false;
    planned.value = { ...planned.value, isAsking: true };
    const timer = setTimeout(() => {
      ask().then(
        (plan) => { if (!isOld) planned.value = { isAsking: false, plan, problem: null }; },
        (error: unknown) => { if (!isOld) planned.value = { isAsking: false, plan: null, problem: problemOf(error) }; },
      );
    }, PAUSE_MS);
    return () => {
      isOld = true;
      clearTimeout(timer);
    };
  }, [key]);
  return planned.value;
}

export function PlanBox({ planned, children }: { planned: Planned; children?: ComponentChildren }) {
  const { isAsking, plan, problem } = planned;
  return (
    <div class={isAsking ? 'plan asking' : 'plan'} aria-busy={isAsking}>
      {problem && <ProblemBox problem={toTell(problem)} title="Would be refused" />}
      {children}
      {plan && plan.warnings.length > 0 && <Notice tone="warning"><FindingLines findings={plan.warnings} /></Notice>}
      {plan && <Steps plan={plan} />}
    </div>
  );
}

/** What can be accepted, and the mend instead, is told beside the boxes for it. */
const toTell = (problem: Problem): Problem => (problem.code === 'not_accepted' ? { ...problem, hint: null, findings: [] } : problem);

function Steps({ plan }: { plan: Plan }) {
  const isAskedFor = useSignal(false);
  if (plan.steps.length === 0) return <p>No step has to be taken for it now.</p>;
  const servers = new Set(plan.steps.map((step) => step.server)).size;
  const isFew = plan.steps.length <= FEW_STEPS;
  return (
    <details class="steps" open={isFew} onToggle={(event) => { isAskedFor.value = event.currentTarget.open; }}>
      <summary>{count(plan.steps.length, 'step')} on {count(servers, 'server')}</summary>
      {(isFew || isAskedFor.value) && <ol>{plan.steps.map((step, nth) => <li key={nth}><span class="hint">{step.server}</span> {step.text}</li>)}</ol>}
    </details>
  );
}

export interface Sending {
  isSending: boolean;
  problem: Problem | null;
  send: () => void;
}

/** Sends a change once, closes the dialog when it is accepted, and follows its job or tells what else `then` is. */
export function useSending(ask: () => Promise<Accepted>, then: (accepted: Accepted) => void = follow): Sending {
  const isSending = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const send = () => {
    if (isSending.value) return;
    isSending.value = true;
    problem.value = null;
    ask().then(
      (accepted) => { closeDialog(); then(accepted); },
      (error: unknown) => { problem.value = problemOf(error); isSending.value = false; },
    );
  };
  return { isSending: isSending.value, problem: problem.value, send };
}

interface ActionsProps {
  sending: Sending;
  text: string;
  command: string | null;
  isReady: boolean;
}

/** The foot of a dialog: the command line, and what is to be done. */
export function ChangeActions({ sending, text, command, isReady }: ActionsProps) {
  return (
    <>
      {sending.problem && <ProblemBox problem={sending.problem} />}
      {command && <SameOnCli command={command} />}
      <div class="buttons">
        <button type="submit" class="button primary" disabled={!isReady || sending.isSending}>{sending.isSending ? 'Sending …' : text}</button>
        <button type="button" class="button" onClick={closeDialog}>Cancel</button>
      </div>
    </>
  );
}
