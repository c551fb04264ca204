// What is shown in Cockpit when divvyd does not let the user in, or does not answer: why that is, and what an
// administrator does about it.

import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import * as cli from '../cli.ts';
import type { Problem } from '../types.ts';
import { Advice } from '../ui/copy.tsx';
import { Empty } from '../ui/empty.tsx';
import { ProblemBox } from '../ui/problem.tsx';

/** `shut`: the socket is not for this user. A problem: divvyd answers, and refuses. */
export const door = signal<'shut' | 'silent' | Problem>('silent');

export function Door({ user, socket }: { user: string; socket: string }) {
  useEffect(() => { document.title = 'GPUs'; }, []);
  const why = door.value;
  return (
    <main class="door">
      <h1>GPUs</h1>
      {why === 'shut' && <Shut user={user} socket={socket} />}
      {why === 'silent' && <Silent socket={socket} />}
      {typeof why === 'object' && <ProblemBox problem={why} title="Not let in" />}
    </main>
  );
}

function Shut({ user, socket }: { user: string; socket: string }) {
  return (
    <Empty title={`${user} may not use Divvy`}>
      <p>The socket of divvyd, <code>{socket}</code>, is for root and for one group. As an administrator of this server:</p>
      <p><Advice text={cli.letIn(user)} label="the command" /></p>
      <p>Then sign out of Cockpit and in again. The group is the one that <code>socket_group</code> names in <code>/etc/divvy/divvyd.toml</code>; where it names none, set it to <code>divvy</code> and restart divvyd.</p>
    </Empty>
  );
}

function Silent({ socket }: { socket: string }) {
  return (
    <Empty title="divvyd does not answer">
      <p>Nobody answers at <code>{socket}</code>. This page goes on when somebody does.</p>
      <p><Advice text="systemctl status divvyd" label="the command" /></p>
    </Empty>
  );
}
