// News of findings that stop assignments, at the moment when they are found, wherever in the console one is.

import { effect } from '@preact/signals';
import { count } from '../format.ts';
import { to } from '../router.ts';
import { findings, isRead } from '../store.ts';
import type { Finding } from '../types.ts';
import { toast } from '../ui/toast.tsx';

const keyOf = (one: Finding): string => `${one.code} ${one.subject.kind} ${one.subject.id}`;

/** Tells until the answer is called. What is there at the start stands on the first page and is no news. */
export function tellNewFindings(): () => void {
  let known: Set<string> | null = null;
  return effect(() => {
    const errors = findings.value.filter((one) => one.severity === 'error');
    if (!isRead.value) return;
    const before = known;
    known = new Set(errors.map(keyOf));
    const fresh = errors.filter((one) => before !== null && !before.has(keyOf(one)));
    const [first] = fresh;
    if (!first) return;
    const text = fresh.length === 1 ? first.text : `${count(fresh.length, 'new error')}: ${first.text}, …`;
    toast({ tone: 'danger', text, about: 'findings', link: { to: to('checks'), text: 'Checks' } });
  });
}
