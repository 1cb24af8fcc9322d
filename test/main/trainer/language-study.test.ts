// Whole studies that train language models, in one process: both tasks, all three modes, record and person unit, on a tiny
// checkpoint that the test makes. What is refused: another checkpoint, a text too long, tables where a text is needed.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { InputError, RefusalError } from '../../../app/errors.ts';
import { deriveDraft } from '../../../app/review/derive.ts';
import { parseDraft } from '../../../app/study/signed-contract.ts';
import type { Task } from '../../../app/study/task.ts';
import { testedUnits } from '../../../app/training/evaluation-vector.ts';
import { initialAdapter } from '../../../app/training/language/adapter.ts';
import { classScores, evaluateLanguage } from '../../../app/training/language/evaluate.ts';
import { parameterCount, parameterTensors } from '../../../app/training/model.ts';
import { isLanguageTask } from '../../../app/training/types.ts';
import { readTable } from '../../../main/host/import/read-table.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { simulateFiles } from '../../../main/host/model/simulated-study.ts';
import type { SimulatedStudy } from '../../../main/host/model/simulated-study.ts';
import { openLanguage } from '../../../main/trainer/language.ts';
import { languageDraft } from '../../bench/language-study.ts';
import type { LanguageStudy } from '../../bench/language-study.ts';
import {
  tinyConfiguration,
  tinyModel,
  tinyNotes,
  tinyTask,
  writeTinyCheckpoint,
} from '../checkpoint/tiny-checkpoint.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'language-study-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const names = ['north', 'south', 'west'];
let hash = '';

before(async () => {
  hash = await writeTinyCheckpoint(folder);
  for (const [site, name] of [...names, 'test'].entries())
    writeFileSync(path.join(folder, `${name}.csv`), tinyNotes(site));
});

const model = (): Task['model'] => tinyModel(hash);
const taskOf = (kind: 'causal-lm' | 'text-classification', change: Parameters<typeof tinyTask>[2] = {}): Task =>
  tinyTask(hash, kind, change);

const server = { kind: 'fedadam', learningRate: 0.05, firstDecay: 0.9, secondDecay: 0.99, adaptivity: 1e-3 } as const;
const half = { samplingRate: 0.5, server };

function study(task: Task, change: Partial<LanguageStudy> = {}): LanguageStudy {
  const roster = names.map((name) => ({ name, nominalUnits: 24 }));
  return { name: 'words', task, roster, rounds: 2, epsilon: null, training: half, ...change };
}

function simulate(terms: LanguageStudy, checkpoint: string | null = folder, ownSite = false): Promise<SimulatedStudy> {
  const files = (all: readonly string[]) => new Map(all.map((name) => [name, path.join(folder, `${name}.csv`)]));
  const draft = parseDraft(JSON.stringify(languageDraft(terms)));
  const tests = new Map([['north', path.join(folder, 'test.csv')]]);
  return simulateFiles({ draft, silos: files(names), tests, checkpoint, seed: '7', ownSite });
}

const score = (run: SimulatedStudy): number => run.metrics!.federated.mean;

test('causal-lm learns, and the same seed gives the same bits', { timeout: 300_000 }, async () => {
  const one = await simulate(study(taskOf('causal-lm'), { rounds: 1 }));
  const run = await simulate(study(taskOf('causal-lm'), { rounds: 16 }), folder, true);
  assert.equal(run.metric, 'perplexity');
  assert.ok(score(run) < 0.8 * score(one), `${score(run)} after ${score(one)}`);
  assert.ok(run.metrics!.ownSite!.mean < 0.9 * score(one));
  assert.equal(run.ledger.verified, true);
  const again = await simulate(study(taskOf('causal-lm'), { rounds: 1 }));
  assert.equal(again.model, one.model);
  assert.deepEqual(again.released, one.released);
});

test('text-classification learns', { timeout: 300_000 }, async () => {
  const task = taskOf('text-classification');
  const run = await simulate(study(task, { rounds: 24 }));
  assert.equal(run.metric, 'accuracy');
  assert.ok(score(run) > 0.75, String(score(run)));
  assert.equal(run.released.length, parameterCount(task));
  const parts = parameterTensors(task).map(({ shape, offset }) => [offset, shape.reduce((a, b) => a * b, 1)] as const);
  assert.equal(
    parts.reduce((total, [, size]) => total + size, 0),
    parameterCount(task),
  );
});

for (const mode of ['local', 'institution'] as const)
  test(`mode ${mode}, persons with several texts in pieces`, { timeout: 300_000 }, async () => {
    const person = mode === 'local';
    const task = taskOf('causal-lm', { pieces: 3, person });
    const training = {
      mode,
      unit: person ? ('person' as const) : ('institution' as const),
      person: person ? { rowCap: 2, combine: 'mean' as const } : null,
      samplingRate: 0.5,
      localSteps: 2,
      localLearningRate: 0.5,
      server: { kind: 'fedavg' as const, learningRate: 1 },
      microbatch: { units: 8, count: 2 },
    };
    const roster = names.map((name) => ({ name, nominalUnits: 24 }));
    const run = await simulate(study(task, { training, roster, epsilon: person ? 50 : null, rounds: 2 }));
    assert.equal(run.rounds, 2);
    assert.ok(Number.isFinite(score(run)));
    assert.equal(run.privacy.unit, training.unit);
  });

test('with noise, ε is stated and held', { timeout: 300_000 }, async () => {
  const run = await simulate(study(taskOf('causal-lm'), { epsilon: 8 }));
  assert.ok(run.privacy.epsilon.coordinator! <= 8 && run.privacy.epsilon.coordinator! > 6);
});

for (const mode of ['union', 'local'] as const)
  test(
    `mode ${mode}: the clip follows the norms of adapters’ gradients, at a constant charge`,
    { timeout: 300_000 },
    async () => {
      const person = mode === 'local';
      const task = taskOf('causal-lm', person ? { pieces: 3, person } : {});
      const rounds = 6;
      const rule = {
        quantile: 0.5,
        update: 'geometric',
        learningRate: 1,
        countWeight: 1,
        least: 1e-4,
        most: 1e4,
      } as const;
      const training = {
        ...half,
        ...(person
          ? {
              mode,
              unit: 'person' as const,
              person: { rowCap: 2, combine: 'mean' as const },
              localSteps: 2,
              localLearningRate: 0.5,
              server: { kind: 'fedavg' as const, learningRate: 1 },
            }
          : {}),
      };
      const roster = names.map((name) => ({ name, nominalUnits: person ? 12 : 24 }));
      const finalClip = async (clippingNorm: number, epsilon: number | null): Promise<number> => {
        const terms = { ...training, clippingNorm, adaptiveClipping: rule };
        const draft = languageDraft(study(task, { rounds, roster, epsilon, training: terms }));
        assert.equal(draft.sealing.dimension, parameterCount(task) + 1, 'the count stands beside the adapter');
        const run = await simulate(study(task, { rounds, roster, epsilon, training: terms }));
        assert.equal(run.rounds, rounds);
        assert.equal(run.ledger.verified, true);
        assert.equal(run.released.length, parameterCount(task));
        if (epsilon !== null) assert.ok(run.privacy.epsilon.coordinator! <= epsilon);
        return run.adaptation!.clip!;
      };
      // Far above every gradient, all units are within and the clip falls by e^{−η/2} a round; far below, it rises as fast.
      const wide = await finalClip(1000, null);
      assert.ok(Math.abs(wide / (1000 * Math.exp(-rounds / 2)) - 1) < 0.35, String(wide));
      const narrow = await finalClip(1e-3, null);
      assert.ok(Math.abs(narrow / (1e-3 * Math.exp(rounds / 2)) - 1) < 0.35, String(narrow));
      // With noise it moves by what the noised counts say, never faster.
      const noised = await finalClip(1000, 50);
      assert.ok(noised < 1000 && noised >= 1000 * Math.exp(-rounds / 2) * (1 - 1e-9), String(noised));
    },
  );

/** Texts of two to five words, so that counting texts and counting tokens differ. */
function unevenNotes(site: number): string {
  const [head, ...rows] = tinyNotes(site).split('\n');
  const cut = rows.map((row, at) => {
    const [who, words, kind] = row.split(',') as [string, string, string];
    const kept = words.split(' ').slice(0, 2 + (at % 4));
    return [who, kept.join(' '), kind].join(',');
  });
  return [head, ...cut].join('\n');
}

for (const { kind, mode = 'union', ...further } of [
  { kind: 'causal-lm' },
  { kind: 'causal-lm', perToken: true },
  { kind: 'causal-lm', perToken: true, mode: 'local' },
  { kind: 'text-classification', perClass: true },
  { kind: 'text-classification', perClass: true, mode: 'local' },
] as const)
  test(
    `${kind}, ${mode}, ${Object.keys(further).join()}: the sums tell how good the model is on texts that never trained`,
    { timeout: 300_000 },
    async () => {
      const evaluation = { share: 0.25, splitKey: '5a'.repeat(32), bins: 2, slices: [], leastCount: 5, ...further };
      const rounds = 2;
      const local = {
        mode: 'local',
        localSteps: 2,
        localLearningRate: 0.1,
        server: { kind: 'fedavg', learningRate: 1 },
      };
      const training = { ...half, samplingRate: 1, ...(mode === 'local' ? local : {}) } as LanguageStudy['training'];
      const drafted = { ...languageDraft(study(taskOf(kind), { rounds, training })), evaluation };
      const draft = deriveDraft(drafted, {
        modelDimension: parameterCount(drafted.task),
        targetEpsilon: null,
        colluders: null,
      });
      assert.equal(draft.sealing.dimension, parameterCount(drafted.task) + ('perClass' in further ? 3 + 6 : 3));
      const silos = new Map(names.map((name) => [name, path.join(folder, `${name}-uneven.csv`)]));
      for (const [site, file] of [...silos.values()].entries()) writeFileSync(file, unevenNotes(site));
      const run = await simulateFiles({ draft, silos, tests: new Map(), checkpoint: folder, seed: '7' });
      const [first] = run.evaluation!.rounds;

      // The same by hand for the first round, whose model is the start value: every text that the key puts on that side.
      const task = drafted.task;
      assert.ok(isLanguageTask(task));
      const language = await openLanguage(task, folder);
      let [count, right, loss, surprise, tokens] = [0, 0, 0, 0, 0];
      const [said, labels]: [number[], number[]] = [[], []];
      for (const file of silos.values()) {
        const records = await readTable(file, task.table, { labels: true, tokenise: language.tokenise });
        const units = Array.from({ length: records.rows }, (_, row) => [row]);
        const tested = testedUnits(nodeCipher, evaluation, records, units);
        for (const [row, wanted] of tested.entries()) {
          if (!wanted) continue;
          const own = {
            ...records,
            rows: 1,
            features: records.features.slice(row * records.width, (row + 1) * records.width),
            labels: records.labels.slice(row, row + 1),
          };
          const metrics = await evaluateLanguage(language, initialAdapter(language.layout), own);
          count++;
          if (metrics.kind === 'causal-lm') {
            loss += Math.log(metrics.perplexity);
            surprise += metrics.tokens * Math.log(metrics.perplexity);
            tokens += metrics.tokens;
            continue;
          }
          right += metrics.accuracy;
          const label = own.labels[0]!;
          labels.push(label);
          said.push(metrics.accuracy === 1 ? label : 1 - label);
        }
      }
      language.model.dispose();
      assert.ok(count >= 5, String(count));
      const close = (value: number, expected: number, apart = 0.01): void =>
        assert.ok(Math.abs(value - expected) < apart, `${value}, not ${expected}`);
      // In `local` both steps of the round test all of them.
      const times = mode === 'local' ? 2 : 1;
      close(first!.count, times * count, 0.02);
      if (kind === 'causal-lm') {
        assert.equal(first!.accuracy, null);
        assert.ok(Math.abs(surprise / tokens - loss / count) > 0.02, 'the two ways to count differ here');
        close(first!.loss!, 'perToken' in further ? surprise / tokens : loss / count);
        if ('perToken' in further) close(first!.tokens!, times * tokens, 0.5);
        else assert.equal(first!.tokens, null);
        assert.equal(first!.macroF1, null);
      } else {
        close(first!.accuracy!, right / count);
        assert.equal(first!.macroF1!.classes, 2);
        close(first!.macroF1!.value, classScores(Int32Array.from(said), Float32Array.from(labels)).macroF1);
      }
      assert.equal(run.evaluation!.rounds.length, rounds);
    },
  );

test('refused: no checkpoint, another one, a text too long for it', async () => {
  await assert.rejects(simulate(study(taskOf('causal-lm')), null), InputError);
  const other = {
    ...taskOf('causal-lm'),
    model: { ...model(), checkpoint: { hash: '0'.repeat(64), configuration: tinyConfiguration } },
  } as Task;
  await assert.rejects(
    simulate(study(other)),
    (error: unknown) => error instanceof RefusalError && error.code === 'checkpoint-differs',
  );
  const long = taskOf('causal-lm');
  const feature = long.table.features[0]!;
  const tooLong = { ...long, table: { ...long.table, features: [{ ...feature, tokens: 17 } as typeof feature] } };
  await assert.rejects(simulate(study(tooLong)), /reads 16 at most/);
});

test('a contract holds a text task to a text, and a tabular one to a table', () => {
  const draft = languageDraft(study(taskOf('causal-lm')));
  const parse = (task: object) => parseDraft(JSON.stringify({ ...draft, task }));
  const task = taskOf('causal-lm');
  parse(task);
  const number = { kind: 'number', column: 'x', least: 0, most: 1, outside: 'clamp', whenMissing: { rule: 'refuse' } };
  assert.throws(() => parse({ ...task, table: { ...task.table, features: [number] } }), InputError);
  assert.throws(() => parse({ ...task, kind: 'tabular-classification' }), InputError);
  assert.throws(() => parse({ ...task, model: { kind: 'linear', initialisation: { kind: 'zeros' } } }), InputError);
  assert.throws(
    () => parse({ ...task, table: { ...task.table, label: { kind: 'number', column: 'a', least: 0, most: 1 } } }),
    InputError,
  );
});

test('macro F1 is the mean over classes', () => {
  // Class 0: one right of two predicted and one labelled; class 1: one right of one and two.
  const { accuracy, macroF1 } = classScores(Int32Array.of(0, 0, 1), Float32Array.of(0, 1, 1));
  assert.ok(Math.abs(accuracy - 2 / 3) < 1e-12);
  assert.ok(Math.abs(macroF1 - 2 / 3) < 1e-12);
});
