// From gradient sums to words: exact without noise, the right noise with it in each mode, clipped and weighted updates,
// and a failed training that looks like zeros plus noise. Seeded; each statistical bound fails below once in 10^6.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { ConsilienceError } from '../../../app/errors.ts';
import { clampBound } from '../../../app/sealed-sum/quantise.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { initialParameters } from '../../../app/training/model.ts';
import { encodeTable, requireAccepted } from '../../../app/training/records.ts';
import { chooseBackend } from '../../../main/trainer/candidates.ts';
import { sealedVector, zeroPlusNoise } from '../../../main/trainer/sealed-vector.ts';
import type { Checkpoint } from '../../../main/trainer/sealed-vector.ts';
import { roundVector, TrainingCancelled } from '../../../main/trainer/step.ts';
import { seededRandom } from '../../app/seeded-random.ts';
import { patientTable, studyContract } from './synthetic.ts';

before(() => chooseBackend());

const decoded = (words: Uint32Array, scale: number): Float64Array =>
  Float64Array.from(words, (word) => (word | 0) / scale);

function changed(
  contract: Contract,
  change: { readonly [part in 'training' | 'sealing' | 'privacy']?: object },
): Contract {
  return {
    ...contract,
    training: { ...contract.training, ...change.training },
    sealing: { ...contract.sealing, ...change.sealing },
    privacy: { ...contract.privacy, ...change.privacy },
  };
}

const quiet = { sealing: { noiseVariance: 0 }, privacy: { noise: 'none' } } as const;

/** The vector made of this gradient sum at every step. */
function vectorOf(contract: Contract, sum: Float64Array, seed: string, index = 0): Promise<Uint32Array> {
  return sealedVector({
    contract,
    index,
    parameters: new Float32Array(contract.sealing.dimension),
    random: seededRandom(seed),
    gradientSum: () => Promise.resolve(sum),
    pause: () => {},
  });
}

/** The mean of squares of many vectors made of zeros. */
async function noisePower(
  contract: Contract,
  scale: number,
): Promise<{ readonly power: number; readonly count: number }> {
  const random = seededRandom('power');
  let squares = 0;
  let count = 0;
  for (let draw = 0; draw < 40; draw++) {
    const parameters = new Float32Array(contract.sealing.dimension);
    for (const value of decoded(await zeroPlusNoise({ contract, index: 1, parameters, random }), scale)) {
      squares += value * value;
      count++;
    }
  }
  return { power: squares / count, count };
}

function assertPower({ power, count }: { readonly power: number; readonly count: number }, expected: number): void {
  assert.ok(Math.abs(power / expected - 1) < 6 * Math.sqrt(2 / count), `mean of squares ${power}, not ${expected}`);
}

test('union without noise: the words are the sum on the grid', async () => {
  const contract = changed(await studyContract('heart-private'), quiet);
  const sum = Float64Array.from({ length: 16 }, (_, i) => i - 7.5);
  assert.deepEqual(decoded(await vectorOf(contract, sum, 'exact'), contract.sealing.scale), sum);
});

test('the noise has variance v in union and institution, and that of all steps in local', async () => {
  const union = await studyContract('heart-private');
  const { scale, noiseVariance } = union.sealing;
  assertPower(await noisePower(union, scale), noiseVariance / scale ** 2);
  const institution = changed(union, {
    training: { mode: 'institution', unit: 'institution', localLearningRate: 0.1 },
  });
  assertPower(await noisePower(institution, scale), noiseVariance / scale ** 2);

  const local = await studyContract('heart-local');
  const { training, sealing, roster } = local;
  const weight = roster[1]!.nominalUnits / 200;
  const perStep = (training.localLearningRate! * weight) / (training.samplingRate * roster[1]!.nominalUnits);
  const expected = (training.localSteps * perStep ** 2 * sealing.noiseVariance) / sealing.scale ** 2;
  assertPower(await noisePower(local, sealing.updateScale!), expected);
});

test('local: the update is weighted by nominal units and has its own grid; sums are clamped to their bound', async () => {
  const contract = changed(await studyContract('heart-local'), { ...quiet, training: { localSteps: 2 } });
  const sum = new Float64Array(16).fill(17);
  const scale = contract.sealing.updateScale!;
  const found = decoded(await vectorOf(contract, sum, 'weighted', 1), scale);
  const expected = (-2 * 17 * contract.training.localLearningRate!) / 170 / (200 / 170);
  for (const value of found) assert.ok(Math.abs(value - expected) <= 1 / scale);
  const bound = clampBound({ institutions: 4, variance: 0 });
  const fine = changed(contract, { sealing: { updateScale: 2 ** 24 } });
  const huge = await vectorOf(fine, new Float64Array(16).fill(1e12), 'huge');
  assert.deepEqual(
    Array.from(huge, (word) => word | 0),
    Array.from(huge, () => -bound),
  );
});

test('local: from any checkpoint the update is that of a run without a stop, to the rounding', async () => {
  const steps = 5;
  const contract = changed(await studyContract('heart-local'), { ...quiet, training: { localSteps: steps } });
  const scale = contract.sealing.updateScale!;
  // Depends on where the iterate stands, so that a step too many or too few would show.
  const gradientSum = (at: Float32Array) => Promise.resolve(Float64Array.from(at, (value, i) => 30 * (i - value)));
  const run = async (seed: string, resume: Checkpoint | null, onCheckpoint: (checkpoint: Checkpoint) => void) => {
    const parameters = new Float32Array(contract.sealing.dimension);
    const random = seededRandom(seed);
    const request = { contract, index: 1, parameters, random, gradientSum, pause: () => {} };
    return decoded(await sealedVector({ ...request, resume, onCheckpoint }), scale);
  };
  const checkpoints: Checkpoint[] = [];
  const whole = await run('whole', null, (checkpoint) => checkpoints.push(checkpoint));
  assert.deepEqual(
    checkpoints.map((checkpoint) => checkpoint.steps),
    [1, 2, 3, 4],
  );
  for (const checkpoint of checkpoints) {
    const resumed = await run(`from ${checkpoint.steps}`, checkpoint, () => {});
    for (const [i, value] of resumed.entries())
      assert.ok(Math.abs(value - whole[i]!) < 0.02, `${value}, not ${whole[i]}`);
  }
  const past = { ...checkpoints[0]!, steps };
  await assert.rejects(
    run('past the end', past, () => {}),
    RangeError,
  );
});

test('institution: the whole update is clipped to C, whatever the gradients were', async () => {
  const change = { ...quiet, training: { mode: 'institution', unit: 'institution', localLearningRate: 1 } };
  const contract = changed(await studyContract('heart-private'), change);
  const found = decoded(await vectorOf(contract, new Float64Array(16).fill(1e9), 'clip'), contract.sealing.scale);
  const length = Math.hypot(...found);
  assert.ok(length <= contract.training.clippingNorm && length > 0.99 * contract.training.clippingNorm);
});

async function realRound(contract: Contract, pause: (done: number, total: number) => void, seed: string) {
  const lines = patientTable(150).trim().split('\n');
  const table = lines.map((row, i) => ({ line: i + 1, cells: row.split(',') }));
  return roundVector({
    contract,
    index: 0,
    parameters: initialParameters(contract.task),
    records: requireAccepted(encodeTable(contract.task.table, table)),
    random: seededRandom(seed),
    pause,
  });
}

test('a real round sees the records, and each of them', async () => {
  const contract = changed(await studyContract('heart-private'), { ...quiet, training: { samplingRate: 1 } });
  const progress: number[] = [];
  const { words, failure } = await realRound(contract, (done) => void progress.push(done), 'real');
  assert.equal(failure, null);
  // At zero parameters every clipped bias gradient has one sign per label; together they balance the two classes.
  const sum = decoded(words, contract.sealing.scale);
  assert.ok(Math.hypot(...sum) > 1);
  // Slots by blocks of 64, told before each block and each pass.
  assert.deepEqual([...new Set(progress)], [0, 64, 128, 192]);
  const twice = await realRound(contract, () => {}, 'other placement');
  for (const [i, value] of decoded(twice.words, contract.sealing.scale).entries())
    assert.ok(Math.abs(value - sum[i]!) < 1e-3, 'at rate 1 only rounding differs');
});

test('a failure inside a step becomes zeros plus noise and is told to the institution alone', async () => {
  const contract = await studyContract('heart-private');
  let calls = 0;
  const failing = await realRound(
    contract,
    () => {
      if (++calls === 2) throw new ConsilienceError('driver-lost', 'The accelerator is gone.');
    },
    'fails',
  );
  assert.equal(failing.failure, 'driver-lost');
  const silent = changed(contract, quiet);
  calls = 0;
  const zeros = await realRound(
    silent,
    () => {
      if (++calls === 2) throw new Error('anything');
    },
    'fails',
  );
  assert.equal(zeros.failure, 'training-failed');
  assert.deepEqual(zeros.words, new Uint32Array(16));
  const cancel = (): never => {
    throw new TrainingCancelled();
  };
  await assert.rejects(realRound(contract, cancel, 'cancelled'), TrainingCancelled);
});

test('records of another study are refused', async () => {
  const contract = await studyContract('heart-raw');
  const records = { rows: 1, width: 3, features: new Float32Array(3), labels: new Float32Array(1), persons: null };
  const parameters = initialParameters(contract.task);
  await assert.rejects(
    roundVector({ contract, index: 0, parameters, records, random: seededRandom('x') }),
    (error: unknown) => error instanceof ConsilienceError && error.code === 'width-differs',
  );
});
