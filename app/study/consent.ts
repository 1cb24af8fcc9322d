// An institution's consent (never a patient's), as an enforced object: bound to the hash of the contract, one dataset,
// a purpose, an ε ceiling and an expiry; withdrawable. Checked on the machine that holds the data, before every round.
// Design 4, "Budgets and consent". FROZEN as consilience/consent/1 and consilience/withdrawal/1.

import { z } from 'zod';
import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalBytes, canonicalJson } from '../encoding/canonical-json.ts';
import { signWith, verifySignature } from '../encoding/signature.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import type { Contract } from './contract.ts';
import { hex32, hex64, instant, positive, shortName, text, wholeFrom } from './fields.ts';
import { parseDocument, parseSignedDocument } from './parse.ts';
import { contractHash } from './signed-contract.ts';

export const institutionSchema = z.strictObject({
  /** Position in the roster. */
  index: wholeFrom(0, 499),
  name: shortName,
});

export const consentSchema = z.strictObject({
  format: z.literal('consilience/consent/1'),
  /** SHA-256 of the canonical contract. */
  contract: hex32,
  institution: institutionSchema,
  /** `lineage` names the chain of versions whose budget is charged; null where the dataset has no earlier version. */
  dataset: z.strictObject({ name: text(200), lineage: hex32.nullable() }),
  purpose: text(2000),
  lawfulBasis: text(1000),
  references: z.strictObject({ ethics: text(500), dpia: text(500) }),
  /** Most that this study may cost; null only where the contract adds no noise, so that nothing bounds it. */
  epsilonCeiling: positive.nullable(),
  delta: z.number().gt(0).lt(1),
  unit: z.enum(['record', 'person', 'institution']),
  adjacency: z.enum(['add-or-remove', 'zero-out']),
  institutionsPerPerson: wholeFrom(1, 500),
  /** Repeats the contract: a consent to "none" has to say "none". */
  noise: z.enum(['discrete-gaussian', 'none']),
  given: instant,
  expires: instant,
});

export const withdrawalSchema = z.strictObject({
  format: z.literal('consilience/withdrawal/1'),
  contract: hex32,
  institution: institutionSchema,
  dataset: text(200),
  reason: text(2000).nullable(),
  given: instant,
});

export type Consent = z.infer<typeof consentSchema>;
export type Withdrawal = z.infer<typeof withdrawalSchema>;
export type SignedConsent = { readonly consent: Consent; readonly signature: string };
export type SignedWithdrawal = { readonly withdrawal: Withdrawal; readonly signature: string };

export const signedConsentSchema = z.strictObject({ consent: consentSchema, signature: hex64 });
export const signedWithdrawalSchema = z.strictObject({ withdrawal: withdrawalSchema, signature: hex64 });

const consentWords = { code: 'consent-invalid', what: 'consent' } as const;
const withdrawalWords = { code: 'withdrawal-invalid', what: 'withdrawal' } as const;

/** Clocks of one machine may step back a little between giving a consent and the next round. */
const clockSlackMs = 10 * 60_000;

export type ConsentChoices = {
  readonly index: number;
  readonly dataset: Consent['dataset'];
  /** null: the contract adds no noise and the institution accepts that nothing bounds ε. */
  readonly epsilonCeiling: number | null;
  /** "none" must be said by the person, not copied from the contract. */
  readonly noise: Consent['noise'];
  readonly given: string;
  readonly expires: string;
};

/**
 * The consent of roster position `index`, with everything that only repeats the contract filled in.
 * @throws RangeError for an index outside the roster; InputError `consent-invalid`.
 */
export function consentTo(cipher: Cipher, contract: Contract, choices: ConsentChoices): Consent {
  const entry = contract.roster[choices.index];
  if (entry === undefined) throw new RangeError('index must be a position in the roster');
  const consent = {
    format: 'consilience/consent/1',
    contract: toHex(contractHash(cipher, contract)),
    institution: { index: choices.index, name: entry.name },
    dataset: choices.dataset,
    purpose: contract.purpose,
    lawfulBasis: contract.lawfulBasis,
    references: contract.references,
    epsilonCeiling: choices.epsilonCeiling,
    delta: contract.privacy.delta,
    unit: contract.training.unit,
    adjacency: adjacencyOf(contract),
    institutionsPerPerson: contract.training.institutionsPerPerson,
    noise: choices.noise,
    given: choices.given,
    expires: choices.expires,
  };
  return parseDocument(consentSchema, consent, consentWords);
}

/** Institutions under zero-out, records and persons under add-or-remove (design 4, "Units"). */
export function adjacencyOf(contract: { readonly training: Pick<Contract['training'], 'unit'> }): Consent['adjacency'] {
  return contract.training.unit === 'institution' ? 'zero-out' : 'add-or-remove';
}

/** What the signature of a consent, a withdrawal or a device replacement covers. */
export const documentDigest = (cipher: Cipher, document: object): Uint8Array => cipher.sha256(canonicalBytes(document));

export function signConsent(cipher: Cipher, signer: Signer, consent: Consent): SignedConsent {
  const checked = parseDocument(consentSchema, consent, consentWords);
  return { consent: checked, signature: toHex(signWith(signer, 'consent', documentDigest(cipher, checked))) };
}

export function signWithdrawal(cipher: Cipher, signer: Signer, withdrawal: Withdrawal): SignedWithdrawal {
  const checked = parseDocument(withdrawalSchema, withdrawal, withdrawalWords);
  return { withdrawal: checked, signature: toHex(signWith(signer, 'withdrawal', documentDigest(cipher, checked))) };
}

export const signedConsentText = (signed: SignedConsent): string => `${canonicalJson(signed)}\n`;
export const signedWithdrawalText = (signed: SignedWithdrawal): string => `${canonicalJson(signed)}\n`;

/**
 * @throws InputError `not-json`, `not-canonical`, `consent-invalid`; RefusalError `consent-contract-differs`,
 * `consent-institution-differs`, `consent-signature`.
 */
export function openSignedConsent(cipher: Cipher, contract: Contract, source: unknown): SignedConsent {
  const signed = parseSignedDocument(signedConsentSchema, source, consentWords);
  requireBound(cipher, contract, 'consent', signed.consent, signed.signature);
  return signed;
}

/** @throws as `openSignedConsent`, with `withdrawal-…` codes. */
export function openSignedWithdrawal(cipher: Cipher, contract: Contract, source: unknown): SignedWithdrawal {
  const signed = parseSignedDocument(signedWithdrawalSchema, source, withdrawalWords);
  requireBound(cipher, contract, 'withdrawal', signed.withdrawal, signed.signature);
  return signed;
}

/**
 * That a document of one institution belongs to this contract and is signed by that institution.
 * @throws RefusalError `…-contract-differs`, `…-institution-differs`, `…-signature`, the domain in front.
 */
export function requireBound(
  cipher: Cipher,
  contract: Contract,
  domain: 'consent' | 'withdrawal' | 'device-replacement',
  document: { readonly contract: string; readonly institution: Consent['institution'] },
  signature: string,
): void {
  if (document.contract !== toHex(contractHash(cipher, contract)))
    throw new RefusalError(
      `${domain}-contract-differs`,
      `The ${domain} is about another contract: changed terms need a new consent.`,
    );
  const entry = contract.roster[document.institution.index];
  if (entry === undefined || entry.name !== document.institution.name)
    throw new RefusalError(
      `${domain}-institution-differs`,
      `The ${domain} names an institution and a roster position that do not belong together.`,
    );
  const key = fromHex(entry.identityKey, 32);
  if (!verifySignature(cipher, key, domain, documentDigest(cipher, document), fromHex(signature, 64)))
    throw new RefusalError(
      `${domain}-signature`,
      `The ${domain} is not signed by "${entry.name}", or was changed after signing.`,
    );
}

/**
 * Whether this consent allows a round of this contract at `now` (milliseconds). Says the first reason why not.
 * @throws RefusalError `consent-…` or `contract-expired`; InputError as `openSignedConsent`.
 */
export function checkConsent(cipher: Cipher, contract: Contract, signed: SignedConsent, now: number): Consent {
  const { consent } = openSignedConsent(cipher, contract, signed);
  const refuse = (code: string, sentence: string): never => {
    throw new RefusalError(code, sentence);
  };
  if (consent.purpose !== contract.purpose)
    refuse('consent-purpose-differs', 'The consent states another purpose than the contract.');
  if (consent.lawfulBasis !== contract.lawfulBasis)
    refuse('consent-lawful-basis-differs', 'The consent states another lawful basis than the contract.');
  if (canonicalJson(consent.references) !== canonicalJson(contract.references))
    refuse('consent-references-differ', 'The consent names another ethics or DPIA reference than the contract.');
  if (
    consent.unit !== contract.training.unit ||
    consent.adjacency !== adjacencyOf(contract) ||
    consent.institutionsPerPerson !== contract.training.institutionsPerPerson
  )
    refuse('consent-unit-differs', 'The consent protects another unit than the contract.');
  if (consent.delta !== contract.privacy.delta)
    refuse('consent-delta-differs', 'The consent’s ε ceiling is meant at another δ than the contract’s.');
  if (consent.noise !== contract.privacy.noise)
    refuse(
      'consent-noise-not-repeated',
      contract.privacy.noise === 'none'
        ? 'The contract adds no noise, so no ε bounds what is learned, and the consent does not repeat that.'
        : 'The consent speaks of a contract without noise, but this one adds noise.',
    );
  if ((consent.epsilonCeiling === null) !== (contract.privacy.noise === 'none'))
    refuse(
      'consent-ceiling-missing',
      'An ε ceiling may be left out only where the contract adds no noise, and must be left out there.',
    );
  if (
    consent.epsilonCeiling !== null &&
    (contract.privacy.epsilon === null || consent.epsilonCeiling < contract.privacy.epsilon)
  )
    refuse(
      'consent-ceiling-too-low',
      'The consent’s ε ceiling is below the contract’s worst case, so the study could not be finished under it.',
    );
  const given = Date.parse(consent.given);
  const expires = Date.parse(consent.expires);
  if (expires <= given) refuse('consent-expired', 'The consent ends before it was given.');
  if (now + clockSlackMs < given)
    refuse('consent-not-yet', 'The consent is dated in the future; check this machine’s clock.');
  if (now >= expires) refuse('consent-expired', `The consent ended on ${consent.expires}.`);
  if (now >= Date.parse(contract.expires)) refuse('contract-expired', `The study ended on ${contract.expires}.`);
  return consent;
}
