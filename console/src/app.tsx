// Which page is shown, for whom; and nothing else.

import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { tellEnds } from './changes/follow.ts';
import { Checks } from './checks/page.tsx';
import { tellNewFindings } from './checks/tell.ts';
import { who } from './credentials.ts';
import { Events } from './events/page.tsx';
import { GpuList } from './gpus/list.tsx';
import { GpuPage } from './gpus/page.tsx';
import { JobList } from './jobs/list.tsx';
import { JobPage } from './jobs/page.tsx';
import { startFollowing } from './live.ts';
import { Overview } from './overview/page.tsx';
import { PartitionList } from './partitions/list.tsx';
import { PartitionPage } from './partitions/page.tsx';
import { PoolList } from './pools/list.tsx';
import { PoolPage } from './pools/page.tsx';
import { route, to } from './router.ts';
import { Settings } from './settings/page.tsx';
import { Shell } from './shell/shell.tsx';
import { closeDialog, DialogPlace } from './ui/dialog.tsx';
import { Gone } from './ui/page.tsx';
import { ToastPlace } from './ui/toast.tsx';
import { VmList } from './vms/list.tsx';
import { VmPage } from './vms/page.tsx';

function CurrentPage() {
  const { page, id } = route.value;
  switch (page) {
    case '': return <Overview />;
    case 'gpus': return id === null ? <GpuList /> : <GpuPage key={id} id={id} />;
    case 'partitions': return id === null ? <PartitionList key={location.hash} /> : <PartitionPage key={id} id={id} />;
    case 'pools': return id === null ? <PoolList /> : <PoolPage key={id} id={id} />;
    case 'vms': return id === null ? <VmList /> : <VmPage key={id} id={id} />;
    case 'checks': return <Checks />;
    case 'jobs': return id === null ? <JobList /> : <JobPage key={id} id={id} />;
    case 'events': return <Events />;
    case 'settings': return <Settings />;
    default: return <Gone what="page" up={{ to: to(''), text: 'Overview' }} />;
  }
}

function SignedIn() {
  useEffect(startFollowing, []);
  useEffect(tellEnds, []);
  useEffect(tellNewFindings, []);
  useEffect(() => closeDialog, []);
  return <Shell><CurrentPage /></Shell>;
}

/** `nobody`: what is shown when nobody is signed in. */
export function App({ nobody }: { nobody: ComponentChildren }) {
  const now = who.value;
  return (
    <>
      {now === 'asking' && <p class="loading" role="status">Connecting …</p>}
      {now === 'nobody' && nobody}
      {typeof now === 'object' && <SignedIn />}
      <DialogPlace />
      <ToastPlace />
    </>
  );
}
