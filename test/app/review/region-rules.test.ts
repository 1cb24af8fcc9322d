// The check of regions: each institution in exactly one, and where regions open their own sums, thresholds that hold with all
// colluders in one region, noise for the smallest of them, and what that costs, said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reviewContract } from '../../../app/review/check.ts';
import { deriveDraft } from '../../../app/review/derive.ts';
import { leastInSum } from '../../../app/review/round-event.ts';
import { smallRegions } from '../../../app/simulation/small-study.ts';
import type { ContractDraft } from '../../../app/study/contract.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleContract, sampleDimension, sampleNow } from '../study/sample-study.ts';

const derived = (draft: ContractDraft): ContractDraft =>
  deriveDraft(draft, { modelDimension: sampleDimension, targetEpsilon: 2, colluders: 1 });

const flat = derived(sampleContract(12));
const { relays } = smallRegions(nodeCipher, 12, 3);
const open = derived({ ...sampleContract(12), regions: { opening: 'region', relays } });

const findingsOf = (contract: ContractDraft) =>
  reviewContract({ contract, modelDimension: sampleDimension, floatTerm: 0, policy: null, now: sampleNow }).findings;
const refusalsOf = (contract: ContractDraft): string[] =>
  findingsOf(contract).flatMap(({ level, code }) => (level === 'refuse' ? [code] : []));
const withRelays = (change: (relay: (typeof relays)[number], at: number) => object): ContractDraft => ({
  ...open,
  regions: { ...open.regions!, relays: open.regions!.relays.map((relay, at) => ({ ...relay, ...change(relay, at) })) },
});

test('a draft is given thresholds and the noise of its smallest region, at the ε that was asked for', () => {
  assert.deepEqual(
    open.regions!.relays.map(({ threshold }) => threshold),
    [3, 3, 3],
  );
  assert.equal(leastInSum(open), 3);
  assert.deepEqual(refusalsOf(open), []);
  const [atRoot, here] = [flat, open].map(({ sealing }) => sealing.noiseVariance);
  // t − c = 9 − 1 honest shares at the root, t_r − c = 2 in a region.
  assert.ok(Math.abs(here! / atRoot! - 4) < 0.01, `${here} and ${atRoot}`);
  assert.ok(open.privacy.epsilon! <= 2 && open.privacy.epsilon! > 1.9);
  const cost = findingsOf(open).find(({ code }) => code === 'regions-open-cost')!;
  assert.equal(cost.level, 'warn');
  assert.match(cost.reason, /: 1.87 times as much/);
  const { figures } = reviewContract({
    contract: open,
    modelDimension: sampleDimension,
    floatTerm: 0,
    policy: null,
    now: sampleNow,
  });
  assert.equal(figures.honestMinimum, 2);
  assert.ok(figures.epsilon.coordinator! >= figures.epsilon.oneParticipant!);
});

test('noise for the whole roster alone is refused where regions open their own sums', () => {
  const thin = { ...open, sealing: { ...open.sealing, noiseVariance: flat.sealing.noiseVariance } };
  const codes = refusalsOf(thin);
  assert.ok(codes.includes('noise-variance-too-small') && codes.includes('epsilon-understated'), codes.join());
});

test('thresholds are refused that are missing, or that colluders in one region defeat', () => {
  assert.ok(refusalsOf(withRelays(() => ({ threshold: undefined }))).includes('region-threshold-missing'));
  for (const threshold of [2, 5])
    assert.ok(refusalsOf(withRelays((_, at) => (at === 1 ? { threshold } : {}))).includes('region-threshold-unsafe'));
  // Two colluders in a region of four: no threshold protects the others.
  const more = { ...open, sealing: { ...open.sealing, colluders: 2 } };
  assert.equal(refusalsOf(more).filter((code) => code === 'region-threshold-unsafe').length, 3);
});

test('turns, a sparse graph and no noise do not go with it', () => {
  const selection = { institutions: 11, slow: [], slowPerRound: 0 };
  const turns = { ...open, schedule: { ...open.schedule, selection } };
  assert.ok(refusalsOf(turns).includes('regions-open-with-turns'));
  const sparseGraph = { kind: 'harary' as const, degree: 8, shareThreshold: 6 };
  assert.ok(
    refusalsOf({ ...open, sealing: { ...open.sealing, sparseGraph } }).includes('regions-open-with-sparse-graph'),
  );
  const quiet = { ...open.privacy, noise: 'none' as const, noiseMultiplier: null, epsilon: null };
  assert.ok(refusalsOf({ ...open, privacy: quiet }).includes('regions-open-without-noise'));
});

test('persons known to several institutions are not bounded over several regions’ sums, so they are refused', () => {
  const shared = (institutionsPerPerson: number) => ({
    ...open,
    training: { ...open.training, institutionsPerPerson },
  });
  const code = 'regions-open-shared-persons';
  assert.ok(refusalsOf(shared(2)).includes(code));
  assert.ok(!refusalsOf(shared(1)).includes(code));
  assert.ok(!refusalsOf({ ...shared(2), regions: { ...open.regions!, opening: 'root' } }).includes(code));
});

test('an institution in two regions or in none is refused, whatever opens', () => {
  const twice = withRelays((relay, at) => (at === 1 ? { members: [3, ...relay.members.slice(1)] } : {}));
  assert.ok(refusalsOf(twice).includes('regions-overlap'));
});
