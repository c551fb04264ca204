// Signing out, and saying so when the server could not be told.

import { signOut } from '../session.ts';
import { problemOf } from '../ui/problem.tsx';
import { toast } from '../ui/toast.tsx';

export function signOutAndTell(): void {
  signOut().catch((error: unknown) => {
    toast({ tone: 'danger', text: `Not signed out: ${problemOf(error).detail}. Close the browser to be sure.` });
  });
}
