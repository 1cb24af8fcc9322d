// A language study among real processes: institutions bring the checkpoint that the terms pin, train beside it, and end with
// one model, which a simulation of the same terms gives too. What is refused: no checkpoint, another one, one that changed later.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Contract } from '../../../app/study/contract.ts';
import { taskFindings } from '../../../app/review/task-rules.ts';
import type { Task } from '../../../app/study/task.ts';
import { languageLayout } from '../../../app/training/language/task.ts';
import type { LanguageTask } from '../../../app/training/types.ts';
import { checkpointText } from '../../../main/cli/study-report.ts';
import { openCheckpoint } from '../../../main/host/checkpoint/checkpoint-folder.ts';
import { openAdapter } from '../../../main/host/checkpoint/adapter-folder.ts';
import { openModelFolder } from '../../../main/host/model/folder.ts';
import { simulateFiles } from '../../../main/host/model/simulated-study.ts';
import { languageDraft } from '../../bench/language-study.ts';
import { tinyNotes, tinyTask, writeTinyCheckpoint } from '../checkpoint/tiny-checkpoint.ts';
import { freePort } from '../free-port.ts';
import { consentEverybody, endedWithin, processFederation } from './process-federation.ts';
import type { ProcessFederation } from './process-federation.ts';

const rounds = 2;
const schedule: Contract['schedule'] = {
  rounds,
  attempts: rounds,
  stageSeconds: { ready: 120, shares: 120, masked: 120, consistency: 120, unmask: 120 },
  intervalSeconds: 0,
};
const units = 24;

let fed: ProcessFederation;
let own = '';
let hash = '';
const sites = ['site-0', 'site-1', 'site-2'];

/** Everybody's every text in every round and no noise, so that what comes out follows from the terms. */
function draft() {
  const roster = sites.map((name) => ({ name, nominalUnits: units }));
  const server = { kind: 'fedadam', learningRate: 0.05, firstDecay: 0.9, secondDecay: 0.99, adaptivity: 1e-3 } as const;
  const training = { samplingRate: 1, server };
  return languageDraft({
    name: 'words',
    task: tinyTask(hash, 'text-classification'),
    roster,
    rounds,
    epsilon: null,
    training,
  });
}

before(async () => {
  own = await mkdtemp(join(tmpdir(), 'language-federation-'));
  hash = await writeTinyCheckpoint(join(own, 'checkpoint'));
  fed = await processFederation({
    records: sites.map((_, site) => tinyNotes(site)),
    port: await freePort(),
    schedule,
    units,
    change: (base) => {
      const { task, training, privacy, sealing } = draft();
      return { ...base, task, training, privacy, sealing };
    },
  });
  await writeTinyCheckpoint(join(own, 'other'), 4);
});
after(async () => {
  await fed.close();
  await rm(own, { recursive: true, force: true });
});

const consent = (...more: readonly string[]) => {
  const data = ['--data', fed.at('records-0/records.csv'), '--contract', fed.at('signed.json'), '--accept-no-noise'];
  const keys = ['--home', fed.at('site-0'), '--credential-file', fed.at('credential')];
  return fed.start('participant', 'consent', ...keys, ...data, ...more).ended;
};

test('the terms say which checkpoint every institution brings, and where to get it', async () => {
  const source = 'tiny-words, revision 3, by the lead';
  const said = await fed.start('study', 'check', fed.at('signed.json')).ended;
  const { checkpoint, findings } = JSON.parse(said.out) as {
    readonly checkpoint: unknown;
    readonly findings: readonly { readonly code: string }[];
  };
  assert.deepEqual(checkpoint, { hash, source });
  const task = draft().task as LanguageTask;
  const lines = checkpointText(task).join('\n');
  assert.ok(lines.includes(hash) && lines.includes(`where to get it: "${source}"`), lines);
  assert.ok(!findings.some(({ code }) => code === 'checkpoint-source-missing'));
  const { source: _source, ...bare } = task.model.checkpoint;
  const silent = { ...draft(), task: { ...task, model: { ...task.model, checkpoint: bare } } as Task };
  assert.ok(taskFindings(silent).some(({ code, level }) => code === 'checkpoint-source-missing' && level === 'warn'));
  assert.match(checkpointText(silent.task).join(), /do not say where to get it/);
});

test('nobody consents without the checkpoint that the terms pin', { timeout: 300_000 }, async () => {
  const none = await consent();
  assert.notEqual(none.code, 0);
  assert.match(fed.said(), new RegExp(`checkpoint-missing.*${hash}.*--checkpoint DIR`));
  const other = await consent('--checkpoint', join(own, 'other'));
  assert.notEqual(other.code, 0);
  assert.match(fed.said(), /checkpoint-differs/);
});

test(
  'three institutions adapt the checkpoint, one is killed, and all hold the simulation’s model',
  { timeout: 600_000 },
  async () => {
    const coordinator = await fed.startCoordinator();
    await consentEverybody(fed, '--accept-no-noise', '--checkpoint', join(own, 'checkpoint'));

    // A checkpoint that changed after the consent stops the run before anything is sent, and put back lets it go on.
    const weights = join(own, 'checkpoint', 'model.safetensors');
    const right = await readFile(weights);
    const wrong = Buffer.from(right);
    wrong[wrong.length - 1]! ^= 1;
    await writeFile(weights, wrong);
    const refused = await endedWithin(fed.takePart('site-0'), 60);
    assert.equal(refused.code, 1, 'it refuses, and does not wait for a round');
    assert.match(fed.said(), /The model in .*checkpoint is not the one that the study terms name/);
    await writeFile(weights, right);

    const killed = fed.takePart('site-0');
    const others = ['site-1', 'site-2'].map((name) => fed.takePart(name));
    await once(killed.child.stdout!, 'data');
    killed.child.kill('SIGKILL');
    await killed.ended;
    const ends = await Promise.all([fed.takePart('site-0'), ...others].map((life) => endedWithin(life, 240)));
    for (const { code, out } of ends) {
      assert.equal(code, 0, out + fed.said());
      const outcome = JSON.parse(out.trimEnd().split('\n').at(-1)!) as { readonly [name: string]: unknown };
      assert.equal(outcome['outcome'], 'complete');
      assert.equal(outcome['roundsClosed'], rounds);
    }
    coordinator.child.kill('SIGTERM');
    await coordinator.ended;

    const simulated = await simulateFiles({
      draft: draft(),
      silos: new Map(sites.map((name, site) => [name, fed.at(`records-${site}/records.csv`)])),
      tests: new Map(),
      checkpoint: join(own, 'checkpoint'),
      seed: '1',
    });
    let shared: Float32Array | null = null;
    for (const name of sites) {
      const folder = fed.at(`model-${name}`);
      const keys = ['--home', fed.at(name), '--credential-file', fed.at('credential')];
      await fed.ok('model', 'export', ...keys, '--out', folder, '--not-released');
      const { parameters } = await openModelFolder(folder);
      // One model for all; the simulation's but for what rounding to integers drew, far below a step of the optimiser.
      shared ??= parameters;
      assert.deepEqual(parameters, shared);
      for (const [i, value] of parameters.entries()) assert.ok(Math.abs(value - simulated.released[i]!) < 1e-3, `${i}`);
      // The same folder is an adapter in PEFT layout.
      const checkpoint = await openCheckpoint(join(own, 'checkpoint'));
      await checkpoint.close();
      assert.deepEqual((await openAdapter(folder, checkpoint.configuration)).parameters, parameters);
    }

    // The exported model says what kind of note a row is, beside its checkpoint alone.
    const [folder, notes] = [fed.at('model-site-0'), fed.at('records-1/records.csv')];
    const predict = ['model', 'predict', folder, '--data', notes];
    const beside = ['--checkpoint', join(own, 'checkpoint')];
    const told = await fed.ok(...predict, ...beside);
    assert.equal(told['rows'], units);
    const predictions = told['predictions'] as readonly {
      readonly probabilities: number[];
      readonly predicted: string;
    }[];
    let correct = 0;
    for (const [row, { probabilities, predicted }] of predictions.entries()) {
      assert.ok(Math.abs(probabilities[0]! + probabilities[1]! - 1) < 1e-9);
      assert.equal(predicted, probabilities[0]! >= probabilities[1]! ? 'up' : 'down');
      correct += predicted === ((row + 1) % 2 === 0 ? 'up' : 'down') ? 1 : 0;
    }
    assert.equal((told['metrics'] as { readonly accuracy: number }).accuracy, correct / units);
    const without = await fed.start(...predict).ended;
    assert.notEqual(without.code, 0);

    // A head of an institution's own, for itself: the adapter stays as it is, and the card says that it must not leave.
    const personal = fed.at('personal');
    const fitted = await fed.ok('model', 'personalise', ...predict.slice(2), ...beside, '--out', personal);
    assert.deepEqual([fitted['fitted'], fitted['tested']], [20, 4]);
    const [common, local] = [await openModelFolder(folder), await openModelFolder(personal)];
    const head = languageLayout(draft().task as LanguageTask).head!;
    assert.deepEqual(local.parameters.slice(0, head.kernel), common.parameters.slice(0, head.kernel));
    assert.notDeepEqual(local.parameters.slice(head.kernel), common.parameters.slice(head.kernel));
    assert.equal(local.card.released, false);
    assert.match(await readFile(join(personal, 'card.md'), 'utf8'), /^.*Not to be given away/m);
    const better = await fed.ok('model', 'predict', personal, '--data', notes, ...beside);
    const accuracyOf = (said: typeof told): number => (said['metrics'] as { readonly accuracy: number }).accuracy;
    assert.ok(accuracyOf(better) >= accuracyOf(told), `${accuracyOf(better)} after ${accuracyOf(told)}`);
  },
);
