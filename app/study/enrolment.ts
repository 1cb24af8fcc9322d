// What an institution answers to an invitation: its name, its organisation, its public key and its public number of
// units, signed with that key (which proves that it holds it). The lead puts it into the roster. Design 1, journey 2.
// FROZEN as consilience/enrolment/1.

import { z } from 'zod';
import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalBytes, canonicalJson } from '../encoding/canonical-json.ts';
import { signWith, verifySignature } from '../encoding/signature.ts';
import { InputError, RefusalError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import type { ContractDraft } from './contract.ts';
import { hex32, hex64, instant, shortName, text, wholeFrom } from './fields.ts';
import { parseDocument, parseSignedDocument } from './parse.ts';
import { requireDistinctParties } from './signed-contract.ts';

export const enrolmentSchema = z.strictObject({
  format: z.literal('consilience/enrolment/1'),
  study: shortName,
  name: shortName,
  organisation: text(200),
  identityKey: hex32,
  /** A public, agreed number, never the count of the rows. */
  nominalUnits: wholeFrom(1, 1e9),
  created: instant,
});

export type Enrolment = z.infer<typeof enrolmentSchema>;
export type SignedEnrolment = { readonly enrolment: Enrolment; readonly signature: string };

const signedEnrolmentSchema = z.strictObject({ enrolment: enrolmentSchema, signature: hex64 });
const words = { code: 'enrolment-invalid', what: 'enrolment' } as const;

const digest = (cipher: Cipher, enrolment: Enrolment): Uint8Array => cipher.sha256(canonicalBytes(enrolment));

/** @throws RefusalError `enrolment-key-differs`; InputError `enrolment-invalid`. */
export function signEnrolment(cipher: Cipher, signer: Signer, enrolment: Enrolment): SignedEnrolment {
  const checked = parseDocument(enrolmentSchema, enrolment, words);
  if (toHex(signer.publicKey) !== checked.identityKey)
    throw new RefusalError('enrolment-key-differs', 'The enrolment names another key than the one that signs it.');
  return { enrolment: checked, signature: toHex(signWith(signer, 'enrolment', digest(cipher, checked))) };
}

export const signedEnrolmentText = (signed: SignedEnrolment): string => `${canonicalJson(signed)}\n`;

/**
 * @throws InputError `not-json`, `not-canonical`, `enrolment-invalid`; RefusalError `enrolment-signature`.
 */
export function openEnrolment(cipher: Cipher, source: unknown): SignedEnrolment {
  const signed = parseSignedDocument(signedEnrolmentSchema, source, words);
  const { enrolment, signature } = signed;
  const key = fromHex(enrolment.identityKey, 32);
  if (!verifySignature(cipher, key, 'enrolment', digest(cipher, enrolment), fromHex(signature, 64)))
    throw new RefusalError(
      'enrolment-signature',
      'The enrolment is not signed with the key it names, or was changed on the way. Ask the institution for it again.',
    );
  return signed;
}

/**
 * The draft with the institution in its roster: a further entry, or the keyless entry of that name filled in.
 * @throws RefusalError `enrolment-other-study`; InputError `institution-enrolled`, `party-repeated`, `key-unusable`,
 * `roster-full`.
 */
export function addToRoster(draft: ContractDraft, { enrolment }: SignedEnrolment): ContractDraft {
  if (enrolment.study !== draft.name)
    throw new RefusalError(
      'enrolment-other-study',
      `The enrolment is for the study "${enrolment.study}", this draft is "${draft.name}".`,
    );
  const { name, organisation, identityKey, nominalUnits } = enrolment;
  const entry = { name, organisation, identityKey, nominalUnits };
  const at = draft.roster.findIndex((one) => one.name === name);
  if (at >= 0 && draft.roster[at]!.identityKey !== undefined)
    throw new InputError(
      'institution-enrolled',
      `"${name}" is in the roster already. To replace its key, remove its entry from the draft first.`,
    );
  if (at < 0 && draft.roster.length >= 500)
    throw new InputError('roster-full', 'The roster holds 500 institutions already, the most there can be.');
  const roster = at < 0 ? [...draft.roster, entry] : draft.roster.map((one, index) => (index === at ? entry : one));
  const grown = { ...draft, roster };
  requireDistinctParties(grown);
  return grown;
}
