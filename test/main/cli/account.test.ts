// `consilience account` as a person runs it: a child process, its words, its numbers, its exit codes.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const entry = fileURLToPath(new URL('../../../main/cli/index.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'account-'));
after(() => rmSync(folder, { recursive: true }));

function account(...args: readonly string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [entry, 'account', ...args], { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

const schedule = (q: string, z: string, steps: string, delta: string): string[] => [
  `--sampling-rate=${q}`,
  `--noise-multiplier=${z}`,
  `--steps=${steps}`,
  `--delta=${delta}`,
];

test('prints ε with δ and adjacency for a person, all digits for a program', () => {
  const shown = account(...schedule('0.0025', '1.3', '6000', '1e-5'));
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /RDP {2}ε = 0\.7243 at δ = 0\.00001/);
  assert.match(shown.out, /add-or-remove/);
  const json = JSON.parse(account(...schedule('0.0025', '1.3', '6000', '1e-5'), '--json').out) as {
    readonly adjacency: string;
    readonly epsilon: { readonly rdp: number; readonly pld: number; readonly gdp: null };
    readonly pldGrid: { readonly discretisation: number; readonly looseness: number };
  };
  assert.equal(json.adjacency, 'add-or-remove');
  assert.ok(Math.abs(json.epsilon.rdp / 0.7242234026109595 - 1) < 1e-9);
  assert.equal(json.epsilon.gdp, null);
  assert.ok(json.epsilon.pld > 0.4 && json.epsilon.pld < json.epsilon.rdp);
  assert.ok(json.pldGrid.looseness < 1e-3 && json.pldGrid.discretisation < 1e-2);
});

test('a batch comes back with ε added to each entry and nothing else changed', () => {
  const file = join(folder, 'batch.json');
  const items = [
    { samplingRate: 0.001, noiseMultiplier: 1, steps: 30000, delta: 1e-7 },
    { samplingRate: 1, noiseMultiplier: 1, steps: 1, delta: 1e-5, name: 'kept' },
  ];
  writeFileSync(file, JSON.stringify(items));
  const { code, out, err } = account('--batch', file);
  assert.equal(code, 0, err);
  const answers = JSON.parse(out) as {
    epsilon: { rdp: number; pld: number; gdp: number | null; zcdp: number | null };
  }[];
  assert.ok(Math.abs(answers[0]!.epsilon.rdp / 1.4154988495444842 - 1) < 1e-9);
  assert.equal(answers[0]!.epsilon.gdp, null);
  assert.equal(answers[0]!.epsilon.zcdp, null);
  assert.ok(Math.abs(answers[1]!.epsilon.gdp! - 4.377178096) < 1e-8);
  assert.ok(answers[1]!.epsilon.rdp > 4.377178096);
  assert.equal(answers[1]!.epsilon.pld, answers[1]!.epsilon.gdp);
  assert.ok(Math.abs(answers[1]!.epsilon.zcdp! / answers[1]!.epsilon.rdp - 1) < 1e-3);
  assert.ok(answers[0]!.epsilon.pld > 1 && answers[0]!.epsilon.pld < answers[0]!.epsilon.rdp);
  assert.deepEqual(
    answers.map((answer) => Object.fromEntries(Object.entries(answer).filter(([name]) => name !== 'epsilon'))),
    items,
  );
});

test('the noise for a target ε meets it', () => {
  const { code, out } = account('--sampling-rate=0.01', '--target-epsilon=2', '--steps=1000', '--delta=1e-5', '--json');
  assert.equal(code, 0);
  const answer = JSON.parse(out) as { readonly noiseMultiplier: number; readonly epsilon: { readonly rdp: number } };
  assert.ok(answer.epsilon.rdp <= 2 && answer.epsilon.rdp > 1.9999);
});

test('whichever member is left open is filled in, by the accountant that is asked for', () => {
  const answer = (...args: readonly string[]) => {
    const { code, out, err } = account(...args, '--delta=1e-5', '--target-epsilon=2', '--json');
    assert.equal(code, 0, err);
    return JSON.parse(out) as {
      readonly samplingRate: number;
      readonly noiseMultiplier: number;
      readonly steps: number;
      readonly epsilon: { readonly rdp: number; readonly pld: number; readonly gdp: number | null };
    };
  };
  const noise = answer('--sampling-rate=0.01', '--steps=1000', '--accountant=pld');
  assert.ok(noise.epsilon.pld <= 2 && noise.epsilon.pld > 1.9999 && noise.epsilon.rdp > 2);
  const steps = answer('--sampling-rate=0.01', '--noise-multiplier=1', '--accountant=pld');
  assert.ok(steps.epsilon.pld <= 2 && steps.epsilon.pld > 1.995 && Number.isInteger(steps.steps));
  const rate = answer('--noise-multiplier=1', '--steps=1000');
  assert.ok(rate.epsilon.rdp <= 2 && rate.epsilon.rdp > 1.9999 && rate.epsilon.pld < 2);
  const exact = answer('--sampling-rate=1', '--steps=1', '--accountant=gdp');
  assert.ok(Math.abs(exact.noiseMultiplier / 1.993812446 - 1) < 1e-8);
  const words = account('--sampling-rate=0.5', '--steps=9', '--delta=1e-5', '--target-epsilon=2', '--accountant=gdp');
  assert.equal(words.code, 1);
  assert.match(words.err, /GDP accountant takes unsampled/);
});

test('--plan is the curve, rising to the whole schedule', () => {
  const { code, out } = account(...schedule('0.01', '1', '1000', '1e-5'), '--plan', '--json');
  assert.equal(code, 0);
  const answer = JSON.parse(out) as {
    readonly epsilon: { readonly pld: number };
    readonly plan: readonly {
      readonly step: number;
      readonly epsilon: { readonly rdp: number; readonly pld: number };
    }[];
  };
  assert.deepEqual(
    answer.plan.map(({ step }) => step),
    [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000],
  );
  assert.equal(answer.plan.at(-1)!.epsilon.pld, answer.epsilon.pld);
  answer.plan.forEach(({ epsilon }, index) => {
    assert.ok(epsilon.pld < epsilon.rdp);
    if (index > 0) assert.ok(epsilon.pld > answer.plan[index - 1]!.epsilon.pld);
  });
  const few = account(...schedule('1', '5', '3', '1e-5'), '--plan');
  assert.match(few.out, /\n {2}1 .*\n {2}2 .*\n {2}3 /);
});

test('a grid too coarse for three digits is said', () => {
  assert.match(account(...schedule('1e-4', '1', '1e7', '1e-6')).out, /PLD .*too large, from losses in steps/);
  assert.doesNotMatch(account(...schedule('0.01', '1', '1000', '1e-6')).out, /too large/);
});

test('a wrong option is named, with its range, and exits 2', () => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [schedule('2', '1', '10', '1e-5'), /--sampling-rate must be a number above 0 to 1/],
    [schedule('0', '1', '10', '1e-5'), /--sampling-rate/],
    [schedule('0.1', '0', '10', '1e-5'), /--noise-multiplier must be a number from 0\.001/],
    [schedule('0.1', '1', '1.5', '1e-5'), /--steps must be a whole number/],
    [schedule('0.1', '1', '10', '1'), /--delta must be below 1/],
    [schedule('0.1', '1', '10', 'small'), /--delta must be a number/],
    [schedule('0.1', '1', '10', '1e-5').slice(1), /--sampling-rate is missing/],
    [[...schedule('0.1', '1', '10', '1e-5'), '--target-epsilon=1'], /not both/],
    [[...schedule('0.1', '1', '10', '1e-5'), '--accountant=pld'], /whose ε --target-epsilon means/],
    [
      ['--target-epsilon=1', '--accountant=prv', '--delta=0.1', '--steps=1', '--sampling-rate=1'],
      /one of rdp, pld, gdp, zcdp/,
    ],
    [['--target-epsilon=1', '--delta=0.1', '--steps=1'], /--noise-multiplier is missing/],
    [['--batch=x.json', '--steps=1'], /--batch stands alone/],
  ];
  for (const [args, words] of wrong) {
    const { code, out, err } = account(...args);
    assert.equal(code, 2, args.join(' '));
    assert.match(err, words);
    assert.equal(out, '');
  }
});

test('a batch that cannot be used says which entry and member, and exits 1', () => {
  const file = join(folder, 'bad.json');
  const good = { samplingRate: 0.1, noiseMultiplier: 1, steps: 10, delta: 1e-5 };
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['not json', /not JSON/],
    ['{}', /JSON array/],
    [JSON.stringify([good, { ...good, steps: 0 }]), /Entry 1 .*"steps"/],
    [JSON.stringify([{ ...good, delta: '1e-5' }]), /Entry 0 .*"delta"/],
    [JSON.stringify([null]), /Entry 0 .*object/],
  ];
  for (const [text, words] of wrong) {
    writeFileSync(file, text);
    const { code, out, err } = account('--batch', file);
    assert.equal(code, 1, text);
    assert.match(err, words);
    assert.equal(out, '');
  }
  assert.match(account('--batch', join(folder, 'absent.json')).err, /is not there\. Check its path\./);
});

test('help has an example that runs', () => {
  const { code, out } = account('--help');
  assert.equal(code, 0);
  const example = /Example:\n  consilience account (.*)/.exec(out)?.[1];
  assert.ok(example !== undefined);
  assert.equal(account(...example.split(' ')).code, 0);
});
