// One suite on every backend that this machine has, against cpu as the oracle; and the choice among them: the first that
// passes, the others named with their reason; a backend that lies, crashes or crawls is found out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backend_util, getBackend } from '@tensorflow/tfjs-core';
import { InvariantError } from '../../../app/errors.ts';
import { chooseFrom, NotHere } from '../../../main/trainer/backend.ts';
import type { Trial } from '../../../main/trainer/backend.ts';
import { backendNames, candidates, chooseBackend } from '../../../main/trainer/candidates.ts';
import { trainerEnvironment } from '../../../main/trainer/environment.ts';
import { tryApart } from '../../../main/trainer/probe.ts';
import { findingOf, selfTest } from '../../../main/trainer/self-test.ts';
import { withSoftwareVulkan } from './software-vulkan.ts';

const broken = { name: 'broken', risky: false, start: () => Promise.reject(new Error('no such device')) };
const notHere = { name: 'not-here', risky: false, start: () => Promise.reject(new NotHere('no card')) };
const risky = { ...candidates.wasm, name: 'risky', risky: true };
const worksAt = (gigaflops: number): Trial => ({
  state: 'works',
  device: 'Card X',
  speed: { gigaflops, kernelMicroseconds: 1 },
});

test('the cpu backend starts without its banner, and other warnings of the library are still heard', async (t) => {
  const warned = t.mock.method(console, 'warn', () => {});
  await candidates.cpu.start();
  await selfTest();
  assert.equal(warned.mock.callCount(), 0);
  backend_util.warn('heard');
  assert.deepEqual(warned.mock.calls[0]?.arguments, ['heard']);
});

for (const name of backendNames)
  test(`the suite on ${name}`, async (t) => {
    const trial = await tryApart({ name });
    if (trial.state === 'absent') return t.skip(trial.reason);
    assert.equal(trial.state, 'works', trial.state === 'refused' ? trial.reason : '');
    assert.ok(trial.state === 'works' && trial.speed.gigaflops > 0 && trial.speed.kernelMicroseconds > 0);
  });

test('the suite on webgpu in software, which is refused unless asked for', async (t) => {
  const missing = await withSoftwareVulkan(t);
  if (missing !== null) return t.skip(missing);
  const trial = await tryApart({ name: 'webgpu' }, { software: true });
  assert.ok(trial.state === 'works', JSON.stringify(trial));
  assert.match(trial.device ?? '', /SwiftShader/);
  const refused = await tryApart({ name: 'webgpu' });
  assert.ok(refused.state === 'refused');
  assert.match(refused.reason, /SwiftShader.*in software/);
});

test('wasm is taken where nothing faster is; a refusal is described and the next one is taken', async () => {
  const choice = await chooseBackend({ order: [candidates.wasm, candidates.cpu] });
  assert.deepEqual([choice.name, choice.refused, choice.absent], ['wasm', [], []]);
  assert.ok(choice.speed.gigaflops > 0);
  assert.equal(getBackend(), 'wasm');
  const next = await chooseBackend({ order: [broken, notHere, candidates.cpu] });
  assert.deepEqual(
    [next.name, next.refused, next.absent],
    [
      'cpu',
      [{ name: 'broken', reason: 'it did not start (no such device)' }],
      [{ name: 'not-here', reason: 'no card' }],
    ],
  );
  assert.equal(getBackend(), 'cpu');
  await assert.rejects(chooseBackend({ order: [broken] }), (error: unknown) => {
    return error instanceof InvariantError && error.code === 'no-backend' && error.message.includes('no such device');
  });
});

test('a risky backend is loaded here only after it passed elsewhere and is no slower than wasm', async () => {
  const order = [risky, candidates.wasm];
  const choose = (trial: Trial) =>
    chooseFrom({ order, reference: candidates.cpu, tryApart: () => Promise.resolve(trial) });
  assert.equal((await choose(worksAt(1e9))).name, 'risky');
  const slow = await choose(worksAt(1e-9));
  assert.equal(slow.name, 'wasm');
  assert.match(slow.refused[0]!.reason, /slower here .* than wasm/);
  assert.equal(getBackend(), 'wasm');
  const crashed = await choose({ state: 'refused', reason: 'it ends the process that loads it (SIGSEGV)' });
  assert.deepEqual([crashed.name, crashed.refused[0]!.name], ['wasm', 'risky']);
  const blamed = await chooseBackend({ order, distrusted: ['risky', 'wasm'] });
  assert.equal(blamed.name, 'wasm');
  assert.match(blamed.refused[0]!.reason, /ended the training process twice/);
});

test('the self-test refuses wrong results of every kind, by its name', async () => {
  await candidates.cpu.start();
  const right = await selfTest();
  assert.equal(findingOf(right, right), null);
  const bent = right.sums.map((sum) => sum.map((value, i) => (i === 3 ? value + 0.01 : value)));
  assert.match(findingOf({ ...right, sums: bent }, right)!, /gradients/);
  const empty = right.sums.map((sum) => sum.map(() => Number.NaN));
  assert.match(findingOf({ ...right, sums: empty }, right)!, /gradients/);
  assert.match(findingOf({ ...right, forwardError: Number.NaN }, right)!, /forward/);
  assert.match(findingOf({ ...right, rowsApart: false }, right)!, /other rows/);
  const softmax = right.kernels['softmax']!.map((value, i) => (i === 0 ? value + 1e-3 : value));
  assert.match(findingOf({ ...right, kernels: { ...right.kernels, softmax } }, right)!, /softmax/);
  assert.match(findingOf({ ...right, kernels: {} }, right)!, /differs/);
  assert.match(findingOf({ ...right, adam: right.adam.map((value) => -value) }, right)!, /Adam/);
  // TF32 keeps 10 bits behind the point, bfloat16 seven.
  assert.match(findingOf({ ...right, roundingError: 2 ** -20 }, right)!, /shorter than float32/);
});

test('a trainer’s environment holds what drivers need and no secret', (t) => {
  for (const [name, value] of [
    ['VK_DRIVER_FILES', '/drivers.json'],
    ['CONSILIENCE_TEST_SECRET', 'canary'],
  ] as const) {
    const before = process.env[name];
    process.env[name] = value;
    t.after(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
  const given = trainerEnvironment();
  assert.equal(given['VK_DRIVER_FILES'], '/drivers.json');
  assert.ok(!('CONSILIENCE_TEST_SECRET' in given) && !('HOME' in given));
});
