// One word about the state of a thing, with a picture and a colour that say the same again.

import { words } from '../format.ts';
import { Icon, type IconName } from './icon.tsx';

export type Tone = 'good' | 'busy' | 'calm' | 'warning' | 'danger' | 'muted';

const LOOKS: Record<string, [Tone, IconName, string?]> = {
  // partitions
  free: ['muted', 'free'],
  assigned: ['calm', 'check'],
  in_use: ['good', 'play', 'in use'],
  waiting_for_start: ['muted', 'free', 'waiting for its start'],
  starting: ['busy', 'running'],
  releasing: ['busy', 'back'],
  quarantined: ['danger', 'barred'],
  // GPUs
  partitioned: ['good', 'check'],
  partitionable: ['calm', 'free'],
  dda: ['calm', 'check', 'DDA'],
  host: ['muted', 'barred', 'used by the server'],
  not_assignable: ['warning', 'barred'],
  // VMs
  off: ['muted', 'off'],
  running: ['good', 'play'],
  paused: ['warning', 'pause'],
  // webhooks
  working: ['good', 'check'],
  retrying: ['warning', 'warning'],
  // findings
  info: ['calm', 'info'],
  warning: ['warning', 'warning'],
  needs_accept: ['warning', 'question', 'needs to be accepted'],
  error: ['danger', 'error'],
  // jobs
  succeeded: ['good', 'check'],
  failed: ['danger', 'error'],
  cancelled: ['muted', 'barred'],
  changed: ['good', 'check'],
  already: ['muted', 'check', 'was so already'],
  // everything
  not_free: ['warning', 'barred'],
  unknown: ['warning', 'question'],
};

export function Badge({ word, running }: { word: string; running?: boolean }) {
  const [tone, icon, text] = (running ? ['busy', 'running'] as [Tone, IconName, string?] : LOOKS[word]) ?? ['muted', 'question'];
  return (
    <span class={`badge tone-${tone}`}>
      <Icon name={icon} />
      {text ?? words(word)}
    </span>
  );
}
