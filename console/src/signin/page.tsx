// Who asks? A user of the server with a password, or whoever has the token. Nothing that is typed here is
// kept.

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Refused } from '../api.ts';
import { sessionEnded } from '../credentials.ts';
import { duration } from '../format.ts';
import { signInWithPassword, signInWithToken } from '../session.ts';
import type { Problem } from '../types.ts';
import { Icon } from '../ui/icon.tsx';
import { Notice, ProblemBox, problemOf } from '../ui/problem.tsx';
import { Logo } from '../shell/logo.tsx';

type Way = 'password' | 'token';

function problemHere(error: unknown): Problem {
  const problem = problemOf(error);
  if (error instanceof Refused && error.retryAfter !== null) {
    return { ...problem, hint: `try again in ${duration(error.retryAfter * 1000)}` };
  }
  return problem;
}

export function SignIn() {
  const way = useSignal<Way>('password');
  const isAsking = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = 'Sign in · Divvy';
    heading.current?.focus();
  }, []);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(given.get(name) ?? '');
    isAsking.value = true;
    problem.value = null;
    const asking = way.value === 'password' ? signInWithPassword(text('user'), text('password')) : signInWithToken(text('token').trim());
    asking.catch((error: unknown) => { problem.value = problemHere(error); }).finally(() => { isAsking.value = false; });
  };
  return (
    <main class="sign-in">
      <form class="sign-in-box" onSubmit={submit}>
        <Logo />
        <h1 ref={heading} tabIndex={-1}>Sign in</h1>
        {sessionEnded.value && <Notice tone="warning"><p>You were signed out: the session has ended, or divvyd was started anew.</p></Notice>}
        <Ways way={way.value} onWay={(to) => { way.value = to; problem.value = null; }} />
        {way.value === 'password' ? <PasswordFields /> : <TokenField />}
        {problem.value && <ProblemBox problem={problem.value} title="Not signed in" />}
        <button type="submit" class="button primary" disabled={isAsking.value}>
          <Icon name="user" /> {isAsking.value ? 'Signing in …' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}

function Ways({ way, onWay }: { way: Way; onWay: (to: Way) => void }) {
  const choice = (to: Way, text: string) => (
    <label class={way === to ? 'way chosen' : 'way'}>
      <input type="radio" name="way" checked={way === to} onChange={() => onWay(to)} /> {text}
    </label>
  );
  return (
    <fieldset class="ways">
      <legend class="hidden">How</legend>
      {choice('password', 'User and password')}
      {choice('token', 'Token')}
    </fieldset>
  );
}

function PasswordFields() {
  return (
    <>
      <Field label="User" name="user" autocomplete="username" />
      <Field label="Password" name="password" isSecret autocomplete="current-password" />
      <p class="hint">A user of the server that may use Divvy.</p>
    </>
  );
}

function TokenField() {
  return (
    <Field label="Token" name="token" isSecret autocomplete="off">
      <p class="hint">It is in the file <code>token</code> of divvyd’s state directory, <code>/var/lib/divvy</code> if nobody chose another.</p>
    </Field>
  );
}

interface FieldProps {
  label: string;
  name: string;
  isSecret?: boolean;
  autocomplete: string;
  children?: ComponentChildren;
}

function Field({ label, name, isSecret, autocomplete, children }: FieldProps) {
  const id = useId();
  const common = { id, class: 'field', name, autocomplete, autocapitalize: 'none', spellcheck: false, required: true } as const;
  return (
    <div class="form-field">
      <label class="label" htmlFor={id}>{label}</label>
      {isSecret ? <input type="password" {...common} /> : <input type="text" {...common} />}
      {children}
    </div>
  );
}
