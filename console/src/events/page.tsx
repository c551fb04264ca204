// What happened, the newest first: who asked for what, what the hardware did by itself.

import { useSignal } from '@preact/signals';
import * as cli from '../cli.ts';
import { isoTime, moment, number } from '../format.ts';
import { to } from '../router.ts';
import { happenings } from '../store.ts';
import type { Happening } from '../types.ts';
import { SubjectLink } from '../checks/line.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, fits } from '../ui/filter.tsx';
import { Page } from '../ui/page.tsx';
import { Table, type Column } from '../ui/table.tsx';

const COLUMNS: Column<Happening>[] = [
  { head: 'Number', cell: (one) => number(one.number), by: (one) => one.number, isNumber: true, room: 'wide' },
  { head: 'When', cell: (one) => <time dateTime={isoTime(one.at_ms)}>{moment(one.at_ms)}</time>, by: (one) => one.at_ms },
  { head: 'What', cell: (one) => one.text, isProse: true },
  { head: 'About', cell: (one) => <SubjectLink subject={one.subject} />, room: 'medium' },
  { head: 'Who', cell: (one) => one.principal ?? 'hardware', by: (one) => one.principal ?? '', room: 'medium' },
  { head: 'Job', cell: (one) => one.job !== null && <a href={to('jobs', one.job)}>{one.job}</a>, isNumber: true, room: 'medium' },
  { head: 'Code', cell: (one) => <code>{one.code}</code>, by: (one) => one.code, room: 'wide' },
];

export function Events() {
  const typed = useSignal('');
  const all = happenings.value;
  const fitting = all.filter((one) => fits(typed.value, one.text, one.code, one.server, one.principal, one.subject.id));
  return (
    <Page title="Events">
      {all.length > 0 && <Filter label="Find an event" text={typed} fitting={fitting.length} all={all.length} />}
      <Table
        caption="Events" columns={COLUMNS} rows={fitting} keyOf={(one) => String(one.number)}
        empty={<Empty title={all.length === 0 ? 'Nothing has happened yet.' : 'No event fits.'}><p>Changes, findings and what the hardware does by itself stand here, the newest first.</p></Empty>}
      />
      <SameOnCli command={cli.EVENTS} />
    </Page>
  );
}
