// "The client refuses" (design 3), the lines about terms: a lead really signs them, and an institution that is asked for
// its consent refuses with the code that names the line. Nothing is signed, charged or kept.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { toHex } from '../../../../app/encoding/bytes.ts';
import { ConsilienceError } from '../../../../app/errors.ts';
import { reviewContract } from '../../../../app/review/check.ts';
import type { Contract } from '../../../../app/study/contract.ts';
import { policySchema } from '../../../../app/study/policy.ts';
import type { Policy } from '../../../../app/study/policy.ts';
import { openSignedContract } from '../../../../app/study/signed-contract.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { ledgerEntries, makeHomes } from './homes.ts';
import type { Homes } from './homes.ts';

const template = policySchema.parse(
  JSON.parse(readFileSync(resolve(import.meta.dirname, '../../../../main/resources/policy-template.json'), 'utf8')),
);

/** Allows what these studies are, whatever the template says; then one line is broken. */
const lenient: Policy = {
  ...template,
  epsilon: { perStudy: null, perDataset: null, datasets: [] },
  mostDelta: 0.01,
  noiseNoneAllowed: true,
  modes: ['union', 'local', 'institution'],
  units: ['record', 'person', 'institution'],
  leastCohort: 3,
  leastRoster: 3,
  mostAttempts: 100,
  institutions: { known: [], mostUnknown: 500 },
  coordinator: { hosts: null, tlsRequired: false },
  references: { ethics: false, dpia: false },
  latestExpiry: null,
  mostConsentDays: 3660,
  accountants: ['rdp', 'pld', 'gdp'],
};

suite('the client refuses terms', { timeout: 120_000 }, () => {
  let homes: Homes;
  before(async () => {
    homes = await makeHomes(4);
  });
  after(() => homes.remove());

  type Options = NonNullable<Parameters<Homes['consent']>[1]>;
  async function refuses(code: string, change: (contract: Contract) => Contract, options: Options = {}): Promise<void> {
    const institution = homes.institutions[0]!;
    const contract = homes.another(change);
    const entriesBefore = (await ledgerEntries(institution.home)).length;
    await assert.rejects(homes.consent(institution, { contract, ...options }), (error) => {
      assert.ok(error instanceof ConsilienceError, String(error));
      assert.equal(error.code, code, error.message);
      return true;
    });
    assert.equal((await ledgerEntries(institution.home)).length, entriesBefore, 'the log says nothing of a consent');
    const study = toHex(openSignedContract(nodeCipher, contract).hash);
    assert.ok(!existsSync(join(institution.home, 'studies', study, 'consent.json')));
  }
  const sealing = (change: Partial<Contract['sealing']>) => (contract: Contract) => ({
    ...contract,
    sealing: { ...contract.sealing, ...change },
  });

  test('unrecognised institutions exceed c', () =>
    // Three of four are strangers to this policy, and c is 1: the lead could have invented them.
    refuses('unknown-exceed-colluders', (same) => same, { policy: lenient }));

  test('v < 16', () => refuses('noise-variance-below-sixteen', sealing({ noiseVariance: 15 })));

  test('noise: none that the consent does not repeat, or that policy does not allow', async () => {
    const none = (contract: Contract): Contract => ({
      ...contract,
      privacy: { ...contract.privacy, noise: 'none', noiseMultiplier: null, epsilon: null },
      sealing: { ...contract.sealing, noiseVariance: 0, openableBatches: [[0, 1, 2, 3]] },
    });
    await refuses('no-noise-not-accepted', none);
    const { roster } = openSignedContract(nodeCipher, homes.another(none)).contract;
    const known = roster.map(({ organisation, identityKey }) => ({ organisation, identityKey }));
    const policy: Policy = { ...lenient, noiseNoneAllowed: false, institutions: { known, mostUnknown: 0 } };
    await refuses('policy-noise-none', none, { policy, acceptNoNoise: true });
  });

  test('scale too coarse', async () => {
    // Without a valid grid there is no ε either, which is the first thing that is said.
    await refuses('epsilon-unknown', sealing({ scale: 16 }));
    const { contract } = openSignedContract(nodeCipher, homes.another(sealing({ scale: 16 })));
    const now = Date.parse(contract.created);
    const { findings } = reviewContract({ contract, modelDimension: 5, floatTerm: 0, policy: null, now });
    assert.ok(findings.some((one) => one.level === 'refuse' && one.code === 'scale-too-coarse'));
  });

  test('cohort floor or quorum that c colluders defeat', () => refuses('quorum-too-small', sealing({ colluders: 2 })));

  test('budget would be exceeded', () => refuses('consent-ceiling-too-low', (same) => same, { epsilon: 0.001 }));
});
