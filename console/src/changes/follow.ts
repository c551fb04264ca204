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
  if (job.progress === 'running') mine.add(job.id);
  takeJob(job);
  const more = warnings.length > 0 ? ` ${warnings.map((one) => one.text).join('; ')}` : '';
  toast({ tone: 'calm', text: `Accepted: ${jobTitle(job)}.${more}`, link: linkTo(job) });
}

const linkTo = (job: Job) => ({ to: to('jobs', job.id), text: `Job ${job.id}` });

/** Tells until the answer is called. */
export function tellEnds(): () => void {
  return effect(() => {
    // Read also while there is nothing to look for, or the effect would not be told of the first job.
    const all = jobs.value;
    for (const id of mine) {
      const job = all.get(id);
      if (!job || job.progress === 'running') continue;
      mine.delete(id);
      const [tone, word] = ENDS[job.progress] ?? ENDS['failed'];
      toast({ tone, text: `${word}: ${jobTitle(job)}.`, link: linkTo(job) });
    }
  });
}
