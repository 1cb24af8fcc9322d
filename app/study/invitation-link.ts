// An invitation as a link that a mail can hold: consilience://invitation/ and the signed text in base64url (RFC 4648 section
// 5, no padding). The link adds no trust: its text is opened like any other invitation (invitation.ts). Design 1, journey 2.

import { fromBase64, toBase64 } from '../encoding/base64.ts';
import { fromUtf8, utf8 } from '../encoding/bytes.ts';
import { InputError } from '../errors.ts';

export const invitationLinkScheme = 'consilience';
const prefix = `${invitationLinkScheme}://invitation/`;
/** Bytes of an invitation's text, at most. */
export const mostInvitationLength = 100_000;

/** @param text as signedInvitationText gives it. */
export function invitationLink(text: string): string {
  const base64 = toBase64(utf8(text)).replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_');
  return `${prefix}${base64}`;
}

/**
 * @returns the text, which nobody has checked yet.
 * @throws InputError `link-invalid` where it is no such link, or holds more than an invitation may.
 */
export function invitationOfLink(link: string): string {
  const given = link.startsWith(prefix) ? link.slice(prefix.length).replace(/\/$/, '') : '';
  const plain = /^[A-Za-z0-9_-]+$/.test(given) && given.length <= Math.ceil((mostInvitationLength * 4) / 3);
  const base64 = given.replaceAll('-', '+').replaceAll('_', '/');
  const bytes = plain ? fromBase64(base64.padEnd(Math.ceil(base64.length / 4) * 4, '=')) : null;
  try {
    if (bytes !== null) return fromUtf8(bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  throw new InputError(
    'link-invalid',
    'The link holds no invitation, or was cut on the way. Ask the lead for the file, or paste the invitation’s text.',
  );
}
