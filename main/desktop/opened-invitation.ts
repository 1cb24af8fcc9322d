// An invitation that a person opened outside the window: consilience://invitation/… in a mail, or a file. Only its text is
// taken, within bounds, and handed to the window; the host says what it is worth. Design 1, journey 2.

import { open } from 'node:fs/promises';
import { InputError } from '../../app/errors.ts';
import { invitationOfLink, mostInvitationLength } from '../../app/study/invitation-link.ts';
import { diskError } from '../host/disk/disk-error.ts';

export type Opened = { readonly link: string } | { readonly file: string };

export const invitationExtension = '.consilience';

/** @throws InputError `link-invalid`, `file-too-large`; UnavailableError. */
export async function openedText(opened: Opened): Promise<string> {
  return 'link' in opened ? invitationOfLink(opened.link) : textOfFile(opened.file);
}

async function textOfFile(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const found = await file.stat();
      if (!found.isFile() || found.size > mostInvitationLength)
        throw new InputError('file-too-large', `${path} is not an invitation: it is too large or no file.`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw diskError(error, `The file ${path}`);
  }
}
