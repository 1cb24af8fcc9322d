// A million broken inputs, other ones than in `npm test`.

import { test } from 'node:test';
import { fuzz } from './decoders.ts';

test('10⁶ inputs: nothing but the documented errors', () => {
  for (let seed = 2; seed < 12; seed++) fuzz(100_000, seed);
});
