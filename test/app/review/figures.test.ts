// The numbers behind the check: equal to what a round really charges, to design 3's table and formulas, and to a slow
// binomial sum; and what a draft is filled in with always passes the check.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RefusalError } from '../../../app/errors.ts';
import { costAtCeiling, epsilonAtCeiling, setCeiling } from '../../../app/privacy/ceiling.ts';
import { rdpAccountant } from '../../../app/privacy/rdp-accountant.ts';
import { batchTail, capForTail, truncationDelta } from '../../../app/review/batch-tail.ts';
import { reviewContract } from '../../../app/review/check.ts';
import { deriveDraft } from '../../../app/review/derive.ts';
import { roundedUp } from '../../../app/review/finding.ts';
import { roundedDown } from '../../../app/review/noise-rules.ts';
import { chargedDelta, epsilonFigures, privacyFigures, samplerSlack } from '../../../app/review/privacy-figures.ts';
import { ringFigures } from '../../../app/review/ring-figures.ts';
import { noisedRoundEvent } from '../../../app/review/round-event.ts';
import { realisedHonestShares, roundEvent, scheduleEvent, worstHonestShares } from '../../../app/round/charge.ts';
import { sumRule } from '../../../app/round/vector-rules.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { delta } from '../../../app/units.ts';
import { changed, sampleContract, sampleDimension, sampleNow } from '../study/sample-study.ts';

const local = changed(sampleContract(), {
  training: { mode: 'local', localSteps: 5, localLearningRate: 0.5 },
  sealing: { noiseVariance: 1_054_733, updateScale: 2 ** 20 },
});
const institution = changed(sampleContract(), {
  training: { mode: 'institution', unit: 'institution', localSteps: 5, localLearningRate: 0.5 },
});

test('what is checked is what will be charged, in every mode', () => {
  for (const contract of [sampleContract(), local, institution]) {
    const worst = worstHonestShares(contract);
    assert.equal(worst, contract.training.mode === 'local' ? 1 : 4);
    // Of a roster of 6, 5 or all may be in the sum.
    for (const survivors of [5, 6])
      assert.equal(
        realisedHonestShares(contract, [...Array(survivors).keys()]),
        contract.training.mode === 'local' ? 1 : survivors - contract.sealing.colluders,
      );
    assert.deepEqual(roundEvent(contract, worst), noisedRoundEvent(contract, worst));
    const { figures } = reviewContract({ contract, modelDimension: 6, floatTerm: 0, policy: null, now: sampleNow });
    const account = rdpAccountant(figures.adjacency);
    account.compose(scheduleEvent(contract));
    const charged = account.epsilon(delta(contract.privacy.delta));
    // In the mode institution ε is so large that e^ε times the sampler's distance shows.
    const above = contract.training.mode === 'institution' ? 1e-5 : 1e-9;
    assert.ok(figures.epsilon.coordinator! >= charged && figures.epsilon.coordinator! <= charged * (1 + above));
    assert.equal(figures.sensitivity, contract.training.mode === 'institution' ? 1025 : 1027);
    assert.equal(figures.clampBound, sumRule(contract).bound);
  }
});

test('against fewer colluders ε is smaller; in local everybody together learn no more than one', () => {
  const four = privacyFigures(changed(sampleContract(), { sealing: { colluders: 3, noiseVariance: 527_367 } })).epsilon;
  assert.ok(four.outsiders! < four.oneParticipant!);
  assert.ok(four.oneParticipant! < four.coordinator!);
  assert.ok(four.coordinator! < four.everyoneElseColludes!);
  const alone = privacyFigures(local).epsilon;
  assert.equal(new Set(Object.values(alone)).size, 1);
});

test('design 3: with a scale too coarse for v the check would have been wrong, with L̃ it is right', () => {
  // z = 1, one release of d = 10^8 at scale 2^10: ε 4.75 was meant; v from sC instead of L̃ gives 34.97 (δ = 1e-5).
  const oneShot = (noiseVariance: number, scale: number): Contract =>
    changed(sampleContract(), {
      training: { samplingRate: 1, microbatch: { units: 1000, count: 1 } },
      privacy: { delta: 1e-5, noiseMultiplier: 1 },
      sealing: { dimension: 1e8, scale, noiseVariance },
      schedule: { attempts: 1, rounds: 1 },
    });
  const enough = oneShot(Math.ceil(((2 ** 20 + 1e4) ** 2 + 4) / 4), 2 ** 20);
  // The design read 4.75 on a coarser grid of orders.
  const plain = rdpAccountant('add-or-remove');
  plain.compose({ mechanism: 'gaussian', noiseMultiplier: 1, samplingRate: 1, steps: 1, adjacency: 'add-or-remove' });
  const meant = plain.epsilon(delta(1e-5));
  assert.ok(Math.abs(meant - 4.75) < 0.03);
  assert.ok(Math.abs(privacyFigures(enough).epsilon.coordinator! / meant - 1) < 1e-4);
  // At 2^10 the scale is below 64√d and there is no number at all.
  assert.equal(privacyFigures(oneShot(2 ** 18, 2 ** 10)).epsilon.coordinator, null);
});

test('the ring: the largest sum fits half of it, by B and the noise margin', () => {
  for (const contract of [sampleContract(), sampleContract(500), institution, local]) {
    const ring = ringFigures(contract)!;
    assert.ok(ring.wrapBound < ring.wrapLimit);
    assert.ok(ring.wrapBound + contract.roster.length >= ring.wrapLimit);
  }
});

/** P[Bin(n, q) > cap], term by term. */
function slowTail(n: number, q: number, cap: number): number {
  let sum = 0;
  let logChoose = 0;
  for (let k = 0; k <= n; k++) {
    if (k > 0) logChoose += Math.log((n - k + 1) / k);
    if (k > cap) sum += Math.exp(logChoose + k * Math.log(q) + (n - k) * Math.log1p(-q));
  }
  return sum;
}

test('the batch tail is never below the true one, and no more than 60 times above while it matters', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 400 }),
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      fc.nat(400),
      (units, samplingRate, over) => {
        const cap = Math.max(1, Math.min(units, Math.floor(units * samplingRate) + over));
        const bound = batchTail({ units, samplingRate, cap });
        const exact = slowTail(units, samplingRate, cap);
        assert.ok(bound >= exact * (1 - 1e-9), `${bound} < ${exact}`);
        if (exact > 1e-12) assert.ok(bound <= 60 * exact + 1e-9, `${bound} ≫ ${exact}`);
      },
    ),
    { numRuns: 200 },
  );
});

test('batch tails at their edges', () => {
  assert.equal(batchTail({ units: 100, samplingRate: 1, cap: 100 }), 0);
  assert.equal(batchTail({ units: 100, samplingRate: 1, cap: 99 }), 1);
  assert.equal(batchTail({ units: 100, samplingRate: 0.5, cap: 50 }) < 1, true);
  assert.equal(batchTail({ units: 100, samplingRate: 0.5, cap: 49 }), 1);
  assert.throws(() => batchTail({ units: 0, samplingRate: 0.5, cap: 1 }), RangeError);
  assert.throws(() => batchTail({ units: 1, samplingRate: 0, cap: 1 }), RangeError);
  const cap = capForTail({ units: 1000, samplingRate: 0.1 }, 1e-12);
  assert.ok(batchTail({ units: 1000, samplingRate: 0.1, cap }) <= 1e-12);
  assert.ok(batchTail({ units: 1000, samplingRate: 0.1, cap: cap - 1 }) > 1e-12);
  assert.equal(truncationDelta(0, 1e9, 500), 0);
  assert.ok(Math.abs(truncationDelta(1e-9, 40, Math.log(3)) - 1.6e-7) < 1e-15);
});

test('what batches above their cap add is taken off δ before ε is read', () => {
  // The cap of 4 × 32 is refused (above δ/10); 133 units are allowed and cost a little.
  const tight = changed(sampleContract(), { training: { microbatch: { units: 19, count: 8 } } });
  const roomy = changed(sampleContract(), { training: { microbatch: { units: 40, count: 25 } } });
  const [some, none] = [privacyFigures(tight), privacyFigures(roomy)];
  assert.equal(none.truncationDelta, 0);
  const within = changed(sampleContract(), {
    training: { microbatch: { units: 1, count: capForTail({ units: 1000, samplingRate: 0.1 }, 1e-12) } },
  });
  const little = privacyFigures(within);
  assert.ok(little.truncationDelta > 0 && little.truncationDelta <= 1e-7);
  assert.ok(little.epsilon.coordinator! > none.epsilon.coordinator!);
  assert.ok(some.truncationDelta > 1e-7);
});

test('a ceiling at the charged δ reads, after every attempt, the ε that the check states', () => {
  // Batches that are cut often enough to be seen.
  const count = capForTail({ units: 1000, samplingRate: 0.1 }, 4e-12);
  const contract = changed(sampleContract(), { training: { microbatch: { units: 1, count } } });
  const { epsilon, truncationDelta: cut, samplerDelta } = privacyFigures(contract);
  assert.ok(cut > 1e-3 * contract.privacy.delta);
  assert.equal(chargedDelta(contract), contract.privacy.delta - cut - samplerDelta);
  const planned = scheduleEvent(contract);
  const readAt = (at: number): number => {
    const terms = { kind: 'consent', id: 'c', studies: null, datasets: null, unit: 'record' } as const;
    const ceiling = setCeiling({ ...terms, epsilon: epsilon.coordinator, delta: at }, planned);
    return epsilonAtCeiling(costAtCeiling(planned, ceiling), ceiling);
  };
  assert.ok(Math.abs(readAt(chargedDelta(contract)) / epsilon.coordinator! - 1) < 1e-12);
  assert.ok(readAt(contract.privacy.delta) < epsilon.coordinator!);
  // Without noise there is nothing to take off.
  const none = changed(contract, { privacy: { noise: 'none', noiseMultiplier: null, epsilon: null } });
  assert.equal(chargedDelta(none), none.privacy.delta);
});

test('what the sampler is away from exact noise is taken off δ before ε is read', () => {
  // d · shares · steps · attempts; in local the shares of the person's own institutions alone.
  assert.equal(samplerSlack(sampleContract()), 6 * 6 * 1 * 40 * 2 ** -118);
  assert.equal(samplerSlack(changed(local, { training: { institutionsPerPerson: 2 } })), 6 * 2 * 5 * 40 * 2 ** -118);
  assert.equal(samplerSlack(institution), 6 * 6 * 1 * 40 * 2 ** -118);
  assert.equal(samplerSlack(changed(sampleContract(), { privacy: { noise: 'none' } })), 0);

  const contract = changed(sampleContract(), { training: { microbatch: { units: 40, count: 25 } } });
  const account = rdpAccountant('add-or-remove');
  account.compose(scheduleEvent(contract));
  const charge = (distance: number): number =>
    6 * 6 * 40 * distance * (1 + Math.exp(account.epsilon(delta(contract.privacy.delta * 0.9))));
  const now = privacyFigures(contract);
  assert.equal(now.truncationDelta, 0);
  assert.ok(now.samplerDelta > 0 && Math.abs(now.samplerDelta / charge(2 ** -118) - 1) < 1e-9);
  // With a worse sampler the charge is large enough to see it in ε itself.
  const worse = privacyFigures(contract, 2 ** -43);
  const left = contract.privacy.delta - charge(2 ** -43);
  assert.ok(left > 0.9e-6 && left < 0.999e-6);
  assert.ok(Math.abs(worse.epsilon.coordinator! / account.epsilon(delta(left)) - 1) < 1e-9);
  assert.ok(worse.epsilon.coordinator! > now.epsilon.coordinator! * 1.0001);
  assert.ok(worse.epsilon.outsiders! > now.epsilon.outsiders!);
});

test('rounding for people never flatters', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (value) => {
      assert.ok(roundedUp(value) >= value && roundedUp(value) <= value * 1.0101);
      assert.ok(roundedDown(value) <= value * (1 + 1e-12) && roundedDown(value) >= value * 0.49);
    }),
  );
  assert.equal(roundedDown(1e-6), 1e-6);
});

test('a derived draft is never refused: any roster, mode, target and size', () => {
  const modes = [
    { mode: 'union', unit: 'record', localSteps: 1, localLearningRate: null },
    { mode: 'local', unit: 'record', localSteps: 3, localLearningRate: 0.3 },
    { mode: 'institution', unit: 'institution', localSteps: 3, localLearningRate: 0.3 },
  ] as const;
  fc.assert(
    fc.property(
      fc.constantFrom(...modes),
      fc.integer({ min: 3, max: 60 }),
      fc.constantFrom(0.5, 2, 8),
      fc.constantFrom(1, 300, 20_000),
      fc.constantFrom(0.02, 0.3, 1),
      (training, institutions, targetEpsilon, nominalUnits, samplingRate) => {
        const base = sampleContract(institutions);
        const roster = base.roster.map((one, at) => ({ ...one, nominalUnits: nominalUnits + at }));
        const draft = changed({ ...base, roster }, { training: { ...training, samplingRate } });
        const derived = deriveDraft(draft, { modelDimension: sampleDimension, targetEpsilon, colluders: null });
        const { findings, figures } = reviewContract({
          contract: derived,
          modelDimension: sampleDimension,
          floatTerm: 0,
          policy: null,
          now: sampleNow,
        });
        assert.deepEqual(
          findings.filter((one) => one.level === 'refuse'),
          [],
        );
        assert.ok(figures.epsilon.coordinator! <= targetEpsilon);
        assert.ok(figures.epsilon.coordinator! >= targetEpsilon * 0.97, String(figures.epsilon.coordinator));
      },
    ),
    { numRuns: 25 },
  );
});

test('deriving keeps what the lead chose, and says what cannot be', () => {
  const wishes = { modelDimension: sampleDimension, targetEpsilon: null, colluders: null };
  const derived = deriveDraft(sampleContract(10), wishes);
  assert.equal(derived.privacy.noiseMultiplier, 1);
  assert.equal(derived.sealing.colluders, 2);
  assert.equal(deriveDraft(sampleContract(10), { ...wishes, colluders: 3 }).sealing.colluders, 3);
  const refusing = (code: string, call: () => unknown): void =>
    assert.throws(call, (error: unknown) => error instanceof RefusalError && error.code === code);
  refusing('colluders-too-many', () => deriveDraft(sampleContract(10), { ...wishes, colluders: 4 }));
  const noZ = changed(sampleContract(), { privacy: { noiseMultiplier: null } });
  refusing('noise-multiplier-missing', () => deriveDraft(noZ, wishes));
});

test('a derived draft without noise opens all or the lead’s own batches', () => {
  const wishes = { modelDimension: sampleDimension, targetEpsilon: null, colluders: null };
  const quiet = changed(sampleContract(), { privacy: { noise: 'none' } });
  assert.deepEqual(deriveDraft(quiet, wishes).sealing.openableBatches, [[0, 1, 2, 3, 4, 5]]);
  const own = [
    [0, 2, 4],
    [1, 3, 5],
  ];
  const derived = deriveDraft(changed(quiet, { sealing: { openableBatches: own } }), wishes);
  assert.deepEqual(derived.sealing.openableBatches, own);
  assert.equal(derived.privacy.epsilon, null);
  const { outcome } = reviewContract({
    contract: derived,
    modelDimension: sampleDimension,
    floatTerm: 0,
    policy: null,
    now: sampleNow,
  });
  assert.equal(outcome, 'warn');
});

test('small rosters: design 3’s table of n, t, c_max, D', () => {
  for (const [n, t, most, losses] of [
    [3, 3, 1, 0],
    [4, 3, 1, 1],
    [5, 4, 2, 1],
    [10, 7, 3, 3],
    [20, 14, 7, 6],
    [50, 35, 19, 15],
    [100, 70, 39, 30],
    [500, 350, 199, 150],
  ] as const) {
    const contract = changed(sampleContract(n), { sealing: { threshold: t, cohortFloor: t } });
    const { figures } = reviewContract({ contract, modelDimension: 6, floatTerm: 0, policy: null, now: sampleNow });
    assert.deepEqual([figures.mostColluders, figures.survivableLosses], [most, losses]);
  }
});

test('persons in several sampling institutions: calibrated, accepted, and charged more than in one', () => {
  const terms = changed(sampleContract(), { training: { institutionsPerPerson: 2 } });
  const wishes = { modelDimension: sampleDimension, targetEpsilon: 4, colluders: 1 };
  const derived = deriveDraft(terms, wishes);
  const { outcome, figures } = reviewContract({
    contract: derived,
    modelDimension: sampleDimension,
    floatTerm: 0.002,
    policy: null,
    now: sampleNow,
  });
  assert.notEqual(outcome, 'refuse');
  assert.ok(figures.epsilon.coordinator! <= 4 && figures.epsilon.coordinator! > 3);
  const alone = changed(derived, { training: { institutionsPerPerson: 1 } });
  assert.ok(epsilonFigures(alone).coordinator! < figures.epsilon.coordinator! / 1.5);
});
