// What stands around every page: where one can go, which server answers, whether what is shown is still so,
// and who is signed in.

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { who } from '../credentials.ts';
import { count, number } from '../format.ts';
import { theme } from '../prefs.ts';
import { go, route, to } from '../router.ts';
import { attention, connection, runningJobs, version, type Connection } from '../store.ts';
import { Icon, type IconName } from '../ui/icon.tsx';
import { Menu } from '../ui/menu.tsx';
import { Logo } from './logo.tsx';
import { signOutAndTell } from './sign-out.ts';

const PLACES: [string, string][] = [
  ['', 'Overview'], ['gpus', 'GPUs'], ['partitions', 'Partitions'], ['pools', 'Pools'], ['vms', 'VMs'], ['checks', 'Checks'],
  ['jobs', 'Jobs'], ['events', 'Events'], ['settings', 'Settings'],
];

export function Shell({ children }: { children: ComponentChildren }) {
  const isOpen = useSignal(false);
  const main = useRef<HTMLElement>(null);
  const { page } = route.value;
  useEffect(() => { isOpen.value = false; }, [page]);
  // The address after # is ours, so a link to a place in the page is a button.
  const skip = () => main.current?.focus();
  return (
    <>
      <button type="button" class="skip" onClick={skip}>Skip to the content</button>
      <header class="masthead">
        <button type="button" class="button plain nav-toggle" aria-expanded={isOpen.value} aria-controls="places" aria-label="Pages" onClick={() => { isOpen.value = !isOpen.value; }}>
          <Icon name="menu" />
        </button>
        <a class="home" href={to('')} aria-label="Divvy: overview"><Logo /></a>
        <ServerName />
        <span class="push" />
        <RunningJobs />
        <ConnectionSign />
        <UserMenu />
      </header>
      <LostBanner />
      <div class="below">
        <nav id="places" class={isOpen.value ? 'places open' : 'places'} aria-label="Pages">
          <ul>
            {PLACES.map(([name, text]) => (
              <li key={name}>
                <a href={to(name)} aria-current={page === name ? 'page' : undefined}>
                  {text}
                  {name === 'checks' && attention.value.length > 0 && <span class="count">{number(attention.value.length)}<span class="hidden"> findings</span></span>}
                  {name === 'jobs' && runningJobs.value.length > 0 && <span class="count">{number(runningJobs.value.length)}<span class="hidden"> running</span></span>}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <main ref={main} tabIndex={-1}>{children}</main>
      </div>
    </>
  );
}

function ServerName() {
  const about = version.value;
  if (!about) return null;
  return (
    <span class="server-name">
      <span>{about.server}</span>
      {about.room !== null && <span class="room">simulated</span>}
    </span>
  );
}

function RunningJobs() {
  const running = runningJobs.value.length;
  return (
    <span class="running-jobs" role="status">
      {running > 0 && <a href={to('jobs')}><Icon name="running" /> {count(running, 'job')} <span class="room-medium">under way</span></a>}
    </span>
  );
}

const SIGNS: Record<Connection, [IconName, string]> = {
  connecting: ['running', 'connecting'],
  live: ['check', 'live'],
  polling: ['check', 'live, by asking again'],
  lost: ['error', 'not connected'],
};

function ConnectionSign() {
  const [icon, text] = SIGNS[connection.value];
  return <span class={`connection ${connection.value}`} title={text}><Icon name={icon} /><span class="room-medium">{connection.value === 'polling' ? 'live' : text}</span></span>;
}

function LostBanner() {
  const isLost = connection.value === 'lost';
  return (
    <div class="banner-place" role="status">
      {isLost && <p class="banner"><Icon name="warning" /> The server does not answer. What is shown may not be so any more; trying again.</p>}
    </div>
  );
}

function UserMenu() {
  const now = who.value;
  const name = typeof now === 'object' ? now.user : '';
  // Who is in Cockpit leaves there, and chooses colours there.
  if (typeof now === 'object' && now.by === 'socket') return <span class="user"><Icon name="user" /><span class="hidden">User </span>{name}</span>;
  const isDark = document.documentElement.dataset['theme'] === 'dark';
  const items = [
    { text: isDark ? 'Light colours' : 'Dark colours', do: () => { theme.value = isDark ? 'light' : 'dark'; } },
    { text: 'Settings', do: () => go(to('settings')) },
    { text: 'Sign out', do: signOutAndTell },
  ];
  return <Menu label={`User ${name}`} items={items}><Icon name="user" /><span class="room-medium">{name}</span></Menu>;
}
