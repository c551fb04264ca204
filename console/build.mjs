// Bundles src/ into dist/, which divvyd serves, and into dist-cockpit/, a page of Cockpit; byte for byte the
// same on every machine: no date, no path, no source map. In dist/, what has a hash of its content in its
// name may be kept by browsers for ever; index.html, which names it, not. Cockpit looks after that by itself,
// and files that keep their names are replaced when a newer Divvy is installed.
//
//   node build.mjs [FOLDER]      both into FOLDER instead of here

import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] ?? here);

const options = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  charset: 'utf8',
  legalComments: 'none',
  target: ['chrome111', 'firefox115', 'safari16.4'],
  write: false,
};

async function bundle(entry, more = {}) {
  const { outputFiles } = await build({ ...options, ...more, entryPoints: [entry], outfile: 'out' });
  return outputFiles[0].contents;
}

function hashed(name, extension, bytes) {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  return `assets/${name}-${hash}.${extension}`;
}

const read = (file) => readFile(path.join(here, file), 'utf8');
const script = (entry) => bundle(entry, { format: 'esm', jsx: 'automatic', jsxImportSource: 'preact' });

/** A text with what stands for each {{name}} in it. */
const filled = (text, values) => text.replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]);

async function write(folder, files) {
  await rm(folder, { recursive: true, force: true });
  for (const [name, content] of files) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

const style = await bundle('src/style/main.css');

async function served() {
  const code = await script('src/main.tsx');
  const icon = await read('src/icon.svg');
  const names = {
    script: hashed('console', 'js', code),
    style: hashed('console', 'css', style),
    icon: hashed('icon', 'svg', icon),
  };
  const page = filled(await read('src/index.html'), names);
  return [['index.html', page], [names.script, code], [names.style, style], [names.icon, icon]];
}

async function inCockpit() {
  const { version } = JSON.parse(await read('package.json'));
  const manifest = filled(await read('src/cockpit/manifest.json'), { version });
  const page = await read('src/cockpit/index.html');
  const code = await script('src/cockpit/main.tsx');
  return [['index.html', page], ['manifest.json', manifest], ['divvy.js', code], ['divvy.css', style]];
}

await write(path.join(out, 'dist'), await served());
await write(path.join(out, 'dist-cockpit'), await inCockpit());
