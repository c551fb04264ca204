// What all pages have in common: a heading that gets the focus when the page is new, the way up, what can be
// done here, and lists of facts.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { NONE } from '../format.ts';
import { isRead } from '../store.ts';
import { Empty } from './empty.tsx';

interface Props {
  title: string;
  up?: { to: string; text: string };
  subtitle?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
}

let isFirst = true;

export function Page({ title, up, subtitle, actions, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => { document.title = `${title} · Divvy`; }, [title]);
  useEffect(() => {
    // A reader says where one is now; on the first page the browser does.
    if (!isFirst) heading.current?.focus({ preventScroll: true });
    isFirst = false;
    scrollTo(0, 0);
  }, []);
  return (
    <>
      <header class="page-head">
        <div>
          {up && <nav aria-label="Up"><a href={up.to}>{up.text}</a></nav>}
          <h1 ref={heading} tabIndex={-1}>{title}</h1>
          {subtitle && <p class="subtitle">{subtitle}</p>}
        </div>
        {actions && <div class="actions">{actions}</div>}
      </header>
      {isRead.value ? children : <p class="loading" role="status">Reading what is there …</p>}
    </>
  );
}

export function Section({ title, aside, children }: { title: string; aside?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="section">
      <div class="section-head"><h2>{title}</h2>{aside}</div>
      {children}
    </section>
  );
}

export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value ?? NONE}</dd></div>)}
    </dl>
  );
}

/** The thing of this page is not there (any more). */
export function Gone({ what, up }: { what: string; up: { to: string; text: string } }) {
  return (
    <Page title={`No such ${what}`} up={up}>
      <Empty title={`There is no ${what} of this name now.`}>
        <p>It may have gone while you were away. <a href={up.to}>{up.text}</a> shows those that are there.</p>
      </Empty>
    </Page>
  );
}
