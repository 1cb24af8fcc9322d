// A hundred thousand broken inputs, spread over every decoder: only the documented error classes come out, and the valid
// ones still pass. The same inputs each time; the long run takes others.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decoders, fuzz } from './decoders.ts';

test('the decoders take what they were made for', () => {
  for (const target of decoders())
    for (const seed of target.seeds) assert.doesNotThrow(() => target.decode(seed), target.name);
});

test('10⁵ inputs: nothing but the documented errors', { timeout: 300_000 }, () => {
  const counts = fuzz(100_000, 1);
  // A ledger is judged, not refused.
  for (const [name, { taken, accepted }] of counts)
    assert.ok(
      taken > 500 && accepted > 0 && accepted < taken === (name !== 'ledgers'),
      `${name}: ${accepted} of ${taken}`,
    );
});
