// IT's policy: every ceiling and every refusal, once at its limit (allowed) and once just beyond (refused by name).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseAddress } from '../../../app/study/address.ts';
import type { ContractDraft } from '../../../app/study/contract.ts';
import { parseDocument } from '../../../app/study/parse.ts';
import {
  consentPolicyFindings,
  datasetCeiling,
  policyFindings,
  policySchema,
  unknownInstitutions,
} from '../../../app/study/policy.ts';
import type { Policy } from '../../../app/study/policy.ts';
import { sampleConsent } from './documents.ts';
import { refused } from './refused.ts';
import { changed, sampleContract, sampleKey } from './sample-study.ts';

const parse = (value: unknown): Policy =>
  parseDocument(policySchema, value, { code: 'policy-invalid', what: 'policy' });

/** Allows the sample contract exactly: every limit stands where the contract is. */
const exact: Policy = parse({
  format: 'consilience/policy/1',
  contact: null,
  epsilon: { perStudy: 7, perDataset: 7, datasets: [{ name: 'small-registry', epsilon: 2 }] },
  mostDelta: 1e-6,
  noiseNoneAllowed: false,
  modes: ['union'],
  units: ['record'],
  leastCohort: 5,
  leastRoster: 6,
  mostAttempts: 40,
  institutions: {
    known: sampleContract()
      .roster.slice(1)
      .map(({ organisation, identityKey }) => ({ organisation, identityKey })),
    mostUnknown: 1,
  },
  coordinator: { hosts: ['*.example.org'], tlsRequired: true },
  references: { ethics: true, dpia: true },
  latestExpiry: '2027-11-23T09:00:00.000Z',
  mostConsentDays: 181,
  accountants: ['rdp'],
});

const codes = (policy: Policy, contract: ContractDraft = sampleContract(), ownKey?: string): string[] =>
  policyFindings(policy, { contract, ownKey, accountant: 'rdp', epsilon: 6.2 }).map((one) => one.code);

test('a contract at every limit is allowed', () => {
  assert.deepEqual(codes(exact), []);
});

const beyond: readonly (readonly [string, Partial<Policy>])[] = [
  ['policy-epsilon-per-study', { epsilon: { ...exact.epsilon, perStudy: 6.99 } }],
  ['policy-delta', { mostDelta: 9.9e-7 }],
  ['policy-mode', { modes: ['local', 'institution'] }],
  ['policy-mode', { modes: [] }],
  ['policy-unit', { units: ['person'] }],
  ['policy-cohort', { leastCohort: 6 }],
  ['policy-roster', { leastRoster: 7 }],
  ['policy-attempts', { mostAttempts: 39 }],
  ['policy-unknown-institutions', { institutions: { ...exact.institutions, mostUnknown: 0 } }],
  ['policy-coordinator-host', { coordinator: { hosts: ['relay.example.com'], tlsRequired: true } }],
  ['policy-expiry', { latestExpiry: '2027-11-23T08:59:59.999Z' }],
  ['policy-accountant', { accountants: ['pld'] }],
];
for (const [code, change] of beyond)
  test(`just beyond its limit: ${code} ${JSON.stringify(change).slice(0, 60)}`, () => {
    const found = policyFindings(
      { ...exact, ...change },
      { contract: sampleContract(), accountant: 'rdp', epsilon: 6.2 },
    );
    assert.deepEqual(
      found.map((one) => one.code),
      [code],
    );
    assert.ok(found[0]!.reason.length > 20 && found[0]!.repair.length > 10);
  });

test('a policy ceiling holds against what was computed, not only against what the contract states', () => {
  const contract = changed(sampleContract(), { privacy: { epsilon: 1 } });
  const found = policyFindings(exact, { contract, accountant: 'rdp', epsilon: 7.01 });
  assert.deepEqual(
    found.map((one) => one.code),
    ['policy-epsilon-per-study'],
  );
});

test('no noise only where the policy allows it', () => {
  const contract = changed(sampleContract(), { privacy: { noise: 'none', noiseMultiplier: null, epsilon: null } });
  const subject = { contract, accountant: 'rdp', epsilon: null } as const;
  assert.deepEqual(
    policyFindings(exact, subject).map((one) => one.code),
    ['policy-noise-none'],
  );
  assert.deepEqual(policyFindings({ ...exact, noiseNoneAllowed: true }, subject), []);
});

test('unknown institutions count towards the colluders, whatever the policy tolerates', () => {
  const known = exact.institutions.known.slice(1);
  const lax = { ...exact, institutions: { known, mostUnknown: 500 } };
  assert.deepEqual(unknownInstitutions(lax, sampleContract()), [0, 1]);
  assert.deepEqual(codes(lax), ['unknown-exceed-colluders']);
  // One's own key needs no list.
  assert.deepEqual(codes(lax, sampleContract(), sampleKey(10)), []);
});

test('a known key under another name and a known name under another key are both refused', () => {
  const renamed = exact.institutions.known.map((one, at) =>
    at === 0 ? { ...one, organisation: 'Somebody else' } : one,
  );
  assert.deepEqual(codes({ ...exact, institutions: { known: renamed, mostUnknown: 1 } }), [
    'policy-institution-renamed',
  ]);
  const impostor = [...exact.institutions.known, { organisation: 'HOSPITAL number 1 ', identityKey: sampleKey(99) }];
  assert.deepEqual(codes({ ...exact, institutions: { known: impostor, mostUnknown: 1 } }), ['policy-institution-key']);
});

test('references must say something where they are required', () => {
  for (const nothing of ['none', 'N/A', ' - ', 'tbd.']) {
    const contract = changed(sampleContract(), { references: { ethics: nothing, dpia: nothing } });
    assert.deepEqual(codes(exact, contract), ['policy-reference-ethics', 'policy-reference-dpia']);
    assert.deepEqual(codes({ ...exact, references: { ethics: false, dpia: false } }, contract), []);
  }
});

test('hosts and TLS', () => {
  const at = (address: string): ContractDraft => changed(sampleContract(), { coordinator: { address } });
  assert.deepEqual(codes(exact, at('http://relay.example.org')), ['policy-tls']);
  assert.deepEqual(
    codes({ ...exact, coordinator: { hosts: null, tlsRequired: false } }, at('http://relay.example.org')),
    [],
  );
  assert.deepEqual(
    codes({ ...exact, coordinator: { hosts: ['127.0.0.1'], tlsRequired: true } }, at('http://127.0.0.1:8443')),
    [],
  );
  for (const foreign of ['https://example.org', 'https://badexample.org', 'https://relay.example.org.evil.net'])
    assert.deepEqual(codes(exact, at(foreign)), ['policy-coordinator-host'], foreign);
  for (const bad of [
    'ftp://relay.example.org',
    'https://a@relay.example.org',
    'https://relay.example.org?x',
    'relay',
    'https://relay.example.org:99999',
  ])
    assert.deepEqual(codes(exact, at(bad)), ['policy-coordinator-address'], bad);
});

test('addresses are read as people mean them', () => {
  assert.deepEqual(parseAddress('https://Relay.Example.org'), {
    secure: true,
    host: 'relay.example.org',
    port: 443,
    loopback: false,
  });
  assert.deepEqual(parseAddress('http://[::1]:9/x/'), { secure: false, host: '::1', port: 9, loopback: true });
  assert.equal(parseAddress('http://127.0.0.1.example.org')?.loopback, false);
  assert.equal(parseAddress('http://localhost:80')?.loopback, true);
});

test('consents: lifetime, end, ceilings per study and per dataset', () => {
  const consentCodes = (policy: Policy, consent = sampleConsent()): string[] =>
    consentPolicyFindings(policy, consent).map((one) => one.code);
  assert.deepEqual(consentCodes(exact), []);
  assert.deepEqual(consentCodes({ ...exact, mostConsentDays: 180 }), ['policy-consent-days']);
  assert.deepEqual(consentCodes({ ...exact, latestExpiry: '2027-05-25T09:59:59.999Z' }), ['policy-expiry']);
  assert.deepEqual(consentCodes({ ...exact, epsilon: { ...exact.epsilon, perStudy: 6.9 } }), [
    'policy-epsilon-per-study',
  ]);
  assert.deepEqual(consentCodes({ ...exact, epsilon: { ...exact.epsilon, perDataset: 6.9 } }), [
    'policy-epsilon-per-dataset',
  ]);
  assert.equal(datasetCeiling(exact, 'small-registry'), 2);
  assert.equal(datasetCeiling(exact, 'another'), 7);
  const small = sampleConsent(sampleContract(), { dataset: { name: 'small-registry', lineage: null } });
  assert.deepEqual(consentCodes(exact, small), ['policy-epsilon-per-dataset']);
  assert.deepEqual(consentCodes(exact, sampleConsent(sampleContract(), { epsilonCeiling: null })), [
    'policy-noise-none',
  ]);
});

test('unknown members, wrong kinds and missing members of a policy are refused', () => {
  assert.match(
    refused('policy-invalid', () => parse({ ...exact, allowEverything: true })),
    /unknown member "allowEverything"/,
  );
  refused('policy-invalid', () => parse({ ...exact, epsilon: { perStudy: 1, perDataset: 1 } }));
  refused('policy-invalid', () => parse({ ...exact, coordinator: { hosts: ['https://x'], tlsRequired: true } }));
  for (const member of Object.keys(exact)) {
    const { [member as keyof Policy]: _left, ...rest } = exact;
    refused('policy-invalid', () => parse(rest));
  }
});

test('the policy template that ships is a policy, and a strict one', () => {
  const template = parse(
    JSON.parse(readFileSync(new URL('../../../main/resources/policy-template.json', import.meta.url), 'utf8')),
  );
  assert.equal(template.noiseNoneAllowed, false);
  assert.equal(template.coordinator.tlsRequired, true);
  assert.equal(template.institutions.mostUnknown, 0);
});
