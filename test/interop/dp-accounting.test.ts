// Our accountants beside Google's dp-accounting on hundreds of random schedules and mixed compositions. Needs the virtual
// environment `.venv` with dp-accounting 0.6.0 at the repository root; skipped with its reason without. Design 7, "Interop".

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Accountant } from '../../app/privacy/accountant.ts';
import type { PrivacyEvent } from '../../app/privacy/events.ts';
import { pldAccountant } from '../../app/privacy/pld-accountant.ts';
import { rdpAccountant } from '../../app/privacy/rdp-accountant.ts';
import { delta } from '../../app/units.ts';

const pinned = '0.6.0';
const python = ['../../.venv/bin/python', '../../.venv/Scripts/python.exe']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path));

function whyNot(): false | string {
  if (python === undefined) return 'there is no .venv at the repository root';
  const { status, stdout } = spawnSync(
    python,
    ['-c', "from importlib.metadata import version; print(version('dp-accounting'))"],
    { encoding: 'utf8' },
  );
  if (status !== 0) return '.venv has no dp-accounting';
  return stdout.trim() === pinned ? false : `.venv has dp-accounting ${stdout.trim()}, not ${pinned}`;
}
const skip = whyNot();

type Case = {
  readonly accountant: 'pld' | 'rdp';
  readonly adjacency: 'add-or-remove' | 'replace-one';
  readonly delta: number;
  readonly events: readonly PrivacyEvent[];
};

/** Numbers that are the same in every run: a linear congruential generator (Knuth's MMIX constants). */
function numbers(seed: number): () => number {
  let state = BigInt(seed);
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n);
    return Number(state >> 11n) / 2 ** 53;
  };
}

const next = numbers(20261123);
const between = (least: number, most: number): number => least * (most / least) ** next();
const whole = (least: number, most: number): number => Math.round(between(least, most));
const oneOf = <Member>(...members: readonly Member[]): Member => members[Math.floor(next() * members.length)]!;

const gaussian = (mostSteps: number, adjacency: Case['adjacency'] = 'add-or-remove'): PrivacyEvent => ({
  mechanism: 'gaussian',
  noiseMultiplier: between(0.8, 6),
  samplingRate: oneOf(1, between(1e-4, 0.01), between(0.01, 0.9)),
  steps: whole(1, mostSteps),
  adjacency,
});

const laplace = (): PrivacyEvent => ({
  mechanism: 'laplace',
  noiseMultiplier: between(1, 30),
  samplingRate: oneOf(1, between(0.01, 0.5)),
  steps: whole(1, 30),
  adjacency: 'add-or-remove',
});

function mixture(): PrivacyEvent {
  const q = between(0.005, 0.3);
  return {
    mechanism: 'gaussian-mixture',
    standardDeviation: between(1, 4),
    sensitivities: [0, 1, 2],
    probabilities: [(1 - q) ** 2, 2 * q * (1 - q), 1 - (1 - q) ** 2 - 2 * q * (1 - q)],
    steps: whole(1, 100),
    adjacency: 'add-or-remove',
  };
}

const fixedSize = (): PrivacyEvent => ({
  mechanism: 'fixed-size-sampled-gaussian',
  noiseMultiplier: between(2, 12),
  batchSize: whole(1, 100),
  populationSize: whole(1000, 10_000),
  steps: whole(1, 1000),
  adjacency: 'replace-one',
});

const someDelta = (): number => between(1e-9, 1e-3);
const many = (count: number, make: () => Omit<Case, 'delta'>): Case[] =>
  Array.from({ length: count }, () => ({ ...make(), delta: someDelta() }));

const ours = ({ accountant, adjacency, delta: d, events }: Case): number => {
  const account: Accountant = accountant === 'pld' ? pldAccountant(adjacency) : rdpAccountant(adjacency);
  for (const event of events) account.compose(event);
  return account.epsilon(delta(d));
};

function theirs(cases: readonly Case[]): readonly number[] {
  const script = fileURLToPath(new URL('dp_accounting_values.py', import.meta.url));
  const { status, stdout, stderr } = spawnSync(python!, [script], {
    input: JSON.stringify(cases),
    encoding: 'utf8',
    maxBuffer: 2 ** 24,
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as number[];
}

/** @param allowed how far our ε may be above theirs, and below it, unless told. */
function compare(
  cases: readonly Case[],
  allowed: (theirs: number) => number,
  below: (theirs: number) => number = allowed,
): void {
  const answers = theirs(cases);
  assert.equal(answers.length, cases.length);
  cases.forEach((one, index) => {
    const [mine, other] = [ours(one), answers[index]!];
    assert.ok(
      mine - other <= allowed(other) && other - mine <= below(other),
      `${mine} here, ${other} by dp-accounting: ${JSON.stringify(one)}`,
    );
  });
}

// dp-accounting at 2e-4, where it is fast enough. Both err upwards on their grids: 1e-3, or a hundred-thousandth of an ε that large.
const byGrid = (epsilon: number): number => Math.max(1e-3, 2e-5 * epsilon);

test('PLD: one schedule of sampled and unsampled Gaussians', { skip }, () => {
  compare(
    many(40, () => ({ accountant: 'pld', adjacency: 'add-or-remove', events: [gaussian(200)] })),
    byGrid,
  );
});

test('PLD: replace-one', { skip }, () => {
  compare(
    many(12, () => ({ accountant: 'pld', adjacency: 'replace-one', events: [gaussian(200, 'replace-one')] })),
    byGrid,
  );
});

test('PLD: Laplace and mixtures', { skip }, () => {
  compare(
    many(12, () => ({ accountant: 'pld', adjacency: 'add-or-remove', events: [oneOf(laplace, mixture)()] })),
    byGrid,
  );
});

test('PLD: mixed compositions', { skip }, () => {
  compare(
    many(16, () => ({
      accountant: 'pld',
      adjacency: 'add-or-remove',
      events: [gaussian(100), gaussian(100), oneOf(laplace, mixture, () => gaussian(20))()],
    })),
    byGrid,
  );
});

test('RDP: schedules and mixed compositions to six digits', { skip }, () => {
  compare(
    many(150, () => ({
      accountant: 'rdp',
      adjacency: 'add-or-remove',
      events: Array.from({ length: whole(1, 3) }, () =>
        oneOf(
          () => gaussian(5000),
          () => ({ ...laplace(), samplingRate: 1 }) as PrivacyEvent,
        )(),
      ),
    })),
    (epsilon) => 1e-6 * Math.max(1, epsilon),
    // It leaves out fractional orders whose series do not converge, which matters where ε is large.
    (epsilon) => (epsilon < 20 ? 1e-6 * Math.max(1, epsilon) : epsilon),
  );
});

test('RDP: batches of fixed size', { skip }, () => {
  compare(
    many(20, () => ({ accountant: 'rdp', adjacency: 'replace-one', events: [fixedSize()] })),
    (epsilon) => 1e-4 * Math.max(1, epsilon),
  );
});
