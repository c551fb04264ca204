// A real Cockpit with the page "GPUs" in it: its web server and its bridge on loopback, without the log-in,
// in folders of their own. Under root they run as a user who may do nothing, as people do who sign in to
// Cockpit; nothing of this machine's own Cockpit is used or changed but its programs and its other pages.

import assert from 'node:assert/strict';
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { endProgram, freePort, newWindow, startProgram, until } from './harness.mjs';

const page = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../console/dist-cockpit');
const server = process.env.COCKPIT_WS ?? '/usr/lib/cockpit/cockpit-ws';
const bridge = process.env.COCKPIT_BRIDGE ?? '/usr/bin/cockpit-bridge';

const isRoot = process.getuid() === 0;
const NOBODY = 65534;
/** Who is signed in to Cockpit. */
export const user = isRoot ? 'nobody' : userInfo().username;

/** Lets every user of this machine to the socket of a room. */
export async function openDoor(room) {
  await chmod(path.dirname(room.socket), 0o711);
  await chmod(room.socket, 0o666);
}

/** Lets nobody there but root. */
export const shutDoor = (room) => chmod(room.socket, 0o000);

export class Cockpit {
  #folder;
  #child;

  static async start(room) {
    const cockpit = new Cockpit();
    await cockpit.#prepare(room);
    await cockpit.#run();
    return cockpit;
  }

  async #prepare(room) {
    this.#folder = await mkdtemp(path.join(tmpdir(), 'dvk-'));
    await chmod(this.#folder, 0o711);
    // Not a link: where the repository is, that user may not be able to look.
    await cp(page, path.join(this.#folder, 'data/cockpit/divvy'), { recursive: true });
    const config = path.join(this.#folder, 'config/cockpit');
    await mkdir(config, { recursive: true });
    await writeFile(path.join(config, 'divvy.override.json'), JSON.stringify({ socket: room.socket }));
    for (const own of ['home', 'run']) {
      const folder = path.join(this.#folder, own);
      await mkdir(folder, { mode: 0o700 });
      if (isRoot) await chown(folder, NOBODY, NOBODY);
    }
  }

  async #run() {
    this.port = await freePort();
    this.url = `http://127.0.0.1:${this.port}`;
    const env = {
      PATH: '/usr/bin:/bin',
      LANG: 'C.UTF-8',
      HOME: path.join(this.#folder, 'home'),
      XDG_RUNTIME_DIR: path.join(this.#folder, 'run'),
      XDG_DATA_DIRS: `${path.join(this.#folder, 'data')}:/usr/share`,
      XDG_CONFIG_DIRS: path.join(this.#folder, 'config'),
      // Where there are none, the bridge would start its own, which outlive it.
      SSH_AUTH_SOCK: path.join(this.#folder, 'no-agent'),
      DBUS_SESSION_BUS_ADDRESS: `unix:path=${path.join(this.#folder, 'no-bus')}`,
    };
    const words = ['--no-tls', '--address', '127.0.0.1', '--port', String(this.port), `--local-session=${bridge}`];
    const as = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
    const answers = () => fetch(`${this.url}/ping`).then((reply) => reply.ok, () => false);
    this.#child = await startProgram(server, words, { env, cwd: '/', ...as }, answers);
  }

  /** What it started and is still there, by their home. */
  async #rest() {
    const mark = `HOME=${path.join(this.#folder, 'home')}`;
    const own = [];
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      // A process that ended meanwhile has no environment to read.
      const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
      if (environment.split('\0').includes(mark)) own.push(Number(name));
    }
    return own;
  }

  async end() {
    await endProgram(this.#child);
    for (const pid of await this.#rest()) {
      try {
        process.kill(pid, 'SIGTERM');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    }
    await until('nothing of Cockpit runs', async () => (await this.#rest()).length === 0);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const PAGE = 'cockpit1:localhost/divvy';

/** A window on Cockpit; `frame` is our page in it, when it is there and Cockpit has marked it as ready: before
 *  that, which takes Cockpit a tenth of a second, it puts a page that goes elsewhere back where it began. */
export async function openCockpit(cockpit, { address = '/divvy', ...options } = {}) {
  const { context, page: window, complaints } = await newWindow(options);
  await window.goto(`${cockpit.url}${address}`);
  const frame = async () => {
    await window.locator(`iframe[name="${PAGE}"][data-ready="1"]`).waitFor();
    return until('the browser knows the page', async () => window.frame({ name: PAGE }));
  };
  return { context, window, frame, complaints };
}

/** Runs a test in a window of its own, and fails when the browser had something to complain about. */
export async function inCockpit(cockpit, options, test) {
  const { context, window, frame, complaints } = await openCockpit(cockpit, options);
  let page = null;
  try {
    page = await frame();
    await test(page, window);
    assert.deepEqual(complaints, []);
  } catch (failure) {
    // Cockpit and the page inside it may lead each other astray: where both were says which one did.
    const inside = await page?.locator('body').innerText().catch((gone) => `unreadable: ${gone}`);
    console.error(`Cockpit was at ${window.url()}, the page in it at ${page?.url()} and read:\n${inside}\n${complaints.join('\n')}`);
    throw failure;
  } finally {
    await context.close();
  }
}
