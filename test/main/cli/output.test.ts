// What commands say: an object or sentences, and shares that are never said to be smaller than they are.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { percent, say } from '../../../main/cli/output.ts';

test('one JSON object with --json, else sentences', () => {
  for (const [json, expected] of [
    [true, '{"a":1}\n'],
    [false, 'One.\nTwo.\n'],
  ] as const) {
    let text = '';
    const invocation = { positionals: [], options: {}, json, warn: () => {}, out: (said: string) => (text += said) };
    assert.equal(say(invocation, { a: 1 }, ['One.', 'Two.']), 0);
    assert.equal(text, expected);
  }
});

test('shares are rounded up', () => {
  const shares = [0, 1e-9, 0.07, 0.0701, 0.12, 0.1201, 0.999, 1, 1.3];
  assert.deepEqual(shares.map(percent), ['0 %', '0.1 %', '7 %', '7.1 %', '12 %', '13 %', '100 %', '100 %', '130 %']);
});
