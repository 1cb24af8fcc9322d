// Folders and table files of this machine, so that a steward chooses a file instead of typing its path. Names, sizes and
// times only; nothing is opened. What the program's account may not read is left out. Design 1, "Data".

import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, extname, join, resolve } from 'node:path';
import type { OutputOf } from '../../../app/bridge.ts';
import { diskError } from '../disk/disk-error.ts';

const tableKinds: ReadonlySet<string> = new Set([
  '.csv',
  '.tsv',
  '.jsonl',
  '.ndjson',
  '.txt',
  '.data',
  '.xlsx',
  '.parquet',
  '.pq',
]);
const mostNames = 500;

/** @param asked null: the home folder of this account. @throws UnavailableError where the folder cannot be read. */
export async function listFiles(asked: string | null): Promise<OutputOf<'file.list'>> {
  const folder = resolve(asked ?? homedir());
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw diskError(error, `The folder ${folder}`);
  });
  const shown = entries.filter(({ name }) => !name.startsWith('.')).sort((a, b) => a.name.localeCompare(b.name));
  const folders: string[] = [];
  const files: OutputOf<'file.list'>['files'] = [];
  let more = 0;
  for (const entry of shown) {
    const found = await stat(join(folder, entry.name)).catch(() => null);
    if (found === null) continue;
    const table = found.isFile() && tableKinds.has(extname(entry.name).toLowerCase());
    if (!found.isDirectory() && !table) continue;
    if (folders.length + files.length >= mostNames) more++;
    else if (table) files.push({ name: entry.name, size: found.size, modified: found.mtime.toISOString() });
    else folders.push(entry.name);
  }
  const parent = dirname(folder);
  return { folder, parent: parent === folder ? null : parent, folders, files, more };
}
