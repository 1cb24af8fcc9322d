// A signed statement that an institution goes on with another machine or an older folder: it names the highest counter that
// anyone may hold of it and goes on above that, and the rounds that it charged at their worst case because their Ready is
// out there. The identity key stays the same: a lost key is a new enrolment and a new contract. Design 4, "Rollback".
// FROZEN as consilience/device-replacement/1.

import { z } from 'zod';
import { toHex } from '../encoding/bytes.ts';
import { canonicalJson } from '../encoding/canonical-json.ts';
import { signWith } from '../encoding/signature.ts';
import type { Cipher, Signer } from '../ports.ts';
import { documentDigest, institutionSchema, requireBound } from './consent.ts';
import type { Contract } from './contract.ts';
import { hex32, hex64, instant, text, wholeFrom } from './fields.ts';
import { parseDocument, parseSignedDocument } from './parse.ts';

const round = wholeFrom(1, 0xffff_ffff);

export const deviceReplacementSchema = z.strictObject({
  format: z.literal('consilience/device-replacement/1'),
  /** SHA-256 of the canonical contract. */
  contract: hex32,
  institution: institutionSchema,
  /** Takes a number of the Readies' count for itself: above every one that was signed before it. */
  counter: wholeFrom(1, 0xffff_ffff),
  /** The keyed head (app/ledger/head.ts) of the ledger entry that records this replacement. */
  head: hex32,
  /** No Ready will be signed again for this round or an earlier one; 0 where none was ever signed. */
  round: wholeFrom(0, 0xffff_ffff),
  /** Rounds that were charged at their worst case by this replacement, ascending. */
  charged: z.array(round).max(10_000),
  reason: text(2000).nullable(),
  given: instant,
});

export type DeviceReplacement = z.infer<typeof deviceReplacementSchema>;
export type SignedDeviceReplacement = { readonly replacement: DeviceReplacement; readonly signature: string };

export const signedReplacementSchema = z.strictObject({ replacement: deviceReplacementSchema, signature: hex64 });
const words = { code: 'device-replacement-invalid', what: 'device replacement' } as const;

export function signDeviceReplacement(
  cipher: Cipher,
  signer: Signer,
  replacement: DeviceReplacement,
): SignedDeviceReplacement {
  const checked = parseDocument(deviceReplacementSchema, replacement, words);
  const signature = signWith(signer, 'device-replacement', documentDigest(cipher, checked));
  return { replacement: checked, signature: toHex(signature) };
}

export const signedDeviceReplacementText = (signed: SignedDeviceReplacement): string => `${canonicalJson(signed)}\n`;

/**
 * @throws InputError `not-json`, `not-canonical`, `device-replacement-invalid`; RefusalError
 * `device-replacement-contract-differs`, `device-replacement-institution-differs`, `device-replacement-signature`.
 */
export function openSignedDeviceReplacement(
  cipher: Cipher,
  contract: Contract,
  source: unknown,
): SignedDeviceReplacement {
  const signed = parseSignedDocument(signedReplacementSchema, source, words);
  requireBound(cipher, contract, 'device-replacement', signed.replacement, signed.signature);
  return signed;
}
