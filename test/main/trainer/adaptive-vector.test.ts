// Gradients and their count in one vector: what each unit gives to it, in every mode, with real tensors.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { noisedRule } from '../../../app/review/round-event.ts';
import { readSum, roundTerms } from '../../../app/round/adaptation.ts';
import { dequantise } from '../../../app/sealed-sum/quantise.ts';
import { sumRule } from '../../../app/round/vector-rules.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { clippedGradientSum } from '../../../app/training/clipped-sum.ts';
import { architectureOf, initialParameters } from '../../../app/training/model.ts';
import { emptySlot } from '../../../app/training/poisson.ts';
import { chooseBackend } from '../../../main/trainer/candidates.ts';
import { sealedVector, zeroPlusNoise } from '../../../main/trainer/sealed-vector.ts';
import { roundVector } from '../../../main/trainer/step.ts';
import { adaptiveClipping } from '../../app/round/adaptive-study.ts';
import { seededRandom } from '../../app/seeded-random.ts';
import { patientRecords, studyContract } from './synthetic.ts';

before(() => chooseBackend());

async function adaptiveContract(name: string, change: Partial<Contract['training']> = {}): Promise<Contract> {
  const base = await studyContract(name);
  return {
    ...base,
    training: { ...base.training, adaptiveClipping, ...change },
    sealing: { ...base.sealing, dimension: base.sealing.dimension + 1, noiseVariance: 0 },
    privacy: { ...base.privacy, noise: 'none' },
  };
}

const vectorOf = (contract: Contract, sum: Float64Array): Promise<Uint32Array> =>
  sealedVector({
    contract,
    index: 0,
    parameters: new Float32Array(contract.sealing.dimension - 1),
    random: seededRandom('adaptive'),
    gradientSum: () => Promise.resolve(sum),
    pause: () => {},
  });

test('the count is that of the units’ own norms, in passes and per person, and the unsampled give nothing', async () => {
  const contract = await studyContract('heart-private');
  const architecture = architectureOf(contract.task);
  const records = patientRecords(contract, 140);
  const parameters = initialParameters(contract.task);
  const singles = Array.from({ length: records.rows }, (_, row) => [row]);
  const sumOf = (
    units: readonly number[][],
    slots: Int32Array,
    clip: number,
    person: { rowCap: number } | null = null,
  ) =>
    clippedGradientSum({
      architecture,
      parameters,
      records,
      units,
      slots,
      person: person && { ...person, combine: 'sum' },
      clip,
      counted: true,
    });
  const norms: number[] = [];
  for (let unit = 0; unit < singles.length; unit++) {
    const alone = await sumOf(singles, Int32Array.of(unit), 1e6);
    norms.push(Math.hypot(...alone.subarray(0, -1)));
    assert.equal(alone.at(-1), 0.5, 'within so large a clip');
  }
  for (const clip of [0.3, 0.6, 0.9]) {
    const slots = Int32Array.from({ length: 200 }, (_, slot) => (slot < singles.length ? slot : emptySlot));
    const counted = await sumOf(singles, slots, clip);
    const expected = norms.reduce((total, norm) => total + (norm <= clip ? 0.5 : -0.5), 0);
    // A norm next to the clip may fall to either side in float32.
    const near = norms.filter((norm) => Math.abs(norm / clip - 1) < 1e-5).length;
    assert.ok(Math.abs(counted.at(-1)! - expected) <= near);
  }
  assert.equal((await sumOf(singles, new Int32Array(8).fill(emptySlot), 1)).at(-1), 0);
  const pairs = [
    [0, 1],
    [2, 3],
  ];
  const first = await sumOf(pairs, Int32Array.of(0), 1e6, { rowCap: 2 });
  const norm = Math.hypot(...first.subarray(0, -1));
  for (const [clip, expected] of [
    [norm * 1.01, 0.5],
    [norm * 0.99, -0.5],
  ] as const)
    assert.equal((await sumOf(pairs, Int32Array.of(0, emptySlot), clip, { rowCap: 2 })).at(-1), expected);
});

test('whatever C is, one unit moves the vector by at most √(1 + w²/4) steps over scale', async () => {
  const contract = await adaptiveContract('heart-private', { samplingRate: 1, microbatch: { units: 1, count: 1 } });
  const { clipNorm, scale } = noisedRule(contract);
  for (const clip of [0.01, 0.5, 2]) {
    const terms = roundTerms(contract, { clip });
    for (const seed of [1, 2, 3]) {
      const parameters = Float32Array.from({ length: 16 }, (_, i) => Math.sin(seed * i));
      const random = seededRandom(seed);
      const { words, failure } = await roundVector({
        contract: terms,
        index: 0,
        parameters,
        records: patientRecords(terms, seed),
        random,
      });
      assert.equal(failure, null);
      const length = Math.hypot(...dequantise(words, scale));
      assert.ok(length <= clipNorm + Math.sqrt(17) / scale && length >= adaptiveClipping.countWeight / 2 - 1e-3);
    }
  }
});

test('union, institution, local: the sum reads back as the mean gradient or update and the share within C', async () => {
  const clip = 0.25;
  const gradients = Float64Array.from({ length: 16 }, (_, i) => (i - 8) / 10);
  const union = roundTerms(await adaptiveContract('heart-private'), { clip });
  const batch = union.training.samplingRate * union.roster[0]!.nominalUnits;
  const read = (terms: Contract, words: Uint32Array) => readSum(terms, dequantise(words, sumRule(terms).scale), [0]);
  const close = (found: number, expected: number): void =>
    assert.ok(Math.abs(found - expected) < 2e-3, `${found} ${expected}`);

  const inUnion = read(union, await vectorOf(union, Float64Array.of(...gradients, 0.3 * batch)));
  inUnion.average.forEach((value, i) => close(value, gradients[i]! / batch));
  close(inUnion.within!, 0.8);

  const change = { mode: 'institution', unit: 'institution', localLearningRate: 1 } as const;
  const institution = await adaptiveContract('heart-private', change);
  for (const [at, within] of [
    [1e3, 1],
    [1e-3, 0],
  ] as const) {
    const terms = roundTerms(institution, { clip: at });
    const { average, within: share } = read(terms, await vectorOf(terms, gradients));
    close(share!, within);
    assert.ok(Math.hypot(...average) <= at * (1 + 1e-3));
  }

  const local = roundTerms(await adaptiveContract('heart-local', { localSteps: 4, weightDecay: 0 }), { clip });
  const site = local.roster[0]!.nominalUnits * local.training.samplingRate;
  const inLocal = read(local, await vectorOf(local, Float64Array.of(...gradients, -0.2 * site)));
  const rate = local.training.localLearningRate!;
  inLocal.average.forEach((value, i) => close(value, (-4 * rate * gradients[i]!) / site));
  close(inLocal.within!, 0.3);
});

test('a failed training gives zeros in the count too', async () => {
  for (const contract of [await adaptiveContract('heart-private'), await adaptiveContract('heart-local')]) {
    const parameters = new Float32Array(16);
    const words = await zeroPlusNoise({ contract, index: 0, parameters, random: seededRandom('zero') });
    assert.equal(words.length, 17);
    assert.ok(words.every((word) => word === 0));
  }
});
