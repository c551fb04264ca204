// One job: each GPU or VM that it changes, the steps that were taken, and what it waits for. It goes on
// whether somebody looks or not.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { clock, isoTime, moment, number } from '../format.ts';
import { to } from '../router.ts';
import { gpus, isRead, jobs, takeJob } from '../store.ts';
import type { JobTarget } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { Advice, SameOnCli } from '../ui/copy.tsx';
import { Facts, Gone, Page, Section } from '../ui/page.tsx';
import { problemOf } from '../ui/problem.tsx';
import { toast } from '../ui/toast.tsx';
import { JobProgress, Took } from './line.tsx';
import { jobTitle, targetName } from './words.ts';

const UP = { to: to('jobs'), text: 'Jobs' };

export function JobPage({ id }: { id: string }) {
  const job = jobs.value.get(Number(id));
  useEffect(() => {
    // The list holds the newest only; an older one is read by itself. When it is not there, the page says so.
    if (isRead.value && !job) api.job(Number(id)).then(takeJob, () => undefined);
  }, [id, isRead.value, job === undefined]);
  if (!job) return <Gone what="job" up={UP} />;
  return (
    <Page title={`Job ${job.id}`} up={UP} actions={job.progress === 'running' && <CancelButton id={job.id} />} subtitle={<>{jobTitle(job)} <JobProgress job={job} /></>}>
      {job.progress === 'running' && <p class="hint">It goes on when you leave this page; you find it under Jobs.</p>}
      <Facts
        facts={[
          ['Asked by', job.principal],
          ['Began', <time dateTime={isoTime(job.created_ms)}>{moment(job.created_ms)}</time>],
          ['Ended', job.finished_ms && <time dateTime={isoTime(job.finished_ms)}>{moment(job.finished_ms)}</time>],
          ['Took', <Took job={job} />],
        ]}
      />
      {job.targets.map((target, nth) => <Target key={nth} target={target} />)}
      <SameOnCli command={cli.showJob(job.id)} />
      {job.progress === 'running' && <SameOnCli command={cli.cancelJob(job.id)} />}
    </Page>
  );
}

/** Ends it where it stands; what was done stays, and the list of targets says what that is. */
function CancelButton({ id }: { id: number }) {
  const isAsking = useSignal(false);
  const press = () => {
    isAsking.value = true;
    api.cancelJob(id).then(
      () => toast({ tone: 'calm', text: `Job ${id} is being ended.` }),
      (error: unknown) => {
        const { code, detail } = problemOf(error);
        toast({ tone: 'danger', text: code === 'no_such_route' ? 'This server cannot cancel jobs.' : detail });
      },
    ).finally(() => { isAsking.value = false; });
  };
  return <button type="button" class="button" disabled={isAsking.value} onClick={press}>Cancel the job</button>;
}

function Target({ target }: { target: JobTarget }) {
  const address = target.vm ? to('vms', target.vm) : target.gpu ? to('gpus', target.gpu) : null;
  const name = target.vm ? targetName(target) : gpus.value.get(target.gpu ?? '')?.name ?? targetName(target);
  const whole = target.gpus.map((id) => gpus.value.get(id)?.name ?? id).join(', ');
  const wish = whole !== '' ? `whole ${whole}` : target.partition ?? (target.partition_count === null ? '' : `${number(target.partition_count)} partitions${target.sizes ? ` (sizes ${target.sizes.join(',')})` : ''}`);
  return (
    <Section title={name} aside={<Badge word={target.progress} running={target.progress === 'running'} />}>
      <p>{address && <a href={address}>{target.vm ? 'VM' : 'GPU'}</a>} on server {target.server}{wish && <>: <span class="mono">{wish}</span></>}</p>
      {target.detail && <p>{target.detail}</p>}
      {target.hint && <p class="mend"><span class="label">What to do</span> <Advice text={target.hint} label="the hint" /></p>}
      {target.steps.length > 0 && (
        <ol class="step-list">
          {target.steps.map((step, nth) => (
            <li key={nth}><time class="hint" dateTime={isoTime(step.at_ms)}>{clock(step.at_ms)}</time> <Badge word={step.outcome} /> {step.text}</li>
          ))}
        </ol>
      )}
    </Section>
  );
}
