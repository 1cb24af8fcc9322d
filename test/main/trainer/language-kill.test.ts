// A trainer that is killed in the middle of a round of a language study, as a real process: in the mode `local` the next one
// goes on from the last finished step and ends where an undisturbed one does; in the others it begins anew, and does too.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { UnavailableError } from '../../../app/errors.ts';
import type { Task } from '../../../app/study/task.ts';
import { parameterCount, initialParameters } from '../../../app/training/model.ts';
import { openCheckpoint, checkpointHash } from '../../../main/host/checkpoint/checkpoint-folder.ts';
import { Trainer } from '../../../main/trainer/client.ts';
import type { RoundWork } from '../../../main/trainer/messages.ts';
import type { Checkpoint } from '../../../main/trainer/sealed-vector.ts';
import { languageDraft } from '../../bench/language-study.ts';
import type { LanguageStudy } from '../../bench/language-study.ts';
import { storiesFolder, storiesMissing } from '../checkpoint/stories.ts';
import { wordTokenizer } from '../checkpoint/word-tokenizer.ts';
import { tinyNotes, tinyTask, writeTinyCheckpoint } from '../checkpoint/tiny-checkpoint.ts';
import { contractFromDraft } from './plain-federation.ts';

let folder = '';
let hash = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'language-kill-'));
  hash = await writeTinyCheckpoint(folder);
  await writeFile(join(folder, 'notes.csv'), tinyNotes(0));
});
after(() => rm(folder, { recursive: true, force: true }));

const fedavg = { kind: 'fedavg', learningRate: 1 } as const;

/** Everybody's every text in every step and no noise, so that what comes out follows from the terms but for rounding. */
function workOf(task: Task, training: LanguageStudy['training'], checkpointFolder = folder, units = 24): RoundWork {
  const roster = ['north', 'south', 'west'].map((name) => ({ name, nominalUnits: units }));
  const draft = languageDraft({
    name: 'words',
    task,
    roster,
    rounds: 2,
    epsilon: null,
    training: { samplingRate: 1, ...training },
  });
  const parameters = initialParameters(task);
  const recordsFile = join(folder, 'notes.csv');
  const contract = contractFromDraft(draft);
  return { kind: 'round', contract, index: 0, parameters, recordsFile, checkpointFolder, excluded: null };
}

/** Kills the trainer at the first moment that `when` picks (its first progress is when it begins), and gives the last checkpoint that it told. */
async function killed(trainer: Trainer, work: RoundWork, when: 'progress' | 'checkpoint'): Promise<Checkpoint | null> {
  const kill = (): void => void process.kill(trainer.pid!, 'SIGKILL');
  let last: Checkpoint | null = null;
  const job = trainer.run(work, {
    onProgress: () => void (when === 'progress' ? kill() : null),
    onCheckpoint: (checkpoint) => {
      last = checkpoint;
      if (when === 'checkpoint') kill();
    },
  });
  await assert.rejects(job, (error) => error instanceof UnavailableError && error.code === 'trainer-stopped');
  return last;
}

/** Largest difference of two vectors of ring words, in grid steps. */
function apart(left: Uint32Array, right: Uint32Array): number {
  assert.equal(left.length, right.length);
  return left.reduce((most, word, i) => Math.max(most, Math.abs((word - right[i]!) | 0)), 0);
}

test('causal-lm, mode local, persons: the next trainer goes on from the last step', { timeout: 300_000 }, async (t) => {
  const task = tinyTask(hash, 'causal-lm', { pieces: 3, person: true });
  const steps = 300;
  const work = workOf(
    task,
    {
      mode: 'local',
      unit: 'person',
      person: { rowCap: 2, combine: 'mean' },
      localSteps: steps,
      localLearningRate: 0.05,
      server: fedavg,
      microbatch: { units: 6, count: 2 },
    },
    folder,
    12,
  );
  const trainer = new Trainer();
  t.after(() => trainer.close());
  const checkpoint = await killed(trainer, work, 'checkpoint');
  assert.ok(checkpoint !== null && checkpoint.steps > 0 && checkpoint.steps < steps);
  assert.equal(checkpoint.parameters.length, parameterCount(task));
  const seen: number[] = [];
  const resumed = await trainer.run(
    { ...work, resume: checkpoint },
    { onProgress: (done, total) => seen.push(done / total) },
  );
  assert.ok(seen[0]! >= checkpoint.steps / steps, `${seen[0]} after ${checkpoint.steps} of ${steps} steps`);
  const whole = await trainer.run(work);
  assert.deepEqual([resumed.failure, whole.failure], [null, null]);
  // Each step draws its rounding anew, so the two are close and not the same.
  const moved = apart(whole.words, new Uint32Array(whole.words.length));
  assert.ok(apart(resumed.words, whole.words) < 0.1 * moved, `${apart(resumed.words, whole.words)} of ${moved}`);
});

for (const mode of ['institution', 'union'] as const)
  test(`text-classification, mode ${mode}: the next trainer begins anew`, { timeout: 300_000 }, async (t) => {
    const task = tinyTask(hash, 'text-classification');
    const institution = {
      mode,
      unit: 'institution',
      localSteps: 80,
      localLearningRate: 0.05,
      clippingNorm: 5,
      server: fedavg,
    } as const;
    // Many blocks of few slots, so that there is a middle to be killed in.
    const work = workOf(task, mode === 'union' ? { microbatch: { units: 1, count: 20_000 } } : institution);
    const trainer = new Trainer();
    t.after(() => trainer.close());
    assert.equal(await killed(trainer, work, 'progress'), null, 'what is without noise is not told');
    const seen: number[] = [];
    const again = await trainer.run(work, { onProgress: (done) => seen.push(done) });
    assert.equal(seen[0], 0);
    const undisturbed = await trainer.run(work);
    assert.deepEqual([again.failure, undisturbed.failure], [null, null]);
    assert.ok(again.words.some((word) => word !== 0));
    assert.ok(apart(again.words, undisturbed.words) <= 2);
  });

test(
  'texts are read anew for another checkpoint, whose tokenizer may cut them otherwise',
  { timeout: 300_000 },
  async (t) => {
    const other = await mkdtemp(join(tmpdir(), 'language-other-'));
    t.after(() => rm(other, { recursive: true, force: true }));
    await writeTinyCheckpoint(other);
    // The same weights, and a tokenizer that puts no token before a text.
    await writeFile(join(other, 'tokenizer.json'), JSON.stringify(wordTokenizer(12, false)));
    const work = workOf(tinyTask(await checkpointHash(other), 'causal-lm'), {}, other);
    const [alone, after] = [new Trainer(), new Trainer()];
    t.after(() => Promise.all([alone.close(), after.close()]));
    const right = await alone.run(work);
    const before = await after.run(workOf(tinyTask(hash, 'causal-lm'), {}));
    const again = await after.run(work);
    assert.deepEqual([right.failure, before.failure, again.failure], [null, null, null]);
    assert.ok(apart(before.words, right.words) > 20, 'the tokenizer matters');
    assert.ok(apart(again.words, right.words) <= 2, `${apart(again.words, right.words)}`);
  },
);

test('a small real model: killed, resumed, done', { skip: storiesMissing, timeout: 300_000 }, async (t) => {
  const opened = await openCheckpoint(storiesFolder);
  await opened.close();
  const base = tinyTask(await checkpointHash(storiesFolder), 'causal-lm', { pieces: 1 });
  const checkpoint = { hash: await checkpointHash(storiesFolder), configuration: opened.configuration };
  const adapter = { kind: 'lora', rank: 2, alpha: 4, targets: ['q_proj', 'v_proj'], freezeA: false, seed: 1 };
  const features = base.table.features.map((feature) => ({ ...feature, tokens: 16 }));
  const task = {
    ...base,
    table: { ...base.table, features },
    model: { kind: 'adapted-checkpoint', checkpoint, adapter },
  } as unknown as Task;
  const training = { mode: 'local', localSteps: 60, localLearningRate: 0.1, server: fedavg } as const;
  const work = workOf(task, { ...training, microbatch: { units: 8, count: 3 } }, storiesFolder);
  const trainer = new Trainer();
  t.after(() => trainer.close());
  const last = await killed(trainer, work, 'checkpoint');
  assert.ok(last !== null && last.steps > 0);
  const resume = { ...last, steps: 59 };
  const seen: number[] = [];
  const outcome = await trainer.run({ ...work, resume }, { onProgress: (done, total) => seen.push(done / total) });
  assert.equal(outcome.failure, null);
  assert.ok(seen.every((share) => share >= 59 / 60));
  assert.ok(outcome.words.some((word) => word !== 0));
});
