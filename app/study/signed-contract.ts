// The signed contract: its hash is the study's identity, the lead signs it, every institution consents to it. Design 2
// ("Ports"), design 3 ("Bytes": study = SHA-256 of the canonical contract). What is checked here holds for every
// contract there is; whether its numbers are safe is app/review's question.

import { z } from 'zod';
import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalBytes, canonicalJson } from '../encoding/canonical-json.ts';
import { isStrictEd25519Key, signWith, verifySignature } from '../encoding/signature.ts';
import { InputError, RefusalError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import { contractSchema, draftSchema } from './contract.ts';
import type { Contract, ContractDraft } from './contract.ts';
import { hex64 } from './fields.ts';
import { parseDocument, parseSignedDocument } from './parse.ts';

export type SignedContract = {
  readonly contract: Contract;
  /** Ed25519 by the lead over the contract hash, domain "contract": 64 bytes as hex. */
  readonly signature: string;
};

export const signedContractSchema = z.strictObject({ contract: contractSchema, signature: hex64 });

/** SHA-256 of the canonical contract: 32 bytes. */
export function contractHash(cipher: Cipher, contract: Contract): Uint8Array {
  return cipher.sha256(canonicalBytes(contract));
}

/**
 * @throws RefusalError `lead-key-differs` unless the signer is the contract's lead; InputError as `requireDistinctParties`.
 */
export function signContract(cipher: Cipher, signer: Signer, contract: Contract): SignedContract {
  const checked = parseDocument(contractSchema, contract, contractWords);
  requireDistinctParties(checked);
  if (toHex(signer.publicKey) !== checked.lead.identityKey)
    throw new RefusalError(
      'lead-key-differs',
      'The contract names another key as its lead’s; sign it with the lead’s own key store.',
    );
  return { contract: checked, signature: toHex(signWith(signer, 'contract', contractHash(cipher, checked))) };
}

/** The file form: canonical JSON and a newline. */
export function signedContractText(signed: SignedContract): string {
  return `${canonicalJson(signed)}\n`;
}

/**
 * Opens a signed contract from its file's text or from a parsed value.
 * @throws InputError `not-json`, `not-canonical`, `contract-invalid`, `party-repeated`, `key-unusable`;
 * RefusalError `contract-signature`.
 */
export function openSignedContract(cipher: Cipher, source: unknown): SignedContract & { readonly hash: Uint8Array } {
  const { contract, signature } = parseSignedDocument(signedContractSchema, source, contractWords);
  requireDistinctParties(contract);
  const hash = contractHash(cipher, contract);
  const leadKey = fromHex(contract.lead.identityKey, 32);
  if (!verifySignature(cipher, leadKey, 'contract', hash, fromHex(signature, 64)))
    throw new RefusalError(
      'contract-signature',
      'The contract is not signed by the lead it names, or was changed after signing. Ask the lead for it again.',
    );
  return { contract, signature, hash };
}

const contractWords = { code: 'contract-invalid', what: 'study contract' } as const;

/** A draft from its file's text (any JSON layout) or a parsed value. @throws InputError `not-json`, `contract-invalid`. */
export function parseDraft(source: unknown): ContractDraft {
  let value = source;
  if (typeof source === 'string') {
    try {
      value = JSON.parse(source);
    } catch {
      throw new InputError('not-json', 'The study draft is not JSON text.');
    }
  }
  return parseDocument(draftSchema, value, { code: 'contract-invalid', what: 'study draft' });
}

export type FinalKeys = {
  /** Lower-case hex, 32 bytes each. Null: the draft already holds it. */
  readonly leadKey: string | null;
  readonly coordinatorKey: string | null;
  /** By roster name; institutions whose key the draft already holds may be left out. */
  readonly rosterKeys: ReadonlyMap<string, string>;
};

/**
 * The contract of a finished draft. A key that the draft already holds is never replaced by another.
 * @throws InputError `key-missing` or `key-differs` naming whose, `unknown-institution`, or as `signContract`.
 */
export function finaliseDraft(draft: ContractDraft, keys: FinalKeys): Contract {
  const names = new Set(draft.roster.map((entry) => entry.name));
  for (const name of keys.rosterKeys.keys())
    if (!names.has(name))
      throw new InputError('unknown-institution', `A key was given for "${name}", which is not in the draft's roster.`);
  const value = {
    ...draft,
    lead: { ...draft.lead, identityKey: oneKey('the lead', draft.lead.identityKey, keys.leadKey) },
    coordinator: { ...draft.coordinator, key: oneKey('the coordinator', draft.coordinator.key, keys.coordinatorKey) },
    roster: draft.roster.map((entry) => ({
      ...entry,
      identityKey: oneKey(`institution "${entry.name}"`, entry.identityKey, keys.rosterKeys.get(entry.name) ?? null),
    })),
  };
  // Through the canonical text once, so that what is kept is what is hashed (−0 becomes 0).
  const contract = parseDocument(contractSchema, JSON.parse(canonicalJson(value)), contractWords);
  requireDistinctParties(contract);
  return contract;
}

function oneKey(whose: string, held: string | undefined, given: string | null): string {
  if (held === undefined && given === null)
    throw new InputError(
      'key-missing',
      `The key of ${whose} is missing from the draft; write it there or give it when signing.`,
    );
  if (held !== undefined && given !== null && held !== given)
    throw new InputError('key-differs', `The draft already holds another key of ${whose}; remove it there first.`);
  return held ?? given!;
}

/**
 * Every identity key and every roster name once; every key usable (canonical, not of small order).
 * @throws InputError `party-repeated` or `key-unusable`, naming the fields.
 */
export function requireDistinctParties(contract: ContractDraft): void {
  const holders = new Map<string, string>();
  for (const [who, key] of partiesOf(contract)) {
    if (key === undefined) continue;
    if (!isStrictEd25519Key(fromHex(key, 32)))
      throw new InputError('key-unusable', `The key of ${who} is no usable Ed25519 public key.`);
    const other = holders.get(key);
    if (other !== undefined)
      throw new InputError(
        'party-repeated',
        `The key of ${who} is also that of ${other}; each needs a key of its own.`,
      );
    holders.set(key, who);
  }
  const names = new Set<string>();
  contract.roster.forEach(({ name }, index) => {
    if (names.has(name))
      throw new InputError('party-repeated', `The roster, entry ${index + 1}, repeats the name "${name}".`);
    names.add(name);
  });
}

function partiesOf(contract: ContractDraft): (readonly [who: string, key: string | undefined])[] {
  return [
    ['the lead', contract.lead.identityKey],
    ['the coordinator', contract.coordinator.key],
    ...contract.roster.map(
      (entry, index) => [`roster entry ${index + 1} ("${entry.name}")`, entry.identityKey] as const,
    ),
    ...(contract.regions?.relays ?? []).map((relay) => [`the relay of region "${relay.name}"`, relay.key] as const),
  ];
}
