// A line to copy: a command that does the same as the button beside it, or the mend of a finding.

import { useSignal } from '@preact/signals';
import { Icon } from './icon.tsx';

async function put(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Outside a secure context there is no clipboard; a selection can still be copied by hand.
    return false;
  }
}

function Copyable({ text, label }: { text: string; label: string }) {
  const said = useSignal('');
  const copy = async (event: Event) => {
    const code = (event.currentTarget as HTMLElement).previousElementSibling;
    if (await put(text)) {
      said.value = 'copied';
    } else {
      if (code) getSelection()?.selectAllChildren(code);
      said.value = 'selected; copy it by keyboard';
    }
    setTimeout(() => { said.value = ''; }, 3000);
  };
  return (
    <span class="copyable">
      <code>{text}</code>
      <button type="button" class="button plain small" aria-label={`Copy ${label}`} onClick={copy}>
        <Icon name={said.value === '' ? 'copy' : 'check'} />
      </button>
      <span class="hint" role="status">{said.value}</span>
    </span>
  );
}

/** The same on the command line. */
export function SameOnCli({ command }: { command: string }) {
  return (
    <p class="same-on-cli">
      <span class="label">On the command line</span>
      <Copyable text={command} label="the command" />
    </p>
  );
}

const COMMAND = /^(divvy|virsh|systemctl|apt-get|journalctl|modprobe|mdevctl|cargo|usermod) /;

/** A hint or a mend: to copy where it is a command, to read where it is a sentence. */
export function Advice({ text, label }: { text: string; label: string }) {
  if (text === '') return null;
  return COMMAND.test(text) && !/[.;] /.test(text) ? <Copyable text={text} label={label} /> : <span class="advice">{text}</span>;
}
