// What the lead hands to an institution before there is a contract: which study, whose key, where the coordinator is.
// Signed by the lead, so that it cannot be altered on the way; whether that key is the lead's, the institution checks by
// its identity code. Design 1, journey 2. FROZEN as consilience/invitation/1.

import { z } from 'zod';
import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalBytes, canonicalJson } from '../encoding/canonical-json.ts';
import { signWith, verifySignature } from '../encoding/signature.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import { hex32, hex64, instant, shortName, text } from './fields.ts';
import { parseDocument, parseSignedDocument } from './parse.ts';

export const invitationSchema = z.strictObject({
  format: z.literal('consilience/invitation/1'),
  study: shortName,
  title: text(200),
  purpose: text(2000),
  /** Of the coordinator. */
  address: text(500),
  lead: z.strictObject({ organisation: text(200), identityKey: hex32 }),
  /** PEM of a private CA, or null for the system's. */
  certificateAuthority: z.string().max(20_000).nullable(),
  created: instant,
  expires: instant,
});

export type Invitation = z.infer<typeof invitationSchema>;
export type SignedInvitation = { readonly invitation: Invitation; readonly signature: string };

const signedInvitationSchema = z.strictObject({ invitation: invitationSchema, signature: hex64 });
const words = { code: 'invitation-invalid', what: 'invitation' } as const;

const digest = (cipher: Cipher, invitation: Invitation): Uint8Array => cipher.sha256(canonicalBytes(invitation));

/** @throws RefusalError `lead-key-differs`; InputError `invitation-invalid`. */
export function signInvitation(cipher: Cipher, signer: Signer, invitation: Invitation): SignedInvitation {
  const checked = parseDocument(invitationSchema, invitation, words);
  if (toHex(signer.publicKey) !== checked.lead.identityKey)
    throw new RefusalError('lead-key-differs', 'The invitation names another key as its lead’s than the signer’s.');
  return { invitation: checked, signature: toHex(signWith(signer, 'invitation', digest(cipher, checked))) };
}

export const signedInvitationText = (signed: SignedInvitation): string => `${canonicalJson(signed)}\n`;

/**
 * @param now milliseconds; null reads an old invitation without asking whether it still holds.
 * @throws InputError `not-json`, `not-canonical`, `invitation-invalid`; RefusalError `invitation-signature`,
 * `invitation-expired`.
 */
export function openInvitation(cipher: Cipher, source: unknown, now: number | null): SignedInvitation {
  const signed = parseSignedDocument(signedInvitationSchema, source, words);
  const { invitation, signature } = signed;
  const key = fromHex(invitation.lead.identityKey, 32);
  if (!verifySignature(cipher, key, 'invitation', digest(cipher, invitation), fromHex(signature, 64)))
    throw new RefusalError(
      'invitation-signature',
      'The invitation is not signed by the lead it names, or was changed on the way. Ask the lead for it again.',
    );
  if (now !== null && now >= Date.parse(invitation.expires))
    throw new RefusalError('invitation-expired', `The invitation ended on ${invitation.expires}; ask for a new one.`);
  return signed;
}
