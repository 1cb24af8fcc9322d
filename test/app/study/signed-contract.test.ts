// Opening and signing contracts: every refusal, drafts made final, and that no changed bit passes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../../../app/encoding/bytes.ts';
import { canonicalJson } from '../../../app/encoding/canonical-json.ts';
import { ConsilienceError } from '../../../app/errors.ts';
import type { Contract, ContractDraft } from '../../../app/study/contract.ts';
import {
  finaliseDraft,
  openSignedContract,
  parseDraft,
  signContract,
  signedContractText,
} from '../../../app/study/signed-contract.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { refused } from './refused.ts';
import { changed, sampleContract, sampleKey, sampleSigner } from './sample-study.ts';

const sign = (contract: Contract) => signContract(nodeCipher, sampleSigner(1), contract);
const open = (source: unknown) => openSignedContract(nodeCipher, source);
const text = signedContractText(sign(sampleContract()));

test('a signed contract opens from text and from a value, with or without the newline', () => {
  assert.deepEqual(open(text).contract, sampleContract());
  assert.deepEqual(open(text.trimEnd()).hash, open(JSON.parse(text)).hash);
});

test('no changed byte of the file opens', () => {
  fc.assert(
    fc.property(fc.nat(text.length - 2), fc.integer({ min: 32, max: 126 }), (at, code) => {
      const other = text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
      fc.pre(other !== text);
      assert.throws(() => open(other), ConsilienceError);
    }),
    { numRuns: 150 },
  );
});

test('no changed value opens under the old signature, whatever it says', () => {
  const { signature } = sign(sampleContract());
  const changes = [
    { title: 'Another title' },
    { privacy: { noiseMultiplier: 0.5 } },
    { sealing: { colluders: 2 } },
    { roster: sampleContract(7).roster },
    { coordinator: { key: sampleKey(3) } },
  ];
  for (const change of changes)
    refused('contract-signature', () => open({ contract: changed(sampleContract(), change), signature }));
});

test('text that is not JSON, not canonical or holds a member twice is refused', () => {
  refused('not-json', () => open('{'));
  const laidOut = refused('not-canonical', () => open(JSON.stringify(JSON.parse(text), null, 2)));
  assert.match(laidOut, /^The study contract is not in its signed form.*Give the file exactly as it was made\.$/);
  refused('not-canonical', () => open(text.replace('{"contract":{', '{"contract":{"title":"x",')));
});

test('a field at fault is named in words, its content never', () => {
  const invalid = (contract: unknown): string =>
    refused('contract-invalid', () => open({ contract, signature: '00'.repeat(64) }));
  const base = sampleContract();
  const entry = { ...base.roster[1]!, nominalUnits: 10.5 };
  assert.match(
    invalid({ ...base, roster: [base.roster[0]!, entry, base.roster[2]!] }),
    /roster, entry 2, nominal units: must be a whole number/,
  );
  assert.match(invalid({ ...base, secretExtra: 1 }), /contract has an unknown member "secretExtra"/);
  assert.match(invalid({ ...base, retention: undefined }), /retention is missing/);
  assert.match(
    invalid({ ...base, schedule: { ...base.schedule, stageSeconds: {} } }),
    /schedule, stage seconds, ready/,
  );
  const sentence = invalid(changed(base, { lead: { identityKey: 'NOT-A-KEY-BUT-PRIVATE' } }));
  assert.match(sentence, /lead, identity key: must be 32 bytes/);
  assert.ok(!sentence.includes('PRIVATE'));
});

test('every party has a name and a key of its own', () => {
  const base = sampleContract();
  const withKey = (at: number, identityKey: string): Contract => ({
    ...base,
    roster: base.roster.map((one, index) => (index === at ? { ...one, identityKey } : one)),
  });
  assert.match(
    refused('party-repeated', () => sign(withKey(2, sampleKey(10)))),
    /roster entry 3 .* roster entry 1/,
  );
  assert.match(
    refused('party-repeated', () => sign(withKey(4, sampleKey(1)))),
    /the lead/,
  );
  assert.match(
    refused('party-repeated', () => sign(withKey(4, sampleKey(2)))),
    /the coordinator/,
  );
  refused('party-repeated', () => sign(changed(base, { coordinator: { key: sampleKey(1) } })));
  refused('key-unusable', () => sign(withKey(0, `01${'00'.repeat(31)}`)));
  const twice = {
    ...base,
    roster: base.roster.map((one, index) => (index === 5 ? { ...one, name: 'hospital-1' } : one)),
  };
  refused('party-repeated', () => sign(twice));
  // The same on opening: a lead may have signed it with another program.
  const { signature } = sign(base);
  refused('party-repeated', () => open({ contract: twice, signature }));
});

test('only the lead whom the contract names signs it', () => {
  refused('lead-key-differs', () => signContract(nodeCipher, sampleSigner(3), sampleContract()));
});

function keyless(): ContractDraft {
  const { identityKey: _lead, ...lead } = sampleContract().lead;
  const { key: _key, ...coordinator } = sampleContract().coordinator;
  const roster = sampleContract().roster.map(({ identityKey: _own, ...entry }) => entry);
  return { ...sampleContract(), lead, coordinator, roster };
}

test('a draft becomes final when every key is given, and no key is replaced', () => {
  const draft = parseDraft(JSON.stringify(keyless(), null, 2));
  const rosterKeys = new Map(draft.roster.map(({ name }, index) => [name, sampleKey(10 + index)]));
  const keys = { leadKey: sampleKey(1), coordinatorKey: sampleKey(2), rosterKeys };
  assert.deepEqual(finaliseDraft(draft, keys), sampleContract());
  refused('key-missing', () => finaliseDraft(draft, { ...keys, leadKey: null }));
  refused('key-missing', () => finaliseDraft(draft, { ...keys, coordinatorKey: null }));
  refused('key-missing', () => finaliseDraft(draft, { ...keys, rosterKeys: new Map() }));
  refused('key-differs', () => finaliseDraft(sampleContract(), { ...keys, leadKey: sampleKey(9) }));
  refused('unknown-institution', () =>
    finaliseDraft(draft, { ...keys, rosterKeys: new Map([...rosterKeys, ['nobody', sampleKey(40)]]) }),
  );
  refused('contract-invalid', () =>
    finaliseDraft(
      { ...draft, roster: draft.roster.slice(0, 2) },
      { ...keys, rosterKeys: new Map([...rosterKeys].slice(0, 2)) },
    ),
  );
});

test('minus zero in a draft becomes the zero that is hashed', () => {
  const final = finaliseDraft(changed(sampleContract(), { training: { weightDecay: -0 } }), {
    leadKey: null,
    coordinatorKey: null,
    rosterKeys: new Map(),
  });
  assert.ok(Object.is(final.training.weightDecay, 0));
  assert.equal(toHex(open(sign(final)).hash), toHex(open(text).hash));
});

test('drafts are JSON in any layout, and strict', () => {
  refused('not-json', () => parseDraft('nope'));
  refused('contract-invalid', () => parseDraft({ ...sampleContract(), extra: true }));
  assert.equal(canonicalJson(parseDraft(keyless())), canonicalJson(keyless()));
});
