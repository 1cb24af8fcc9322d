// Choosing a backend: the first that passes, the others named with their reason; a backend that lies is found out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backend_util, getBackend } from '@tensorflow/tfjs-core';
import { InvariantError } from '../../../app/errors.ts';
import { candidates, chooseBackend, findingOf, selfTestSums } from '../../../main/trainer/backend.ts';

const broken = { name: 'broken', start: () => Promise.reject(new Error('no such device')) };

test('the cpu backend starts without its banner, and other warnings of the library are still heard', async (t) => {
  const warned = t.mock.method(console, 'warn', () => {});
  await candidates.cpu.start();
  await selfTestSums();
  assert.equal(warned.mock.callCount(), 0);
  backend_util.warn('heard');
  assert.deepEqual(warned.mock.calls[0]?.arguments, ['heard']);
});

test('wasm is taken where it works', async () => {
  assert.deepEqual(await chooseBackend(), { name: 'wasm', refused: [] });
  assert.equal(getBackend(), 'wasm');
});

test('a refusal is described and the next one is taken', async () => {
  assert.deepEqual(await chooseBackend([broken, candidates.cpu]), {
    name: 'cpu',
    refused: [{ name: 'broken', reason: 'it did not start (no such device)' }],
  });
  assert.equal(getBackend(), 'cpu');
  await assert.rejects(chooseBackend([broken]), (error: unknown) => {
    return error instanceof InvariantError && error.code === 'no-backend' && error.message.includes('no such device');
  });
});

test('the self-test refuses wrong forward passes, wrong gradients and results that depend on the place', async () => {
  await candidates.cpu.start();
  const right = await selfTestSums();
  assert.equal(findingOf(right, right), null);
  const bent = right.sums.map((sum) => sum.map((value, i) => (i === 3 ? value + 0.01 : value)));
  assert.match(findingOf({ ...right, sums: bent }, right)!, /gradients/);
  const empty = right.sums.map((sum) => sum.map(() => Number.NaN));
  assert.match(findingOf({ ...right, sums: empty }, right)!, /gradients/);
  assert.match(findingOf({ ...right, forwardError: Number.NaN }, right)!, /forward/);
  assert.match(findingOf({ ...right, placeIndependent: false }, right)!, /place/);
});
