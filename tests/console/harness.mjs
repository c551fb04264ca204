// What every test of the console needs: a real divvyd on a simulated room, the command line as another
// client, and a browser that is signed in and remembers what it complained about.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const here = path.dirname(fileURLToPath(import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? path.resolve(here, '../../target');
/** Where divvyd and divvy are. */
const binaries = process.env.DIVVY_BINARIES ?? path.join(target, 'debug');
const DEADLINE_MS = 60_000;

const run = promisify(execFile);

export async function until(what, condition, deadlineMs = DEADLINE_MS) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const last = await condition();
    if (last) return last;
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts a program and waits until it answers. A test that is cut short does not leave it behind. */
export async function startProgram(file, words, options, answers) {
  const child = spawn(file, words, { stdio: ['ignore', 'ignore', 'pipe'], ...options });
  let said = '';
  child.stderr.on('data', (text) => { said += text; });
  const leave = () => child.kill('SIGKILL');
  process.once('exit', leave);
  child.once('exit', () => process.off('exit', leave));
  const name = path.basename(file);
  await until(`${name} answers`, async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${said}`);
    return answers();
  });
  return child;
}

export async function endProgram(child) {
  if (child.exitCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** A divvyd on a room; it can be stopped and started again with what it knew. */
export class Room {
  #name;
  #folder;
  #child = null;

  /** `edit` may change the room before it opens: its servers, and their VMs' definitions. `settings` makes the
   *  text of divvyd's settings file; it is told where to put other files. */
  static async start(name, edit = null, settings = null) {
    const room = new Room();
    room.#name = name;
    room.#folder = await mkdtemp(path.join(tmpdir(), 'dvc-'));
    room.port = await freePort();
    room.url = `http://127.0.0.1:${room.port}`;
    if (settings !== null) await writeFile(room.#settings, await settings(room.#folder));
    await room.start();
    if (edit !== null) await room.#edit(edit);
    room.token = (await readFile(path.join(room.#folder, 'state/token'), 'utf8')).trim();
    return room;
  }

  get #settings() {
    return path.join(this.#folder, 'divvyd.toml');
  }

  get socket() {
    return path.join(this.#folder, 's');
  }

  async start() {
    const listen = `127.0.0.1:${this.port}`;
    const places = ['--state-dir', path.join(this.#folder, 'state'), '--socket', this.socket];
    const settings = existsSync(this.#settings) ? ['--settings', this.#settings] : [];
    const words = ['--sim', this.#name, ...places, ...settings, '--listen', listen];
    const answers = () => this.divvy('version').then(() => true, () => false);
    this.#child = await startProgram(path.join(binaries, 'divvyd'), words, {}, answers);
  }

  async #edit(edit) {
    await this.stop();
    const file = path.join(this.#folder, 'state', `room-${this.#name}.json`);
    const kept = JSON.parse(await readFile(file, 'utf8'));
    edit(kept);
    await writeFile(file, JSON.stringify(kept));
    await this.start();
  }

  async stop() {
    const child = this.#child;
    this.#child = null;
    if (child !== null) await endProgram(child);
  }

  async end() {
    await this.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Runs the command line; throws what it printed when it fails. */
  async divvy(...words) {
    const env = { ...process.env, DIVVY_SOCKET: this.socket };
    delete env.DIVVY_SERVER;
    delete env.DIVVY_TOKEN;
    const { stdout } = await run(path.join(binaries, 'divvy'), words, { env });
    return stdout;
  }

  async json(...words) {
    return JSON.parse(await this.divvy(...words, '-o', 'json'));
  }
}

let browser = null;

export async function startBrowser() {
  const isRoot = process.getuid?.() === 0;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: isRoot ? ['--no-sandbox'] : [],
  });
}

export async function endBrowser() {
  await browser?.close();
  browser = null;
}

export const WIDE = { width: 1440, height: 900 };
export const NARROW = { width: 360, height: 740 };

/**
 * A new browser window. `complaints` gathers what the browser's own log says against the page: errors, and
 * what the content security policy kept out.
 */
export async function newWindow({ viewport = WIDE, theme = 'light', bypassCSP = false, locale = 'en-GB', kept = {} } = {}) {
  const context = await browser.newContext({ viewport, bypassCSP, locale, colorScheme: theme, reducedMotion: 'reduce' });
  context.setDefaultTimeout(20_000);
  await context.addInitScript(
    (values) => {
      for (const [key, value] of Object.entries(values)) localStorage.setItem(key, value);
    },
    kept,
  );
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    const text = message.text();
    // A refused request is an answer like another; the browser writes it into its log by itself.
    if (message.type() === 'error' && !text.startsWith('Failed to load resource')) complaints.push(text);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return { context, page, complaints };
}

/** A new browser window on the console. */
export async function openConsole(room, { theme = 'light', direction = 'ltr', signIn = true, ...options } = {}) {
  const kept = { 'divvy.theme': theme, 'divvy.direction': direction };
  const { context, page, complaints } = await newWindow({ theme, kept, ...options });
  await page.goto(`${room.url}/console/`);
  if (signIn) await signInWithToken(page, room.token);
  return { context, page, complaints };
}

/** Runs a test in a window of its own, and fails when the browser had something to complain about. */
export async function inConsole(room, options, test) {
  const { context, page, complaints } = await openConsole(room, options);
  try {
    await test(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

export async function signInWithToken(page, token) {
  await page.getByLabel('Token', { exact: true }).first().check();
  await page.getByRole('textbox', { name: 'Token' }).fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  await page.getByRole('list', { name: 'In numbers' }).waitFor();
}

/** Goes to a page by its address, and waits for its heading. */
export async function visit(page, address, heading) {
  await page.evaluate((to) => { location.hash = to; }, address);
  await page.getByRole('heading', { level: 1, name: heading }).waitFor();
}

/** What a dialog is opened by, and the dialog. */
export async function openDialog(page, button) {
  await page.getByRole('button', { name: button }).click();
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  return dialog;
}

/** One of the numbers of the first page. */
export const kpi = (page, name) => page.getByRole('list', { name: 'In numbers' }).getByRole('listitem').filter({ hasText: name }).locator('.kpi-value');

export const shows = (page, name, value) => until(`${name} is ${value}`, async () => (await kpi(page, name).textContent()) === value);

/** What was asked for on the page has been done. */
export const isDone = (page) => page.getByText(/^Done: /).first().waitFor();
