// The built window for tests: dist/renderer, built when it is absent or older than a source of the window.

import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const built = path.join(root, 'dist', 'renderer');

/** @returns the folder. */
export function builtWindow(): string {
  const page = statSync(path.join(built, 'index.html'), { throwIfNoEntry: false });
  if (page === undefined || newestSource() > page.mtimeMs)
    execFileSync(process.execPath, [path.join(root, 'node_modules/vite/bin/vite.js'), 'build', 'renderer'], {
      cwd: root,
      stdio: 'pipe',
    });
  return built;
}

function newestSource(): number {
  let newest = 0;
  for (const name of readdirSync(path.join(root, 'renderer'), { recursive: true, encoding: 'utf8' })) {
    const found = statSync(path.join(root, 'renderer', name));
    if (found.isFile()) newest = Math.max(newest, found.mtimeMs);
  }
  return newest;
}
