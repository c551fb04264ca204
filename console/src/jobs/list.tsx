// The newest jobs: what was asked for, by whom, and what became of it.

import { useSignal } from '@preact/signals';
import * as cli from '../cli.ts';
import { moment, words } from '../format.ts';
import { to } from '../router.ts';
import { jobList } from '../store.ts';
import type { Job } from '../types.ts';
import { SameOnCli } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, Select, fits } from '../ui/filter.tsx';
import { Page } from '../ui/page.tsx';
import { Table, type Column } from '../ui/table.tsx';
import { JobProgress, Took } from './line.tsx';
import { jobTitle, targetName } from './words.ts';

const COLUMNS: Column<Job>[] = [
  { head: 'Job', cell: (job) => <a href={to('jobs', job.id)}>{job.id}</a>, by: (job) => job.id, isNumber: true },
  { head: 'What', cell: (job) => jobTitle(job), by: jobTitle, isProse: true },
  { head: 'Progress', cell: (job) => <JobProgress job={job} />, by: (job) => job.progress },
  { head: 'Asked by', cell: (job) => job.principal, by: (job) => job.principal, room: 'medium' },
  { head: 'Began', cell: (job) => moment(job.created_ms), by: (job) => job.created_ms, room: 'medium' },
  { head: 'Took', cell: (job) => <Took job={job} />, isNumber: true, room: 'wide' },
];

const PROGRESS: [string, string][] = [['', 'all'], ...['running', 'succeeded', 'failed'].map((one): [string, string] => [one, words(one)])];

export function JobList() {
  const typed = useSignal('');
  const progress = useSignal('');
  const all = jobList.value;
  const fitting = all.filter((job) => (progress.value === '' || job.progress === progress.value) && fits(typed.value, jobTitle(job), job.principal, String(job.id), ...job.targets.map(targetName)));
  return (
    <Page title="Jobs">
      {all.length > 0 && (
        <Filter label="Find a job" text={typed} fitting={fitting.length} all={all.length}>
          <Select label="Progress" value={progress} choices={PROGRESS} />
        </Filter>
      )}
      <Table
        caption="Jobs" columns={COLUMNS} rows={fitting} keyOf={(job) => String(job.id)}
        empty={<Empty title={all.length === 0 ? 'Nothing was asked for yet.' : 'No job fits.'}><p>Every change of partition counts, assignments and partitions in quarantine is a job, and stays in this list.</p></Empty>}
      />
      <SameOnCli command={cli.list('job')} />
    </Page>
  );
}
