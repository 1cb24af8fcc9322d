// `consilience simulate` as a person runs it, on made-up hospitals and, where they are, on the four real ones.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { demoDraft, syntheticSites } from '../../../main/cli/demo-study.ts';
import { reportStudy } from '../../../main/cli/simulate.ts';
import type { SimulatedStudy } from '../../../main/host/model/simulated-study.ts';
import { heartBench, heartFolder, heartMissing, hospitals } from '../../bench/heart.ts';

const entry = path.resolve(import.meta.dirname, '../../../main/cli/index.ts');
const folder = mkdtempSync(path.join(tmpdir(), 'simulate-test-'));

function simulate(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const run = spawnSync(process.execPath, [entry, 'simulate', ...args], { encoding: 'utf8' });
  return { code: run.status, stdout: run.stdout, stderr: run.stderr };
}

type Report = {
  rounds: number;
  metrics: { federated: { perInstitution: Record<string, number>; mean: number }; ownSite: { mean: number } };
  privacy: { epsilon: { coordinator: number; outsiders: number } | null; noise: string; unit: string; said: string[] };
  ledger: { verified: boolean };
  model: string;
};

const sites = await syntheticSites(path.join(folder, 'data'), 4);
const study = path.join(folder, 'study.json');
const terms = { synthetic: true, rounds: 2, address: 'http://127.0.0.1:1', coordinatorKey: '00'.repeat(32), sites };
const draft = demoDraft({ ...terms, now: Date.parse('2026-01-01T00:00:00.000Z') });
writeFileSync(study, JSON.stringify(draft));
const silos = sites.flatMap((site) => ['--silo', `${site.name}=${site.silo}`]);

test('a study runs, says its ε with δ and unit, and repeats exactly by its seed', () => {
  const test0 = ['--test', `${sites[0]!.name}=${sites[0]!.test!}`];
  const first = simulate(study, ...silos, ...test0, '--seed', '9', '--json');
  assert.equal(first.code, 0, first.stderr);
  const report = JSON.parse(first.stdout) as Report;
  assert.equal(report.rounds, 2);
  assert.equal(report.privacy.noise, 'seeded, not private');
  assert.equal(report.privacy.unit, 'person');
  assert.ok(report.privacy.epsilon!.coordinator > report.privacy.epsilon!.outsiders);
  assert.ok(report.ledger.verified);
  assert.deepEqual(Object.keys(report.metrics.federated.perInstitution), [sites[0]!.name]);
  const model = (seed: string): string =>
    (JSON.parse(simulate(study, ...silos, '--seed', seed, '--json').stdout) as Report).model;
  assert.equal(model('9'), report.model);
  assert.notEqual(model('10'), report.model);
  const words = simulate(study, ...silos, '--seed', '9').stdout;
  assert.match(words, /at δ = 0\.000001 against coordinator/);
  assert.match(words, /Hypothetical: noise is seeded, not private/);
});

test('a privacy log that does not verify is a failed check', () => {
  const ended = (verified: boolean, json: boolean): readonly [0 | 1, string] => {
    let said = '';
    const study = {
      rounds: 1,
      metric: 'accuracy',
      metrics: null,
      evaluation: null,
      adaptation: null,
      privacy: { epsilon: { coordinator: null, outsiders: null } },
      ledger: { verified },
      model: '00',
      bytesSent: 1,
      review: { findings: [] },
    } as unknown as SimulatedStudy;
    const code = reportStudy(
      {
        positionals: [],
        options: {},
        json,
        out: (text) => (said += text),
        warn: () => {},
      },
      study,
    );
    return [code, said];
  };
  for (const json of [false, true]) {
    assert.equal(ended(true, json)[0], 0);
    assert.equal(ended(false, json)[0], 1);
  }
  assert.match(ended(false, false)[1], /Privacy logs verified: NO\./);
});

test('names that do not match the roster are a usage error', () => {
  const stranger = simulate(study, ...silos, '--silo', `nowhere=${sites[0]!.silo}`);
  assert.equal(stranger.code, 2);
  assert.match(stranger.stderr, /"nowhere" is not in the study’s roster/);
  const short = simulate(study, ...silos.slice(2));
  assert.equal(short.code, 2);
  assert.match(short.stderr, /have no --silo: hospital-1/);
});

test('more units than the terms name, and terms that the check refuses, are refused with the reason', () => {
  const fewer = { ...draft, roster: draft.roster.map((entry) => ({ ...entry, nominalUnits: 700 })) };
  const file = path.join(folder, 'fewer.json');
  writeFileSync(file, JSON.stringify(fewer));
  const above = simulate(file, ...silos, '--json');
  assert.equal(above.code, 1);
  assert.equal((JSON.parse(above.stdout) as { error: { code: string } }).error.code, 'units-above-agreed');
  const weak = { ...draft, sealing: { ...draft.sealing, noiseVariance: 16 } };
  writeFileSync(file, JSON.stringify(weak));
  const refused = simulate(file, ...silos);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /contract check refuses/);
});

test('a record’s values never reach a message', () => {
  const file = path.join(folder, 'bad.csv');
  writeFileSync(file, readFileSync(sites[0]!.silo, 'utf8').replace(/\n([^,]+),\d+,/, '\n$1,CANARY77,'));
  const bad = simulate(study, '--silo', `${sites[0]!.name}=${file}`, ...silos.slice(2));
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /line 2, column "age"/);
  assert.match(bad.stderr, /The records of "[^"]+" \(.+\.csv\): /);
  assert.doesNotMatch(bad.stderr + bad.stdout, /CANARY77/);
});

test(
  'four real hospitals: no noise, a true ε ≤ 1, and the files as published',
  { skip: heartMissing() ?? false },
  async () => {
    const bench = (await heartBench()) as {
      noNoise: { accuracy: number };
      private: { accuracy: number; epsilon: number; delta: number };
      ownSite: { accuracy: number };
    };
    assert.ok(bench.noNoise.accuracy >= 0.79, `no noise: ${bench.noNoise.accuracy}`);
    assert.ok(bench.private.accuracy >= 0.77, `private: ${bench.private.accuracy}`);
    assert.ok(bench.private.epsilon <= 1 && bench.private.delta === 1e-3);
    const raw = hospitals.flatMap((name) => [
      '--silo',
      `${name}=${path.join(heartFolder, 'raw', `processed.${name}.data`)}`,
    ]);
    const dirty = simulate(path.resolve(import.meta.dirname, '../../studies/heart-raw.json'), ...raw, '--json');
    assert.equal(dirty.code, 0, dirty.stderr);
    const { privacy } = JSON.parse(dirty.stdout) as Report;
    assert.equal(privacy.noise, 'discrete-gaussian');
  },
);

test('--faults runs federations by their seeds, says what happened, and refuses what it cannot read', () => {
  const run = simulate('--faults', '--seeds', '3..4', '--json');
  assert.equal(run.code, 0, run.stderr);
  const report = JSON.parse(run.stdout) as { federations: number; failures: unknown[]; closed: number };
  assert.equal(report.federations, 2);
  assert.deepEqual(report.failures, []);
  assert.ok(report.closed >= 2);
  assert.match(simulate('--faults', '--seeds', '3').stdout, /1 federations?.*Every promise held/s);
  for (const args of [
    ['--faults'],
    ['--faults', '--seeds', '4..3'],
    ['--faults', '--seeds', 'x'],
    ['--faults', study, '--seeds', '1'],
  ])
    assert.equal(simulate(...args).code, 2, args.join(' '));
});
