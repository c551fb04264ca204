// What becomes of a change after it was accepted: news at once, and news when its job has ended, wherever in
// the console one is by then.

import { effect } from '@preact/signals';
import { to } from '../router.ts';
import { jobs, takeJob } from '../store.ts';
import type { Accepted, Job } from '../types.ts';
import { toast, type Toast } from '../ui/toast.tsx';
import { jobTitle } from '../jobs/words.ts';

const ENDS: { failed: [Toast['tone'], string]; [progress: string]: [Toast['tone'], string] } = {
  succeeded: ['good', 'Done'],
  cancelled: ['calm', 'Cancelled'],
  failed: ['danger', 'Failed'],
};

/** Jobs that were started here and have not ended yet. */
const mine = new Set<number>();

export function follow({ job, warnings }: Accepted): void {
  if (job === null) {
    toast({ tone: 'good', text: 'It was so already; nothing had to be done.' });
    return;
  }
  const more = warnings.length > 0 ? ` ${warnings.map((one) => one.text).join('; ')}` : '';
  toast({ tone: 'calm', text: `Accepted: ${jobTitle(job)}.${more}`, ...ofJob(job) });
  mine.add(job.id);
  takeJob(job);
  // The stream may have told of its end before this answer came.
  tell(jobs.peek());
}

const ofJob = (job: Job) => ({ about: `job ${job.id}`, link: { to: to('jobs', job.id), text: `Job ${job.id}` } });

function tell(all: ReadonlyMap<number, Job>): void {
  for (const id of mine) {
    const job = all.get(id);
    if (!job || job.progress === 'running') continue;
    mine.delete(id);
    const [tone, word] = ENDS[job.progress] ?? ENDS['failed'];
    toast({ tone, text: `${word}: ${jobTitle(job)}.`, ...ofJob(job) });
  }
}

/** Tells until the answer is called. */
export function tellEnds(): () => void {
  return effect(() => tell(jobs.value));
}
