// A signed statement that from a round on another key signs the coordinator's lists: by the lead, by the new key, and by
// the old one where it is not lost. Whoever takes part holds it against the contract's lead and accepts the new key from
// that round only; without the lead's signature nobody does. FROZEN as consilience/coordinator-key/1.

import { z } from 'zod';
import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalBytes, canonicalJson } from '../encoding/canonical-json.ts';
import { isStrictEd25519Key, signWith, verifySignature } from '../encoding/signature.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import type { Contract } from './contract.ts';
import { hex32, hex64, instant, wholeFrom } from './fields.ts';
import { parseDocument, parseSignedDocument } from './parse.ts';

export const keyChangeSchema = z.strictObject({
  format: z.literal('consilience/coordinator-key/1'),
  /** SHA-256 of the canonical contract. */
  contract: hex32,
  /** First round whose lists the new key signs; greater than in every earlier change. */
  fromRound: wholeFrom(1, 0xffff_ffff),
  /** The key in force before. */
  old: hex32,
  next: hex32,
  given: instant,
});

export type KeyChange = z.infer<typeof keyChangeSchema>;

export const signedKeyChangeSchema = z.strictObject({
  change: keyChangeSchema,
  lead: hex64,
  /** Null until the operator of the new key has signed. */
  next: hex64.nullable(),
  /** Null where the old key is lost, or has not signed yet. */
  old: hex64.nullable(),
});

export type SignedKeyChange = z.infer<typeof signedKeyChangeSchema>;

const words = { code: 'coordinator-key-invalid', what: 'change of the coordinator’s key' } as const;

/** The lead's part. @throws RefusalError `lead-key-differs`. */
export function signKeyChange(contract: Contract, lead: Signer, change: KeyChange): SignedKeyChange {
  const checked = parseDocument(keyChangeSchema, change, words);
  if (toHex(lead.publicKey) !== contract.lead.identityKey)
    throw new RefusalError(
      'lead-key-differs',
      'The study terms name another lead; only its key changes the coordinator’s.',
    );
  return { change: checked, lead: signed(lead, checked), next: null, old: null };
}

/** The new key's part, and the old key's. @throws RefusalError `coordinator-key-differs` for any other key. */
export function confirmKeyChange(document: SignedKeyChange, signer: Signer): SignedKeyChange {
  const key = toHex(signer.publicKey);
  const { change } = document;
  if (key === change.next) return { ...document, next: signed(signer, change) };
  if (key === change.old) return { ...document, old: signed(signer, change) };
  throw new RefusalError(
    'coordinator-key-differs',
    'These keys are neither the old nor the new ones of the statement.',
  );
}

const signed = (signer: Signer, change: KeyChange): string =>
  toHex(signWith(signer, 'coordinator-key', canonicalBytes(change)));

export const signedKeyChangeText = (document: SignedKeyChange): string => `${canonicalJson(document)}\n`;

/** @throws InputError `not-json`, `not-canonical`, `coordinator-key-invalid`. */
export const openKeyChange = (source: unknown): SignedKeyChange =>
  parseSignedDocument(signedKeyChangeSchema, source, words);

/**
 * Holds a change against the contract and the changes before it.
 * @param study SHA-256 of the contract, hex
 * @throws RefusalError `coordinator-key-other-study`, `coordinator-key-out-of-order`, `coordinator-key-unusable`,
 * `coordinator-key-not-by-lead`, `coordinator-key-unconfirmed`, `coordinator-key-old-signature`.
 */
export function checkKeyChange(
  cipher: Cipher,
  contract: Contract,
  study: string,
  before: readonly KeyChange[],
  { change, lead, next, old }: SignedKeyChange,
): KeyChange {
  const inForce = before.at(-1)?.next ?? contract.coordinator.key;
  if (change.contract !== study)
    throw new RefusalError(
      'coordinator-key-other-study',
      'The change of the coordinator’s key belongs to another study.',
    );
  if (change.old !== inForce || change.fromRound <= (before.at(-1)?.fromRound ?? 0))
    throw new RefusalError(
      'coordinator-key-out-of-order',
      'The change of the coordinator’s key does not follow the one before it. Ask the lead.',
    );
  const parties = [
    contract.lead.identityKey,
    contract.coordinator.key,
    ...contract.roster.map((one) => one.identityKey),
  ];
  const reused = [...parties, ...before.map((one) => one.next)].includes(change.next);
  if (reused || !isStrictEd25519Key(fromHex(change.next, 32)))
    throw new RefusalError(
      'coordinator-key-unusable',
      'The new key of the coordinator is in use elsewhere or is no key.',
    );
  const valid = (key: string, signature: string | null): boolean =>
    signature !== null &&
    verifySignature(cipher, fromHex(key, 32), 'coordinator-key', canonicalBytes(change), fromHex(signature, 64));
  if (!valid(contract.lead.identityKey, lead))
    throw new RefusalError(
      'coordinator-key-not-by-lead',
      'The lead did not sign this change of the coordinator’s key; nothing was accepted.',
    );
  if (!valid(change.next, next))
    throw new RefusalError(
      'coordinator-key-unconfirmed',
      'The new key of the coordinator did not sign its own change.',
    );
  if (old !== null && !valid(change.old, old))
    throw new RefusalError('coordinator-key-old-signature', 'The old key’s signature on the change is not valid.');
  return change;
}
