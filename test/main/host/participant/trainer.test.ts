// Whatever becomes of training, a vector with its noise is there in time, and the reason stays at home.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { RefusalError, UnavailableError } from '../../../../app/errors.ts';
import { nodeMachine } from '../../../../main/host/machine.ts';
import { digestOf } from '../../../../main/host/participant/dataset.ts';
import { roundTrainer } from '../../../../main/host/participant/trainer.ts';
import type { RoundTrainerOptions } from '../../../../main/host/participant/trainer.ts';
import { sampleStudy } from '../../../app/round/sample-study.ts';
import { recordsText } from './homes.ts';

const { contract } = sampleStudy({ institutions: 3 });
const parameters = new Float32Array(contract.sealing.dimension);
type Run = RoundTrainerOptions['trainer']['run'];

async function setUp(t: TestContext, run: Run, patienceMs = 60_000) {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-trainer-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const recordsFile = join(folder, 'records.csv');
  await writeFile(recordsFile, recordsText(30, 1));
  const salt = 'ab'.repeat(16);
  const consented = { name: 'records', salt, digest: await digestOf(recordsFile, salt) };
  const trainer = { run, close: () => Promise.resolve() };
  const excluded = () => Promise.resolve(null);
  const lost: number[] = [];
  const onLost = (round: number): void => void lost.push(round);
  const options = { trainer, index: 0, machine: nodeMachine, recordsFile, consented, patienceMs, excluded, onLost };
  return { round: roundTrainer(options), recordsFile, lost };
}

const giving = (words: Uint32Array, failure: string | null = null): Run =>
  (() => Promise.resolve({ kind: 'round', words, failure })) as never;

/** Stops only when it is cancelled, as the trainer process does. */
const endless: Run = (_work, options) =>
  new Promise((_resolve, reject) => {
    const cancel = (): void => reject(new UnavailableError('training-cancelled', 'Cancelled.'));
    if (options?.signal?.aborted === true) cancel();
    options?.signal?.addEventListener('abort', cancel);
  });

const isNoise = (words: Uint32Array): boolean =>
  words.length === contract.sealing.dimension && words.some((word) => word !== 0);

test('the trainer’s words are handed on, and are those of the round that was begun', async (t) => {
  const words = Uint32Array.of(1, 2, 3, 4, 5);
  const { round } = await setUp(t, giving(words));
  round.begin(1, parameters, contract, null);
  assert.deepEqual(await round.vector(1, parameters, contract, null), { words, trained: true, reason: null });
  assert.deepEqual(await round.vector(2, parameters, contract, null), { words, trained: true, reason: null });
});

test('zeros that the trainer reports itself are called untrained', async (t) => {
  const { round } = await setUp(t, giving(new Uint32Array(5), 'gradient-not-finite'));
  const { trained, reason } = await round.vector(1, parameters, contract, null);
  assert.deepEqual([trained, reason], [false, 'gradient-not-finite']);
});

test('a failure, an unknown error and lateness give zeros plus noise, with a code and never a message', async (t) => {
  const failing: [Run, string, number?][] = [
    [() => Promise.reject(new RefusalError('scale-too-coarse', 'Secret.')), 'scale-too-coarse'],
    [() => Promise.reject(new Error('Secret content')), 'training-failed'],
    [endless, 'training-late', 20],
  ];
  for (const [run, code, patience] of failing) {
    const { round } = await setUp(t, run, patience);
    const { words, trained, reason } = await round.vector(1, parameters, contract, null);
    assert.deepEqual([trained, reason], [false, code]);
    assert.ok(isNoise(words));
  }
});

test('records that are no longer the consented ones train nothing', async (t) => {
  let ran = 0;
  const { round, recordsFile } = await setUp(t, (...given) => {
    ran++;
    return giving(new Uint32Array(5))(...given);
  });
  assert.equal((await round.vector(1, parameters, contract, null)).trained, true);
  await writeFile(recordsFile, recordsText(31, 2));
  const { words, trained, reason } = await round.vector(2, parameters, contract, null);
  assert.deepEqual([trained, reason, ran], [false, 'dataset-changed', 1]);
  assert.ok(isNoise(words));
});

test('a trainer that dies is followed by another, from its last checkpoint; the third death gives zeros', async (t) => {
  const checkpoint = { steps: 3, parameters: new Float32Array(5).fill(2), beside: new Float64Array(0) };
  const resumed: unknown[] = [];
  let deaths = 2;
  const dying: Run = async (work, options) => {
    resumed.push('resume' in work ? work.resume : undefined);
    if (deaths-- <= 0) return { kind: 'round', words: Uint32Array.of(1, 2, 3, 4, 5), failure: null } as never;
    if (deaths === 1) options?.onCheckpoint?.(checkpoint);
    throw new UnavailableError('trainer-stopped', 'Died.');
  };
  const { round, lost } = await setUp(t, dying);
  assert.deepEqual(await round.vector(1, parameters, contract, null), {
    words: Uint32Array.of(1, 2, 3, 4, 5),
    trained: true,
    reason: null,
  });
  assert.deepEqual(resumed, [null, checkpoint, checkpoint]);
  deaths = 3;
  const { words, trained, reason } = await round.vector(2, parameters, contract, null);
  assert.deepEqual([trained, reason, isNoise(words)], [false, 'trainer-stopped', true]);
  // Told of each that another one followed; the third is told as a round without training.
  assert.deepEqual(lost, [1, 1, 2, 2]);
});

test('a new round drops the one before; closing refuses instead of giving zeros', async (t) => {
  const { round } = await setUp(t, endless);
  round.begin(1, parameters, contract, null);
  round.begin(2, parameters, contract, null);
  const waiting = round.vector(2, parameters, contract, null);
  await round.close();
  await assert.rejects(waiting, { code: 'stopping' });
});
