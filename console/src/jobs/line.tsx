// One job in a line: what it does, how far it is, whether it went well.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { duration, number } from '../format.ts';
import { to } from '../router.ts';
import type { Job } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { howFar, jobTitle } from './words.ts';

/** What the clock says, again each second while something is under way. */
function useNow(isMoving: boolean): number {
  const now = useSignal(Date.now());
  useEffect(() => {
    if (!isMoving) return;
    const timer = setInterval(() => { now.value = Date.now(); }, 1000);
    return () => clearInterval(timer);
  }, [isMoving]);
  return now.value;
}

export function Took({ job }: { job: Job }) {
  const now = useNow(job.finished_ms === null);
  return <>{duration((job.finished_ms ?? now) - job.created_ms)}</>;
}

export function JobProgress({ job }: { job: Job }) {
  const { ended, failed, all } = howFar(job);
  if (job.progress !== 'running') return <Badge word={job.progress} />;
  return (
    <span class="job-progress">
      <Badge word="running" running />
      <progress aria-label={`Job ${job.id}`} max={all} value={ended} />
      <span>{number(ended)} of {number(all)}{failed > 0 ? `, ${number(failed)} failed` : ''}</span>
    </span>
  );
}

export function JobLine({ job }: { job: Job }) {
  const waits = job.targets.find((one) => one.progress === 'running' && one.detail)?.detail;
  return (
    <div class="job-line">
      <a href={to('jobs', job.id)}>Job {job.id}</a>
      <span>{jobTitle(job)}</span>
      <JobProgress job={job} />
      <span class="hint"><Took job={job} />{waits ? ` · ${waits}` : ''}</span>
    </div>
  );
}
