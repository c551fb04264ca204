// What GPUs use, asked for while a page that shows it is seen, and forgotten with the page:
//
//   page ─▶ ask ─▶ show ─▶ wait ─▶ ask …      hidden: nothing is asked until the page is seen again
//            └─ no answer: nothing is known, and it is asked again │ an older server: never again
//
// Who shows it, and how, is not known here.

import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import * as api from '../api.ts';
import type { Usage } from './types.ts';

/** Between an answer and the next question. */
const PAUSE_MS = 5_000;

/** By GPU; those of which nothing was told yet are missing. */
export const usage = signal<ReadonlyMap<string, Usage>>(new Map());

/** Asks for one GPU, or for all of them, until the answer is called. */
export function follow(gpu: string | null): () => void {
  const ending = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isAsking = false;
  let isOver = false;

  const look = async () => {
    clearTimeout(timer);
    if (isAsking || isOver || document.hidden || ending.signal.aborted) return;
    isAsking = true;
    try {
      const told = await api.usage(gpu, ending.signal);
      if (!ending.signal.aborted) usage.value = new Map(told.map((one) => [one.gpu, one]));
    } catch (error) {
      isOver = error instanceof api.Refused && error.problem.status === 404;
      if (!ending.signal.aborted) usage.value = new Map();
    }
    isAsking = false;
    if (!isOver) timer = setTimeout(look, PAUSE_MS);
  };

  const seen = () => { void look(); };
  document.addEventListener('visibilitychange', seen);
  seen();
  return () => {
    ending.abort();
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', seen);
    usage.value = new Map();
  };
}

/** Keeps `usage` true of one GPU, or of all, while the component is there. */
export function useUsage(gpu: string | null): void {
  useEffect(() => follow(gpu), [gpu]);
}
