// Metrics in the sums: who is tested on is never trained on, a unit's vector is no longer than C, the numbers are those of
// the plain evaluation, a round costs what it costs without them, and a whole study reports them.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { deriveDraft } from '../../../../app/review/derive.ts';
import { evaluationFindings } from '../../../../app/review/evaluation-rules.ts';
import { privacyFigures } from '../../../../app/review/privacy-figures.ts';
import { metricWords, noisedRoundEvent, partsOfClip } from '../../../../app/review/round-event.ts';
import { readSum } from '../../../../app/round/adaptation.ts';
import { dequantise } from '../../../../app/sealed-sum/quantise.ts';
import type { Contract } from '../../../../app/study/contract.ts';
import { clippedGradientSum } from '../../../../app/training/clipped-sum.ts';
import { evaluate } from '../../../../app/training/evaluate.ts';
import {
  metricLayout,
  metricSum,
  readMetrics,
  slotsWhere,
  tableOutcomes,
  testedUnits,
} from '../../../../app/training/evaluation-vector.ts';
import { architectureOf, parameterCount } from '../../../../app/training/model.ts';
import type { Records } from '../../../../app/training/records.ts';
import { demoDraft, syntheticSites } from '../../../../main/cli/demo-study.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { sealedEvaluation } from '../../../../main/host/sealing/sealed-evaluation.ts';
import { simulateFiles } from '../../../../main/host/model/simulated-study.ts';
import { chooseBackend } from '../../../../main/trainer/candidates.ts';
import { roundVector } from '../../../../main/trainer/step.ts';
import { seededRandom } from '../../../app/seeded-random.ts';
import { patientRecords, studyContract } from '../../trainer/synthetic.ts';

before(() => chooseBackend());
const folder = mkdtempSync(path.join(tmpdir(), 'consilience-evaluation-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const evaluation = { share: 0.25, splitKey: '5a'.repeat(32), bins: 10, slices: ['cp'], leastCount: 5 };

/** Heart, with an evaluation and without noise. */
async function evaluated(): Promise<Contract> {
  const base = await studyContract('heart-private');
  const words = metricWords(base.task, evaluation);
  return {
    ...base,
    evaluation,
    training: { ...base.training, samplingRate: 1 },
    sealing: { ...base.sealing, dimension: base.sealing.dimension + words, scale: 2 ** 20, noiseVariance: 0 },
    privacy: { ...base.privacy, noise: 'none' },
  };
}

const parametersOf = (contract: Contract): Float32Array =>
  Float32Array.from({ length: architectureOf(contract.task).parameters }, (_, i) => ((i * 37) % 11) / 8 - 0.6);
const only = (records: Records, kept: readonly number[]): Records => ({
  rows: kept.length,
  width: records.width,
  features: Float32Array.from(
    kept.flatMap((row) => [...records.features.subarray(row * records.width, (row + 1) * records.width)]),
  ),
  labels: Float32Array.from(kept, (row) => records.labels[row]!),
  persons: null,
});

test('a person stands on one side, the same everywhere; about the share is tested on', () => {
  const names = Array.from({ length: 2000 }, (_, i) => `person ${i}`);
  const made = (persons: string[]): Records => ({
    rows: persons.length,
    width: 1,
    features: Float32Array.from(persons, (_, i) => i),
    labels: new Float32Array(persons.length),
    persons,
  });
  const sides = testedUnits(
    nodeCipher,
    evaluation,
    made(names),
    names.map((_, i) => [i]),
  );
  const share = sides.filter(Boolean).length / names.length;
  // Six standard deviations of a fixed draw.
  assert.ok(Math.abs(share - 0.25) < 0.06, `${share}`);
  const elsewhere = names
    .slice(0, 50)
    .map((name) => name.toUpperCase())
    .reverse();
  const there = testedUnits(
    nodeCipher,
    evaluation,
    made(elsewhere),
    elsewhere.map((_, i) => [i]),
  );
  assert.deepEqual(there.reverse(), sides.slice(0, 50));
  const other = testedUnits(
    nodeCipher,
    { ...evaluation, splitKey: '5b'.repeat(32) },
    made(names),
    names.map((_, i) => [i]),
  );
  assert.notDeepEqual(other, sides);
});

test('no unit moves the sum by more than C, whatever its rows', async () => {
  const contract = await evaluated();
  const records = patientRecords(contract, 60);
  const architecture = architectureOf(contract.task);
  const layout = metricLayout(contract.task.table, evaluation, null);
  assert.equal(layout.words, metricWords(contract.task, evaluation));
  const units = Array.from({ length: 20 }, (_, unit) =>
    [3 * unit, 3 * unit + 1, 3 * unit + 2].slice(0, 1 + (unit % 3)),
  );
  const clip = 0.7;
  // Extreme scores reach the longest vectors.
  const parameters = parametersOf(contract).map((value) => 50 * value);
  const sumOf = (slots: number[]): Float64Array =>
    metricSum({
      outcomes: tableOutcomes(architecture, parameters, records),
      records,
      units,
      slots: Int32Array.from(slots),
      layout,
      clip,
    });
  const all = units.map((_, unit) => unit);
  const whole = sumOf(all);
  let longest = 0;
  for (const out of all) {
    const without = sumOf(all.map((unit) => (unit === out ? -1 : unit)));
    longest = Math.max(longest, Math.hypot(...whole.map((value, i) => value - without[i]!)));
  }
  assert.ok(longest <= clip && longest > clip / 3, `${longest}`);
});

test('a round trains on the one part and tests the other, and gives the numbers of the plain evaluation', async () => {
  const contract = await evaluated();
  const records = patientRecords(contract, 120);
  const { rows } = records;
  const architecture = architectureOf(contract.task);
  const parameters = parametersOf(contract);
  const units = Array.from({ length: rows }, (_, row) => [row]);
  const tested = testedUnits(nodeCipher, evaluation, records, units);
  const { words, failure } = await roundVector({
    contract,
    index: 0,
    parameters,
    records,
    random: seededRandom('evaluation'),
  });
  assert.equal(failure, null);
  const values = dequantise(words, contract.sealing.scale, contract.sealing.ringBits);
  const { average, metrics } = readSum(contract, values, [0]);
  const clip = contract.training.clippingNorm;
  const slots = slotsWhere(Int32Array.from(units.keys()), tested, false);
  const trained = await clippedGradientSum({ architecture, parameters, records, units, slots, person: null, clip });
  const divisor = contract.roster[0]!.nominalUnits * (1 - evaluation.share);
  assert.equal(average.length, trained.length);
  for (const [i, value] of average.entries()) assert.ok(Math.abs(value * divisor - trained[i]!) < 1e-3);
  const found = readMetrics([metrics], metricLayout(contract.task.table, evaluation, null), {
    clip,
    leastCount: 5,
    deviation: 0,
  });
  const kept = [...tested.keys()].filter((row) => tested[row]);
  const plain = evaluate(contract.task, architecture, parameters, only(records, kept));
  assert.ok(plain.kind === 'classification');
  const close = (value: number | null, expected: number, least = 1e-2): void =>
    assert.ok(value !== null && Math.abs(value - expected) < least, `${value}, not ${expected}`);
  close(found.count, kept.length, 0.1);
  close(found.accuracy, plain.accuracy);
  close(found.loss, plain.logLoss);
  close(found.auc, plain.auc!, 0.1);
  assert.ok(found.f1! > 0 && found.f1! <= 1);
  assert.ok(found.slices.length > 0 && found.slices.every(({ column, count }) => column === 'cp' && count >= 4.9));
  const few = readMetrics([metrics], metricLayout(contract.task.table, evaluation, null), {
    clip,
    leastCount: 1000,
    deviation: 0,
  });
  assert.deepEqual([few.accuracy, few.loss, few.auc, few.f1, few.slices], [null, null, null, null, []]);
});

for (const mode of ['local', 'institution'] as const)
  test(`mode ${mode}: the same numbers, of the model that the round starts from`, async () => {
    const base = await evaluated();
    const institution = mode === 'institution';
    const steps = 2;
    const training = {
      ...base.training,
      mode,
      unit: institution ? ('institution' as const) : base.training.unit,
      localSteps: steps,
      localLearningRate: 0.1,
    };
    const sealing = { ...base.sealing, updateScale: institution ? null : 2 ** 20 };
    const contract: Contract = { ...base, training, sealing };
    const records = patientRecords(contract, 120);
    const architecture = architectureOf(contract.task);
    const parameters = parametersOf(contract);
    const units = Array.from({ length: records.rows }, (_, row) => [row]);
    const tested = testedUnits(nodeCipher, evaluation, records, units);
    const request = { contract, parameters, records };
    const sum = new Uint32Array(contract.sealing.dimension);
    const survivors = [0, 1];
    for (const index of survivors) {
      const { words, failure } = await roundVector({ ...request, index, random: seededRandom(`evaluation ${index}`) });
      assert.equal(failure, null);
      for (let i = 0; i < sum.length; i++) sum[i]! += words[i]!;
    }
    const { scale, ringBits } = {
      ringBits: sealing.ringBits,
      scale: institution ? sealing.scale : sealing.updateScale!,
    };
    const { average, metrics } = readSum(contract, dequantise(sum, scale, ringBits), survivors);
    assert.equal(average.length, parameters.length);
    const { rounds } = sealedEvaluation(contract, [metrics])!;
    const kept = [...tested.keys()].filter((row) => tested[row]);
    const plain = evaluate(contract.task, architecture, parameters, only(records, kept));
    assert.ok(plain.kind === 'classification');
    const close = (value: number | null, expected: number, least = 1e-2): void =>
      assert.ok(value !== null && Math.abs(value - expected) < least, `${value}, not ${expected}`);
    // Both have the same records; in `local` each of the two steps tests them all, in `institution` each counts as one.
    const { count, accuracy, loss } = rounds[0]!;
    close(count, institution ? 2 : 2 * steps * kept.length, 0.1);
    const enough = readMetrics([metrics], metricLayout(contract.task.table, evaluation, null), {
      clip: partsOfClip(contract).metrics,
      leastCount: 1,
      deviation: 0,
    });
    close(enough.accuracy, plain.accuracy);
    close(enough.loss, plain.logLoss);
    if (institution) assert.deepEqual([accuracy, loss], [null, null], 'fewer institutions than the least count');
    // What is trained on is averaged over what is left, so a step is as long as without an evaluation.
    const slots = slotsWhere(Int32Array.from(units.keys()), tested, false);
    const clip = institution ? null : contract.training.clippingNorm;
    const gradient = await clippedGradientSum({ architecture, parameters, records, units, slots, person: null, clip });
    const batch = contract.roster[0]!.nominalUnits * (1 - evaluation.share);
    const first = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const moved = average.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const expected = (steps * 0.1 * first) / batch;
    assert.ok(moved > 0.5 * expected && moved < 1.5 * expected, `${moved}, about ${expected}`);
  });

test('a number: the sums tell its absolute and squared error, in the units of its column', async () => {
  const base = await evaluated();
  const label = { kind: 'number', column: 'disease', least: -1, most: 3 } as const;
  const { features } = base.task.table;
  const plainly = { ...evaluation, slices: [] };
  const words = metricWords(base.task, plainly) - metricWords(base.task, evaluation);
  const contract: Contract = {
    ...base,
    evaluation: plainly,
    task: { ...base.task, kind: 'tabular-regression', table: { ...base.task.table, features, label } },
    sealing: { ...base.sealing, dimension: base.sealing.dimension + words - 2 * evaluation.bins },
  };
  assert.equal(metricWords(contract.task, plainly), 3);
  const records = patientRecords(contract, 120);
  const architecture = architectureOf(contract.task);
  const parameters = parametersOf(contract).map((value) => value / 4);
  const units = Array.from({ length: records.rows }, (_, row) => [row]);
  const tested = testedUnits(nodeCipher, plainly, records, units);
  const { words: sent, failure } = await roundVector({
    contract,
    index: 0,
    parameters,
    records,
    random: seededRandom('number'),
  });
  assert.equal(failure, null);
  const { scale, ringBits } = contract.sealing;
  const { metrics } = readSum(contract, dequantise(sent, scale, ringBits), [0]);
  const [found] = sealedEvaluation(contract, [metrics])!.rounds;
  const kept = [...tested.keys()].filter((row) => tested[row]);
  const plain = evaluate(contract.task, architecture, parameters, only(records, kept));
  assert.ok(plain.kind === 'regression' && plain.rootMeanSquaredError < 2, 'nothing is clamped here');
  assert.deepEqual([found!.accuracy, found!.loss], [null, null]);
  const { meanAbsolute, rootMeanSquared } = found!.error!;
  assert.ok(Math.abs(meanAbsolute - plain.meanAbsoluteError) < 0.02, `${meanAbsolute}, ${plain.meanAbsoluteError}`);
  assert.ok(Math.abs(rootMeanSquared - plain.rootMeanSquaredError) < 0.02, `${rootMeanSquared}`);
});

test('an institution’s update and metrics are together no longer than C', async () => {
  const base = await evaluated();
  const clippingNorm = 1e-3;
  const contract: Contract = {
    ...base,
    training: {
      ...base.training,
      mode: 'institution',
      unit: 'institution',
      localSteps: 3,
      localLearningRate: 5,
      clippingNorm,
    },
    sealing: { ...base.sealing, scale: 2 ** 26 },
  };
  const records = patientRecords(contract, 120);
  const parameters = parametersOf(contract).map((value) => 50 * value);
  const { words } = await roundVector({ contract, index: 0, parameters, records, random: seededRandom('long') });
  const values = dequantise(words, contract.sealing.scale, contract.sealing.ringBits);
  const length = Math.hypot(...values);
  assert.ok(length <= clippingNorm && length > 0.9 * clippingNorm, `${length}`);
  const model = parameters.length;
  assert.ok(Math.hypot(...values.subarray(0, model)) < 0.87 * clippingNorm);
  assert.ok(Math.hypot(...values.subarray(model)) > 0.2 * clippingNorm);
});

async function demo(change: Partial<Contract['training']> = {}) {
  const sites = await syntheticSites(path.join(folder, 'data'), 4);
  const { evaluation: _, ...plain } = demoDraft({
    synthetic: true,
    rounds: 6,
    sites,
    address: 'http://127.0.0.1:9',
    coordinatorKey: '00'.repeat(32),
    now: Date.parse('2026-01-02T00:00:00Z'),
  });
  const wishes = { modelDimension: parameterCount(plain.task), targetEpsilon: 4, colluders: null };
  const base = deriveDraft(plain, wishes);
  const wanted = { ...evaluation, slices: [], share: 0.3 };
  const draft = deriveDraft({ ...base, training: { ...base.training, ...change }, evaluation: wanted }, wishes);
  return { base, draft, silos: new Map(sites.map(({ name, silo }) => [name, silo])) };
}

test('the event of a round has the words of the metrics and no other cost; what does not fit is refused', async () => {
  const { base, draft } = await demo();
  const without = { ...draft, evaluation: undefined };
  const [event, plain] = [noisedRoundEvent(draft, 3)!, noisedRoundEvent(without, 3)!];
  assert.deepEqual(event, plain);
  assert.equal(event.dimension, base.sealing.dimension + metricWords(draft.task, draft.evaluation));
  const epsilon = (one: typeof draft): number => privacyFigures(one).epsilon.coordinator!;
  assert.ok(Math.abs(epsilon(draft) / epsilon(base) - 1) < 0.02, 'both were calibrated to the same ε');
  const codes = (change: object): string[] => evaluationFindings({ ...draft, ...change }).map(({ code }) => code);
  assert.ok(codes({}).every((code) => code === 'evaluation-drowned'));
  assert.ok(codes({ evaluation: { ...evaluation, perClass: true } }).includes('evaluation-classes'));
  assert.ok(codes({ evaluation: { ...evaluation, perToken: true } }).includes('evaluation-tokens'));
  assert.ok(codes({ evaluation: { ...evaluation, slices: ['nothing'] } }).includes('evaluation-slice'));
  const regression = { ...draft.task, kind: 'tabular-regression' };
  assert.ok(codes({ task: regression, evaluation }).includes('evaluation-slices-of-number'));
});

const local = {
  mode: 'local',
  localSteps: 3,
  localLearningRate: 0.2,
  server: { kind: 'fedavg', learningRate: 1 },
} as const;

for (const change of [{}, local] as const)
  test(`mode ${change === local ? 'local' : 'union'}: a whole study reports what its sums say`, async () => {
    const { base, draft, silos } = await demo(change);
    const study = await simulateFiles({ draft, silos, tests: new Map(), seed: '5', ownSite: false });
    assert.equal(study.released.length, base.sealing.dimension);
    const found = study.evaluation!;
    assert.equal(found.rounds.length, 6);
    const { count, noise } = found.pooled;
    const units = draft.roster.reduce((sum, entry) => sum + entry.nominalUnits, 0);
    const expected = 3 * draft.training.localSteps * units * draft.training.samplingRate * 0.3;
    assert.ok(
      noise > 0 && Math.abs(count - expected) < 6 * noise + 0.5 * expected,
      `${count} ± ${noise}, about ${expected}`,
    );
    // The noise that is stated is the noise that there is, beside what sampling draws.
    const counts = found.rounds.map((round) => round.count);
    const mean = counts.reduce((sum, value) => sum + value, 0) / counts.length;
    const spread = Math.sqrt(counts.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (counts.length - 1));
    const [{ noise: own }] = found.rounds as [(typeof found.rounds)[number]];
    assert.ok(spread > own / 3 && spread < 2 * Math.hypot(own, Math.sqrt(expected / 3)), `${spread}, stated ${own}`);
    assert.ok(study.ledger.verified && study.privacy.epsilon.coordinator! <= 4);
  });
