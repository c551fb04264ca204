// How long the console takes to show what somebody did, with a hundred servers of 8 GPUs of 32 partitions:
//
//   node paint.mjs
//
// Measured by the browser itself (Event Timing): from the click or the key to the frame that shows what
// came of it, in steps of 8 ms, and nothing below 16 ms is told. One window of 1440 × 900, one thing after
// the other, each after the page has come to rest. Scrolling is no interaction for the browser; of it the
// longest frame is told (Long Animation Frames), of which those below 50 ms are not.
//
// What looks for a button in the page works in the page's own thread, and longer than the page does: it has
// to be through before something is done, and the frames in which it worked are not counted.

import { tellOfHall } from './hall.mjs';
import { endBrowser, openConsole, Room, signInWithToken, startBrowser } from './harness.mjs';

/** What Event Timing and Long Animation Frames tell at least. */
const LEAST_MS = 16;
const LEAST_FRAME_MS = 50;
const WANTED = 'server-77';

/** In the page: gathers what the browser tells, by interaction. */
function gather() {
  window.interactions = new Map();
  window.frames = [];
  window.acts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (!entry.interactionId) continue;
      const known = window.interactions.get(entry.interactionId) ?? 0;
      window.interactions.set(entry.interactionId, Math.max(known, entry.duration));
    }
  }).observe({ type: 'event', durationThreshold: 16, buffered: true });
  new PerformanceObserver((list) => {
    window.frames.push(...list.getEntries());
  }).observe({ type: 'long-animation-frame', buffered: true });
}

/** In the page, before each flow. */
function forget() {
  window.interactions.clear();
  window.frames.length = 0;
  window.acts = [];
}

/** In the page: what was told, of frames those that began while something was done. */
function told() {
  const counts = ({ startTime }) => window.acts.some(({ from, to }) => startTime >= from && startTime <= to);
  return [[...window.interactions.values()], window.frames.filter(counts).map((frame) => frame.duration)];
}

/** Everything is drawn, and the observers were told. */
async function rest(page) {
  await page.evaluate(() => new Promise((done) => {
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));
  }));
}

class Flow {
  #page;
  #done = 0;

  constructor(page) {
    this.#page = page;
  }

  async #watch(act) {
    await rest(this.#page);
    await this.#page.evaluate(() => { window.acts.push({ from: performance.now(), to: Infinity }); });
    await act();
    await rest(this.#page);
    await this.#page.evaluate(() => { window.acts.at(-1).to = performance.now(); });
  }

  async #do(act) {
    this.#done += 1;
    await this.#watch(act);
  }

  /** Finds it, and that nothing lies over it, before the button goes down. */
  async click(locator) {
    const { mouse } = this.#page;
    await locator.hover();
    await this.#do(async () => {
      await mouse.down();
      await mouse.up();
    });
  }

  press = (key) => this.#do(() => this.#page.keyboard.press(key));

  async type(field, text) {
    await field.focus();
    for (const key of text) await this.press(key);
  }

  async search(label) {
    await this.type(this.#page.getByLabel(label), WANTED);
    for (const _ of WANTED) await this.press('Backspace');
  }

  async scroll() {
    await this.#page.mouse.move(700, 500);
    for (let turn = 0; turn < 40; turn += 1) await this.#watch(() => this.#page.mouse.wheel(0, 700));
  }

  async go(place, heading) {
    await this.click(this.#page.getByRole('navigation', { name: 'Pages', exact: true }).getByRole('link', { name: place, exact: true }));
    await this.#page.getByRole('heading', { level: 1, name: heading ?? place }).waitFor();
    await rest(this.#page);
  }

  /** What the browser told of what was done; what it did not was shorter than the least. */
  async print(name) {
    const [interactions, frames] = await this.#page.evaluate(told);
    const shorter = Math.max(0, this.#done - interactions.length);
    const all = [...Array.from({ length: shorter }, () => 0), ...interactions].sort((one, two) => one - two);
    const ms = (value, least) => (value < least ? `< ${least} ms` : `${Math.round(value)} ms`).padStart(10);
    const median = all[Math.floor(all.length / 2)] ?? 0;
    const frame = ms(Math.max(0, ...frames), LEAST_FRAME_MS);
    console.log(`${name.padEnd(34)}${String(this.#done).padStart(6)}${ms(median, LEAST_MS)}${ms(all.at(-1) ?? 0, LEAST_MS)}${frame}`);
  }
}

const inTable = (page) => page.getByRole('table');

const FLOWS = {
  'from page to page': async (page, flow) => {
    for (const place of ['GPUs', 'Partitions', 'VMs', 'Overview']) await flow.go(place);
  },
  'overview: find a server': (_page, flow) => flow.search('Find a server'),
  'overview: scroll': (_page, flow) => flow.scroll(),
  'GPUs: find, order, turn the page': (page, flow) => list(page, flow, 'GPUs', 'Find a GPU', 'Server'),
  'partitions: the same': (page, flow) => list(page, flow, 'Partitions', 'Find a partition', 'State'),
  'partitions: filter by state': async (page, flow) => {
    await page.getByLabel('State', { exact: true }).focus();
    for (let nth = 0; nth < 4; nth += 1) await flow.press('ArrowDown');
  },
  'VMs: the same': (page, flow) => list(page, flow, 'VMs', 'Find a VM', 'Server'),
  'VMs: choose, and choose all': async (page, flow) => {
    for (let nth = 1; nth < 4; nth += 1) await flow.click(inTable(page).getByRole('checkbox').nth(nth));
    await flow.click(page.getByRole('checkbox', { name: /^All/ }));
    await flow.click(page.getByRole('checkbox', { name: /^All/ }));
  },
  'a GPU, from the list and back': async (page, flow) => {
    await flow.go('GPUs');
    for (let nth = 1; nth < 4; nth += 1) {
      await flow.click(inTable(page).getByRole('row').nth(nth).getByRole('link').first());
      await page.getByRole('heading', { level: 1, name: /^GPU A/ }).waitFor();
      await flow.go('GPUs');
    }
  },
  'assign: open, find, choose, leave': async (page, flow) => {
    await flow.go('Overview');
    await flow.click(page.getByRole('button', { name: 'Assign partitions …' }));
    const dialog = page.getByRole('dialog');
    await flow.type(dialog.getByLabel('Find a VM'), WANTED);
    for (let nth = 0; nth < 3; nth += 1) await flow.click(dialog.locator('.choose-line:not(.barred) input').nth(nth));
    await flow.click(dialog.getByRole('button', { name: 'Choose all that can get one' }));
    await flow.press('Escape');
  },
  'partition count: open and choose': async (page, flow) => {
    await flow.click(page.getByRole('button', { name: 'Set partition count …' }));
    const dialog = page.getByRole('dialog');
    await flow.click(dialog.getByRole('checkbox').first());
    await flow.click(dialog.getByRole('checkbox').first());
    await flow.press('Escape');
  },
};

async function list(page, flow, place, label, column) {
  await flow.go(place);
  await flow.search(label);
  for (let nth = 0; nth < 2; nth += 1) await flow.click(inTable(page).getByRole('button', { name: column, exact: true }));
  for (let nth = 0; nth < 2; nth += 1) await flow.click(page.getByRole('button', { name: 'Next', exact: true }));
}

const room = await Room.start('a2-edge');
await startBrowser();
try {
  const { page } = await openConsole(room, { signIn: false });
  await tellOfHall(page);
  await signInWithToken(page, room.token);
  await page.locator('[data-partition]').first().waitFor();
  await page.evaluate(gather);
  console.log(`${'interaction to next paint'.padEnd(34)}${'done'.padStart(6)}${'median'.padStart(10)}${'worst'.padStart(10)}${'frame'.padStart(10)}`);
  for (const [name, does] of Object.entries(FLOWS)) {
    await rest(page);
    await page.evaluate(forget);
    const flow = new Flow(page);
    await does(page, flow);
    await flow.print(name);
  }
} finally {
  await endBrowser();
  await room.end();
}
