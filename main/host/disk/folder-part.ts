// One file of a folder that a person names (an exported model, a run), which may be no such folder at all.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../../app/errors.ts';
import { diskError, systemCode } from './disk-error.ts';

/**
 * @param missing code and words for a folder without that file.
 * @throws InputError of that code; UnavailableError `disk-failed`.
 */
export async function readFolderPart(
  folder: string,
  name: string,
  missing: { readonly code: string; readonly noSuch: string; readonly advice: string },
): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(join(folder, name)));
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR')
      throw new InputError(missing.code, `${folder} is no ${missing.noSuch}: it has no ${name}. ${missing.advice}`);
    throw diskError(error, `The file ${join(folder, name)}`);
  }
}
