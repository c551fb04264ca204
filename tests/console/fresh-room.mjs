// For files of tests that each want a room of their own, as it is when nobody has been there. Files run in
// processes of their own and the tests of a file one after the other, so that there is one room at a time.

import { afterEach, beforeEach } from 'node:test';
import { Room } from './harness.mjs';

/** That of the test which runs now. */
export let room;

/** Each test from here on, or each of this group, has a new room; `edit` as in `Room.start`. */
export function onRoom(name, edit) {
  beforeEach(async () => { room = await Room.start(name, edit); });
  afterEach(() => room.end());
}

/** An edit of a room: the settings of one of its VMs. */
export const setting = (name, more) => (kept) => {
  const { definition } = kept.servers.flatMap((server) => server.vms).find((vm) => vm.definition.name === name);
  Object.assign(definition.settings, more);
};
