// How the console looks in this browser, who is signed in, and which server answers. What divvyd itself does
// is set in its file, by an administrator of the server.

import { type By, who } from '../credentials.ts';
import { moment } from '../format.ts';
import { direction, surrounding, theme, type Direction, type Theme } from '../prefs.ts';
import { version } from '../store.ts';
import { Select } from '../ui/filter.tsx';
import { Facts, Page, Section } from '../ui/page.tsx';
import { Faults } from './faults.tsx';
import { signOutAndTell } from '../shell/sign-out.ts';
import { Webhooks } from './webhooks.tsx';

const THEMES: [Theme, string][] = [['system', 'as the system'], ['light', 'light'], ['dark', 'dark']];
const DIRECTIONS: [Direction, string][] = [['ltr', 'left to right'], ['rtl', 'right to left']];

const BY: Record<By, string> = {
  session: 'a session of this browser',
  token: 'the token, kept until this page is closed',
  socket: 'Cockpit; divvyd asks the kernel who is at its socket',
};

export function Settings() {
  const now = who.value;
  const about = version.value;
  const isOurs = typeof now === 'object' && now.by !== 'socket';
  return (
    <Page title="Settings">
      <Section title="This browser">
        <div class="form">
          {surrounding.value === null ? <Select label="Colours" value={theme} choices={THEMES} /> : <p class="hint">Colours are those of Cockpit; they are chosen in its menu.</p>}
          <Select label="Direction of reading" value={direction} choices={DIRECTIONS} />
          <p class="hint">Numbers and times are written as your browser’s language has it: {moment(Date.now())}.</p>
        </div>
      </Section>
      <Section title="Signed in" aside={isOurs && <button type="button" class="button small" onClick={signOutAndTell}>Sign out</button>}>
        <Facts
          facts={[
            ['User', typeof now === 'object' ? now.user : null],
            ['By', typeof now === 'object' ? BY[now.by] : null],
          ]}
        />
      </Section>
      {about?.room != null && <Section title="What goes wrong in the simulated room"><Faults /></Section>}
      <Webhooks />
      <Section title="Server">
        <Facts
          facts={[
            ['Server', about?.server],
            ['Version of divvyd', about?.version],
            ['Room', about?.room === null ? 'none: real hardware' : `${about?.room}: simulated`],
          ]}
        />
        <p class="hint">What divvyd does is set in <code>/etc/divvy/divvyd.toml</code> on the server: its name, where libvirt answers, who may use the socket, who is told of events.</p>
      </Section>
    </Page>
  );
}
