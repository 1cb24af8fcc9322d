// A whole file that somebody named: where it is not there, that is said with its path. Design 2, "Comments, size, errors".

import { readFile } from 'node:fs/promises';
import { InputError } from '../../../app/errors.ts';
import { diskError, systemCode } from './disk-error.ts';

/** @throws InputError `not-found`; UnavailableError of the disk. */
export async function readNamedFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw systemCode(error) === 'ENOENT'
      ? new InputError('not-found', `There is no file ${path}.`)
      : diskError(error, `The file ${path}`);
  }
}
