// Why a GPU or a VM is as it is, in the server's own sentences.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import * as api from '../api.ts';
import * as cli from '../cli.ts';
import type { Explanation, Problem } from '../types.ts';
import { SameOnCli } from './copy.tsx';
import { ProblemBox, problemOf } from './problem.tsx';

/** Asked once; with another key, asked again. */
export function Explained({ name }: { name: string }) {
  const told = useSignal<Explanation | null>(null);
  const problem = useSignal<Problem | null>(null);
  useEffect(() => {
    let isOld = false;
    api.explain(name).then(
      (explanation) => { if (!isOld) told.value = explanation; },
      (error: unknown) => { if (!isOld) problem.value = problemOf(error); },
    );
    return () => { isOld = true; };
  }, [name]);
  return (
    <>
      {problem.value && <ProblemBox problem={problem.value} title="Not explained" />}
      {told.value && <ul class="sentences">{told.value.sentences.map((one) => <li key={one}>{one}</li>)}</ul>}
      <SameOnCli command={cli.explain(name)} />
    </>
  );
}
