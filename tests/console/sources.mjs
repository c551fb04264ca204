// Modules of the console for a test without a browser.

import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const sources = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../console/src');
const { build } = createRequire(path.join(sources, 'main.tsx'))('esbuild');

/** Each module by its path in `console/src`. What one changes of itself, another does not see. */
export async function loadSources(...files) {
  const folder = await mkdtemp(path.join(tmpdir(), 'dvc-logic-'));
  try {
    const load = async (file) => {
      const outfile = path.join(folder, `${file.replaceAll('/', '-')}.mjs`);
      await build({ entryPoints: [path.join(sources, file)], bundle: true, format: 'esm', outfile, define: { 'navigator.languages': '["en"]' }, logLevel: 'error' });
      return import(pathToFileURL(outfile));
    };
    return await Promise.all(files.map(load));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
