// Consent and withdrawal: bound to contract, institution, purpose, ceiling and time; each refusal under its code.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConsilienceError } from '../../../app/errors.ts';
import {
  checkConsent,
  openSignedConsent,
  openSignedWithdrawal,
  signConsent,
  signedConsentText,
} from '../../../app/study/consent.ts';
import type { Consent } from '../../../app/study/consent.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleConsent, sampleWithdrawal } from './documents.ts';
import { refused } from './refused.ts';
import { changed, sampleContract, sampleNow, sampleSigner } from './sample-study.ts';

const check = (contract: Contract, changes: Partial<Consent> = {}, now = sampleNow): Consent =>
  checkConsent(nodeCipher, contract, sampleConsent(contract, changes), now);

const withoutNoise = changed(sampleContract(), {
  privacy: { noise: 'none', noiseMultiplier: null, epsilon: null },
  sealing: { noiseVariance: 0, openableBatches: [[0, 1, 2, 3, 4, 5]] },
});

test('a consent to this very contract allows a round', () => {
  assert.equal(check(sampleContract()).dataset.name, 'discharges-2026');
  assert.equal(check(withoutNoise).epsilonCeiling, null);
});

test('a consent is refused under a code of its own for every way in which it does not cover the contract', () => {
  const contract = sampleContract();
  const rows: readonly (readonly [string, Partial<Consent>])[] = [
    ['consent-contract-differs', { contract: '00'.repeat(32) }],
    ['consent-institution-differs', { institution: { index: 2, name: 'hospital-1' } }],
    ['consent-institution-differs', { institution: { index: 7, name: 'hospital-8' } }],
    ['consent-signature', { institution: { index: 1, name: 'hospital-2' } }],
    ['consent-purpose-differs', { purpose: 'To sell.' }],
    ['consent-lawful-basis-differs', { lawfulBasis: 'None at all.' }],
    ['consent-references-differ', { references: { ethics: 'REC 26/0117', dpia: 'other' } }],
    ['consent-unit-differs', { unit: 'person' }],
    ['consent-unit-differs', { adjacency: 'zero-out' }],
    ['consent-unit-differs', { institutionsPerPerson: 2 }],
    ['consent-delta-differs', { delta: 1e-5 }],
    ['consent-noise-not-repeated', { noise: 'none' }],
    ['consent-ceiling-missing', { epsilonCeiling: null }],
    ['consent-ceiling-too-low', { epsilonCeiling: 6.99 }],
    ['consent-expired', { expires: '2026-11-30T23:59:59.999Z' }],
    ['consent-expired', { expires: '2026-11-20T00:00:00.000Z' }],
    ['consent-not-yet', { given: '2026-12-01T00:10:00.001Z' }],
  ];
  for (const [code, changes] of rows) refused(code, () => check(contract, changes));
});

test('a contract without noise needs a consent that says "none" and no ceiling', () => {
  refused('consent-noise-not-repeated', () => check(withoutNoise, { noise: 'discrete-gaussian' }));
  refused('consent-ceiling-missing', () => check(withoutNoise, { epsilonCeiling: 100 }));
});

test('consent ends at its expiry to the millisecond, and with the contract', () => {
  const contract = sampleContract();
  const end = '2026-12-05T00:00:00.000Z';
  assert.doesNotThrow(() => check(contract, { expires: end }, Date.parse(end) - 1));
  refused('consent-expired', () => check(contract, { expires: end }, Date.parse(end)));
  const late = { expires: '2028-01-01T00:00:00.000Z' };
  assert.doesNotThrow(() => check(contract, late, Date.parse(contract.expires) - 1));
  refused('contract-expired', () => check(contract, late, Date.parse(contract.expires)));
});

test('a consent to another contract never covers this one, even if one number differs', () => {
  const other = changed(sampleContract(), { schedule: { attempts: 41 } });
  refused('consent-contract-differs', () => checkConsent(nodeCipher, other, sampleConsent(), sampleNow));
});

test('nobody else can consent for an institution, and a withdrawal is no consent', () => {
  const contract = sampleContract();
  const { consent } = sampleConsent();
  refused('consent-signature', () =>
    openSignedConsent(nodeCipher, contract, signConsent(nodeCipher, sampleSigner(13), consent)),
  );
  const { signature } = sampleWithdrawal();
  refused('consent-signature', () => openSignedConsent(nodeCipher, contract, { consent, signature }));
  refused('consent-invalid', () => openSignedConsent(nodeCipher, contract, sampleWithdrawal()));
});

test('no changed byte of a consent file opens', () => {
  const text = signedConsentText(sampleConsent());
  const contract = sampleContract();
  fc.assert(
    fc.property(fc.nat(text.length - 2), fc.integer({ min: 32, max: 126 }), (at, code) => {
      const other = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
      fc.pre(other !== text);
      assert.throws(() => openSignedConsent(nodeCipher, contract, other), ConsilienceError);
    }),
    { numRuns: 100 },
  );
});

test('a withdrawal is bound to contract and institution and signed by it', () => {
  const contract = sampleContract();
  const open = (source: unknown) => openSignedWithdrawal(nodeCipher, contract, source);
  assert.equal(open(sampleWithdrawal()).withdrawal.dataset, 'discharges-2026');
  refused('withdrawal-contract-differs', () => open(sampleWithdrawal({ contract: '11'.repeat(32) })));
  refused('withdrawal-institution-differs', () =>
    open(sampleWithdrawal({ institution: { index: 0, name: 'hospital-3' } })),
  );
  refused('withdrawal-signature', () => open(sampleWithdrawal({ institution: { index: 0, name: 'hospital-1' } })));
  const { withdrawal, signature } = sampleWithdrawal();
  refused('withdrawal-signature', () => open({ withdrawal: { ...withdrawal, reason: 'forced' }, signature }));
  refused('withdrawal-invalid', () => open({ withdrawal: { ...withdrawal, extra: 1 }, signature }));
});
