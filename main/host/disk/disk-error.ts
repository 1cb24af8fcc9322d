// Turns what the operating system says of a file into a sentence for the person. Only errors with a system code pass
// through here; anything else is a defect and stays as it is.

import { UnavailableError } from '../../../app/errors.ts';

const reasons: { readonly [code: string]: string } = {
  ENOSPC: 'the disk is full. Free some space and try again',
  EDQUOT: 'the disk quota is used up. Ask for more or free some space',
  EACCES: 'this account may not use it. Mend its permissions',
  EPERM: 'this account may not use it. Mend its permissions',
  EROFS: 'the disk is read-only. Choose another place',
  EIO: 'the disk reported a fault. Have IT look at it before you go on',
  ENOENT: 'it is not there. Check its path',
  EISDIR: 'it is a folder. Name a file in it',
  ENOTDIR: 'a part of its path is a file, not a folder. Check its path',
  EMFILE: 'too many files are open. Close some programs and try again',
};

export function systemCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** @returns UnavailableError `disk-full` or `disk-failed`; the error itself when the system did not raise it. */
export function diskError(error: unknown, what: string): Error {
  const code = systemCode(error);
  if (code === null || !/^E[A-Z0-9]+$/.test(code)) return error instanceof Error ? error : new Error(String(error));
  const reason = reasons[code] ?? `the system said ${code}`;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new UnavailableError(full ? 'disk-full' : 'disk-failed', `${what} could not be written or read: ${reason}.`, {
    cause: error,
  });
}
