// `consilience demo`: real processes and sockets, one participant killed in mid-round, a sum opened without it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { progressLine } from '../../../main/cli/demo-federation.ts';
import type { ParticipantStatus } from '../../../main/host/participant/status.ts';

const entry = path.resolve(import.meta.dirname, '../../../main/cli/index.ts');
const demo = (...args: string[]) => spawnSync(process.execPath, [entry, 'demo', ...args], { encoding: 'utf8' });

test('four hospitals train one model; the killed one comes back; logs verify and models agree', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'demo-test-'));
  const run = demo('--rounds', '5', '--home', path.join(folder, 'home'), '--json');
  assert.equal(run.status, 0, run.stderr);
  const outcome = JSON.parse(run.stdout) as {
    rounds: number;
    killed: { round: number } | null;
    ledgersVerified: boolean;
    modelsAgree: boolean;
    accuracy: { name: string; ownSite: number; federated: number }[];
    privacy: { epsilon: { coordinator: number; outsiders: number }; delta: number; unit: string };
    model: string;
  };
  assert.equal(outcome.rounds, 5);
  assert.ok(outcome.killed !== null && outcome.killed.round >= 2);
  assert.ok(outcome.ledgersVerified && outcome.modelsAgree);
  assert.equal(outcome.accuracy.length, 4);
  assert.ok(outcome.privacy.epsilon.coordinator > outcome.privacy.epsilon.outsiders);
  assert.equal(outcome.privacy.unit, 'person');
  assert.ok(existsSync(path.join(outcome.model, 'model.safetensors')));
  // The auditor gives the institution's home and gets the terms that the log names, too.
  const site = path.join(folder, 'home', 'sites', 'hospital-1');
  const bundle = path.join(folder, 'bundle');
  const audit = spawnSync(process.execPath, [entry, 'ledger', 'export', site, '--out', bundle], { encoding: 'utf8' });
  assert.equal(audit.status, 0, audit.stderr);
  assert.equal(readdirSync(path.join(bundle, 'contracts')).length, 1);
});

test('the progress line says the share of the allowance, where there is one', () => {
  const status = (closed: number, share: number | null) =>
    ({ rounds: { closed }, epsilon: { share } }) as unknown as ParticipantStatus;
  const statuses = new Map([
    ['a', status(2, 0.063)],
    ['b', status(1, null)],
    ['c', null],
  ]);
  assert.equal(progressLine(2, 10, statuses), 'Round  2 of 10 closed · a 2 (6.3 % of its ε) · b 1 · c 0');
});

test('bad options are refused before anything is made', () => {
  for (const [args, said] of [
    [['--silo', 'a=x.csv'], /three institutions/],
    [['--test', 'a=x.csv'], /needs the --silo/],
    [['--institutions', '2'], /from 3 to 12/],
    [['--rounds', 'many'], /whole number/],
  ] as const) {
    const run = demo(...args);
    assert.equal(run.status, 2);
    assert.match(run.stderr, said);
  }
});
