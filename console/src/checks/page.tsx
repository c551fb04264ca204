// What keeps servers, GPUs and VMs from being ready, the worst first, each with its mend.

import { useSignal } from '@preact/signals';
import * as cli from '../cli.ts';
import { readEverything } from '../live.ts';
import { findings } from '../store.ts';
import { SameOnCli } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { Filter, Select, fits } from '../ui/filter.tsx';
import { Page } from '../ui/page.tsx';
import { problemOf } from '../ui/problem.tsx';
import { toast } from '../ui/toast.tsx';
import { FindingLine } from './line.tsx';

const SEVERITIES: [string, string][] = [
  ['', 'all'], ['error', 'error: stops assignments'], ['needs_accept', 'needs to be accepted'], ['warning', 'warning'], ['info', 'good to know'],
];
/** Longer lists are searched, not read. */
const MOST_SHOWN = 200;

export function Checks() {
  const typed = useSignal('');
  const severity = useSignal('');
  const all = findings.value;
  const fitting = all.filter((one) => (severity.value === '' || one.severity === severity.value) && fits(typed.value, one.code, one.text, one.subject.id));
  const again = () => {
    readEverything().then(
      () => toast({ tone: 'calm', text: 'The findings were read again.' }),
      (error: unknown) => toast({ tone: 'danger', text: problemOf(error).detail }),
    );
  };
  return (
    <Page title="Checks" actions={<button type="button" class="button" onClick={again}>Read again</button>}>
      {all.length > 0 && (
        <Filter label="Find a finding" text={typed} fitting={fitting.length} all={all.length}>
          <Select label="Severity" value={severity} choices={SEVERITIES} />
        </Filter>
      )}
      {all.length === 0 && <Empty title="Nothing was found: every server, GPU and VM is ready."><p>divvyd looks again by itself, whenever something changes.</p></Empty>}
      {all.length > 0 && fitting.length === 0 && <Empty title="No finding fits."><p>Look at the search and at the severity.</p></Empty>}
      <ul class="findings">
        {fitting.slice(0, MOST_SHOWN).map((one, nth) => <FindingLine key={nth} finding={one} />)}
      </ul>
      {fitting.length > MOST_SHOWN && <p class="hint">{fitting.length - MOST_SHOWN} more; search to see them.</p>}
      <SameOnCli command={cli.CHECK} />
    </Page>
  );
}
