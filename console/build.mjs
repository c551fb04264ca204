// Bundles src/ into dist/, byte for byte the same on every machine: no date, no path, no source map. What
// has a hash of its content in its name may be kept by browsers for ever; index.html, which names it, not.
//
//   node build.mjs [FOLDER]      FOLDER instead of dist/

import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] ?? path.join(here, 'dist'));

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

const script = await bundle('src/main.tsx', { format: 'esm', jsx: 'automatic', jsxImportSource: 'preact' });
const style = await bundle('src/style/main.css');
const icon = await readFile(path.join(here, 'src/icon.svg'));
const names = {
  script: hashed('console', 'js', script),
  style: hashed('console', 'css', style),
  icon: hashed('icon', 'svg', icon),
};
const page = (await readFile(path.join(here, 'src/index.html'), 'utf8')).replace(
  /\{\{(\w+)\}\}/g,
  (_, name) => names[name],
);

await rm(out, { recursive: true, force: true });
await mkdir(path.join(out, 'assets'), { recursive: true });
await writeFile(path.join(out, 'index.html'), page);
await writeFile(path.join(out, names.script), script);
await writeFile(path.join(out, names.style), style);
await writeFile(path.join(out, names.icon), icon);
