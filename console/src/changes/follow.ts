// What becomes of a change after it was accepted: news at once, and news when its job has ended, wherever in
// the console one is by then.

import { effect } from '@preact/signals';
import { to } from '../router.ts';
import { jobs, takeJob } from '../store.ts';
import type { Accepted, Job } from '../types.ts';
import { toast } from '../ui/toast.tsx';
import { jobTitle } from '../jobs/words.ts';

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
    for (const id of mine) {
      const job = jobs.value.get(id);
      if (!job || job.progress === 'running') continue;
      mine.delete(id);
      const isDone = job.progress === 'succeeded';
      toast({ tone: isDone ? 'good' : 'danger', text: `${isDone ? 'Done' : 'Failed'}: ${jobTitle(job)}.`, link: linkTo(job) });
    }
  });
}
