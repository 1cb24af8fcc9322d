// Vectors of which a part travels: in every mode they are the chosen part of what would travel whole, at most C long; at
// k = d nothing differs, to the bit; the model moves where the sum says.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { fromHex } from '../../../app/encoding/bytes.ts';
import { sensitivityOf, noisedRoundEvent, noisedRule } from '../../../app/review/round-event.ts';
import { createModelChain } from '../../../app/round/model-chain.ts';
import { sumRule } from '../../../app/round/vector-rules.ts';
import { dequantise } from '../../../app/sealed-sum/quantise.ts';
import { subsetPositions, subsetSize } from '../../../app/sealed-sum/subset.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { chooseBackend } from '../../../main/trainer/candidates.ts';
import { sealedVector, zeroPlusNoise } from '../../../main/trainer/sealed-vector.ts';
import { roundVector } from '../../../main/trainer/step.ts';
import { adaptiveClipping } from '../../app/round/adaptive-study.ts';
import { seededRandom } from '../../app/seeded-random.ts';
import { patientRecords, studyContract } from './synthetic.ts';

before(() => chooseBackend());

const d = 16;
const modes = ['union', 'institution', 'local'] as const;

/** With a share, a study that sends so much of its model; null: all of it, without the member. */
async function termsOf(mode: (typeof modes)[number], share: number | null, noise = false): Promise<Contract> {
  const base = await studyContract(mode === 'local' ? 'heart-local' : 'heart-private');
  const unit = mode === 'institution' ? 'institution' : base.training.unit;
  const k = share === null ? d : subsetSize(d, share);
  return {
    ...base,
    training: {
      ...base.training,
      mode,
      unit,
      ...(mode === 'institution' ? { localLearningRate: 0.1, localSteps: 1 } : {}),
    },
    sealing: {
      ...base.sealing,
      dimension: k,
      ...(share === null ? {} : { subset: { kind: 'seeded', share, parameters: d } }),
      ...(noise ? {} : { noiseVariance: 0 }),
    },
    ...(noise ? {} : { privacy: { ...base.privacy, noise: 'none', noiseMultiplier: null, epsilon: null } }),
  };
}

const parameters = Float32Array.from({ length: d }, (_, at) => Math.cos(at));
const gradient = Float64Array.from({ length: d }, (_, at) => Math.sin(3 * at) / 4);
const words = (contract: Contract, random: string, of = gradient): Promise<Uint32Array> =>
  sealedVector({
    contract,
    index: 1,
    parameters,
    subset: createModelChain(nodeCipher, contract).subset,
    random: seededRandom(random),
    gradientSum: () => Promise.resolve(of.slice()),
    pause: () => {},
  });

for (const mode of modes)
  test(`${mode}: a share of 1 is the whole vector, noise and rounding too, and the same model follows`, async () => {
    const [whole, all] = [await termsOf(mode, null, true), await termsOf(mode, 1, true)];
    const sum = await words(whole, 'same');
    assert.deepEqual(await words(all, 'same'), sum);
    assert.deepEqual(noisedRoundEvent(all, 3), noisedRoundEvent(whole, 3));
    const survivors = whole.roster.map((_, index) => index);
    const next = (contract: Contract) => createModelChain(nodeCipher, contract).apply(survivors, sum).chain;
    assert.deepEqual(next(all).parameters, next(whole).parameters);
    assert.equal(next(all).hash, next(whole).hash);
    assert.equal(next(whole).subset, null);
  });

for (const mode of modes)
  test(`${mode}: what travels are the chosen parameters of the clipped vector; the model moves d/k times as far there`, async () => {
    const [whole, part] = [await termsOf(mode, null), await termsOf(mode, 0.25)];
    const chain = createModelChain(nodeCipher, part);
    const positions = subsetPositions(nodeCipher, fromHex(chain.subset!, 32), d, 4);
    const { scale } = sumRule(part);
    const sent = dequantise(await words(part, 'part'), scale);
    const full = dequantise(await words(whole, 'whole'), sumRule(whole).scale);
    assert.equal(sent.length, 4);
    for (const [at, position] of positions.entries()) assert.ok(Math.abs(sent[at]! - full[position]!) <= 2 / scale);

    const survivors = part.roster.map((_, index) => index);
    const steps = Uint32Array.from(positions, (_, at) => 1000 * (at + 1));
    const { chain: next, spoiled } = chain.apply(survivors, steps);
    assert.equal(spoiled, false);
    const moved = next.parameters.map((value, at) => value - chain.parameters[at]!);
    const chosen = new Set(positions);
    for (const [at, value] of moved.entries()) assert.equal(value !== 0, chosen.has(at), `parameter ${at}`);
    const sparse = Uint32Array.from({ length: d }, (_, at) => 4 * (steps[positions.indexOf(at)] ?? 0));
    const dense = createModelChain(nodeCipher, { ...whole, sealing: { ...whole.sealing, scale: part.sealing.scale } });
    const expected = dense.apply(survivors, sparse).chain.parameters;
    for (const [at, value] of next.parameters.entries()) assert.ok(Math.abs(value - expected[at]!) < 1e-6);
    assert.notEqual(next.subset, chain.subset, 'another model, another choice');
  });

test('institution: no update is longer than C, and its charge is that of a vector of C and k words', async () => {
  const part = await termsOf('institution', 0.5, true);
  const { scale, clipNorm } = noisedRule(part);
  const quiet = await termsOf('institution', 0.5);
  // Far beyond the clip, which comes first: the part is as short as the part of the clipped whole.
  const huge = gradient.map((value) => value * 1e6);
  const whole = dequantise(await words(await termsOf('institution', null), 'huge', huge), scale);
  assert.ok(Math.abs(Math.hypot(...whole) / clipNorm - 1) < 0.01);
  const positions = subsetPositions(nodeCipher, fromHex(createModelChain(nodeCipher, quiet).subset!, 32), d, 8);
  const sent = dequantise(await words(quiet, 'huge', huge), scale);
  for (const [at, position] of positions.entries()) assert.ok(Math.abs(sent[at]! - whole[position]!) <= 2 / scale);
  assert.equal(noisedRoundEvent(part, 3)!.dimension, 8);
  assert.ok(sensitivityOf(part)! <= sensitivityOf(await termsOf('institution', null, true))!);
});

test('local: each step is noised and charged whole; only what travels of the update is chosen', async () => {
  const part = await termsOf('local', 0.25, true);
  const whole = await termsOf('local', null, true);
  assert.deepEqual(noisedRoundEvent(part, 1), noisedRoundEvent(whole, 1));
});

test('counts and metrics travel whole; zeros and their noise have the right length in every mode', async () => {
  const part = await termsOf('union', 0.25);
  const counting: Contract = {
    ...part,
    training: { ...part.training, adaptiveClipping },
    sealing: { ...part.sealing, dimension: 5 },
  };
  const counted = await sealedVector({
    contract: counting,
    index: 0,
    parameters,
    subset: createModelChain(nodeCipher, counting).subset,
    random: seededRandom('count'),
    gradientSum: () => Promise.resolve(Float64Array.from([...gradient, 7.5])),
    pause: () => {},
  });
  assert.equal(counted.length, 5);
  const count = dequantise(counted, counting.sealing.scale).at(-1)!;
  assert.ok(Math.abs(count - 7.5 * adaptiveClipping.countWeight) <= 1 / counting.sealing.scale);
  for (const mode of modes) {
    const contract = await termsOf(mode, 0.25, true);
    const { subset } = createModelChain(nodeCipher, contract);
    const request = { contract, index: 0, parameters, random: seededRandom('zeros') };
    assert.equal((await zeroPlusNoise({ ...request, subset })).length, 4);
    await assert.rejects(zeroPlusNoise(request), { code: 'subset-seed-missing' });
  }
});

test('a real round with real records sends its part', async () => {
  const contract = await termsOf('union', 0.5, true);
  const { subset, parameters: first } = createModelChain(nodeCipher, contract);
  const { words: sent, failure } = await roundVector({
    contract,
    index: 0,
    parameters: first,
    subset,
    records: patientRecords(contract, 3),
    random: seededRandom('real'),
  });
  assert.equal(failure, null);
  assert.equal(sent.length, 8);
});
