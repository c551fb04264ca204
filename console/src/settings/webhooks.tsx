// Who is told of events over HTTP, how that goes, and whether it works now. Who that is, is set in divvyd's
// file; here it can be tried.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import { moment, NONE, number } from '../format.ts';
import { findings } from '../store.ts';
import type { Problem, Webhook, WebhookTest } from '../types.ts';
import { Badge } from '../ui/badge.tsx';
import { SameOnCli } from '../ui/copy.tsx';
import { Section } from '../ui/page.tsx';
import { Notice, ProblemBox, problemOf } from '../ui/problem.tsx';
import { Table, type Column } from '../ui/table.tsx';

/** How soon one that does not work, or has something waiting, is looked at again. */
const AGAIN_MS = 2_000;

const isBusy = (one: Webhook): boolean => one.state === 'retrying' || (one.state === 'working' && one.waiting > 0);

/** Nothing where the server is older than webhooks. */
export function Webhooks() {
  const all = useSignal<readonly Webhook[] | null>(null);
  const told = useSignal<WebhookTest | null>(null);
  const trying = useSignal<string | null>(null);
  const problem = useSignal<Problem | null>(null);
  const read = async () => {
    try {
      all.value = await api.webhooks();
    } catch (error) {
      problem.value = problemOf(error);
    }
  };
  // Trouble with one is a finding: it comes and goes there first.
  const found = findings.value;
  useEffect(() => { void read(); }, [found]);
  const now = all.value;
  useEffect(() => {
    if (!now?.some(isBusy)) return;
    const timer = setTimeout(() => void read(), AGAIN_MS);
    return () => clearTimeout(timer);
  }, [now]);
  const attempt = async (url: string) => {
    [told.value, problem.value, trying.value] = [null, null, url];
    try {
      told.value = (await api.testWebhook(url))[0] ?? null;
    } catch (error) {
      problem.value = problemOf(error);
    }
    trying.value = null;
    await read();
  };
  if (now === null && problem.value === null) return null;
  return (
    <Section title="Webhooks">
      {now !== null && <List all={now} trying={trying.value} onTry={(url) => void attempt(url)} />}
      <div role="status">{told.value && <Told told={told.value} />}</div>
      {problem.value && <ProblemBox problem={problem.value} />}
      <SameOnCli command={cli.list('webhook')} />
    </Section>
  );
}

function List({ all, trying, onTry }: { all: readonly Webhook[]; trying: string | null; onTry: (url: string) => void }) {
  const columns: Column<Webhook>[] = [
    { head: 'Receiver', cell: (one) => one.url, by: (one) => one.url, isProse: true },
    { head: 'State', cell: (one) => <State of={one} />, by: (one) => one.state, isProse: true },
    { head: 'Waiting', cell: (one) => number(one.waiting), by: (one) => one.waiting, isNumber: true },
    { head: 'Given up', cell: (one) => number(one.skipped), by: (one) => one.skipped, isNumber: true, room: 'wide' },
    { head: 'Events', cell: (one) => (one.codes.length === 0 ? 'all' : one.codes.join(', ')), isProse: true, room: 'medium' },
    { head: 'Last delivered', cell: (one) => (one.last_delivered_at_ms === null ? NONE : moment(one.last_delivered_at_ms)), by: (one) => one.last_delivered_at_ms ?? 0, room: 'wide' },
    {
      head: 'Try',
      cell: (one) => (
        <button type="button" class="button small" disabled={trying !== null} aria-label={`Send a test event to ${one.url}`} onClick={() => onTry(one.url)}>
          {trying === one.url ? 'Waiting …' : 'Test'}
        </button>
      ),
    },
  ];
  const nobody = <p>Nobody is told of events. <code>[[webhook]]</code> in <code>/etc/divvy/divvyd.toml</code> tells a receiver over HTTP.</p>;
  return <Table caption="Webhooks" columns={columns} rows={all} keyOf={(one) => one.url} empty={nobody} />;
}

function State({ of }: { of: Webhook }) {
  const since = of.failing_since_ms === null ? '' : `since ${moment(of.failing_since_ms)}: `;
  return (
    <>
      <Badge word={of.state} />
      {of.last_error !== null && <span class="hint"> {since}{of.last_error}</span>}
    </>
  );
}

function Told({ told }: { told: WebhookTest }) {
  if (told.error !== null) return <Notice tone="danger"><p>{told.url} did not take the test event: {told.error}.</p></Notice>;
  return <Notice tone="calm"><p>{told.url} took the test event, with status {told.status}.</p></Notice>;
}
