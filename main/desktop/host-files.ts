// The host's files beside the asar are started only when they are exactly those that were packaged: the pins lie inside the
// asar, and a file too many counts like an altered one. Design 8, "Packaging"; issue 6, item 4.

import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { RefusalError } from '../../app/errors.ts';
import { sha256OfFile } from '../host/disk/file-hash.ts';

export const hostFilesName = 'host-files.json';
/** The bundled Node's file name. */
export const nodeName = process.platform === 'win32' ? 'node.exe' : 'node';

const pinsSchema = z.strictObject({ files: z.record(z.string().min(1), z.string().regex(/^[0-9a-f]{64}$/)) });
export type Pins = z.infer<typeof pinsSchema>['files'];

/** @param file inside the asar. */
export const readPins = (file: string): Pins => pinsSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).files;

/** @throws RefusalError `host-altered` with the first file that is not as packaged. */
export async function requirePinned(folder: string, pins: Pins): Promise<void> {
  const found = await filesIn(folder, '').catch((): Found => new Map());
  for (const file of found.keys()) if (!Object.hasOwn(pins, file)) throw altered(file, 'was added');
  for (const [file, wanted] of Object.entries(pins)) {
    const plain = found.get(file);
    if (plain === undefined) throw altered(file, 'is missing');
    // Behind a link would lie bytes that others may exchange.
    if (!plain || (await sha256OfFile(join(folder, file))) !== wanted) throw altered(file, 'was changed');
  }
}

const altered = (file: string, how: string): RefusalError =>
  new RefusalError(
    'host-altered',
    `The installed program is not as it was packaged: ${file} ${how}. It is not started. Nothing was lost; install the app again.`,
  );

/** Whether each is a plain file, by its path with "/". */
type Found = Map<string, boolean>;

async function filesIn(folder: string, below: string): Promise<Found> {
  const files: Found = new Map();
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) for (const [file, plain] of await filesIn(folder, path)) files.set(file, plain);
    else files.set(path, entry.isFile());
  }
  return files;
}
