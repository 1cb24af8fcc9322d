import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { InputError } from '../../../app/errors.ts';
import {
  drawSecret,
  joinerFor,
  reconstructSecret,
  sharingPrime,
  splitSecret,
  splitWithCoefficients,
} from '../../../app/sealed-sum/shamir.ts';
import { textbookSecret, textbookShare } from '../../oracle/shamir.ts';
import { scriptedRandom, seededRandom } from '../seeded-random.ts';

const number = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);
const bytes = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, '0'));
const element = fc.bigInt({ min: 0n, max: sharingPrime - 1n });
const members = fc.uniqueArray(fc.integer({ min: 0, max: 0xffff }), { minLength: 1, maxLength: 9 });

test('shares and secrets are the textbook’s', () => {
  fc.assert(
    fc.property(element, members, fc.array(element, { maxLength: 8 }), (secret, indices, all) => {
      const coefficients = all.slice(0, indices.length - 1);
      const shares = splitWithCoefficients(bytes(secret), coefficients.map(bytes), indices);
      const points = indices.map((index) => ({ x: BigInt(index + 1), y: number(shares.get(index)!) }));
      for (const { x, y } of points) assert.equal(y, textbookShare(secret, coefficients, x));
      const enough = points.slice(0, coefficients.length + 1);
      assert.equal(textbookSecret(enough), secret);
      const joined = reconstructSecret(enough.map(({ x, y }) => ({ index: Number(x) - 1, share: bytes(y) })));
      assert.equal(number(joined), secret);
    }),
    { numRuns: 30 },
  );
});

test('any t shares give the secret; t − 1 fit every secret equally well', () => {
  const random = seededRandom('shamir');
  const secret = drawSecret(random);
  const indices = [0, 1, 2, 5, 9];
  const shares = splitSecret(random, secret, 3, indices);
  const take = (...chosen: number[]) => chosen.map((index) => ({ index, share: shares.get(index)! }));
  for (const chosen of [take(0, 1, 2), take(9, 5, 0), take(1, 2, 9)])
    assert.deepEqual(reconstructSecret(chosen), secret);
  assert.notDeepEqual(reconstructSecret(take(0, 1)), secret);

  // For another secret there is a third share that goes with the same two, so the two say nothing.
  const other = 12345n;
  const points = take(0, 1).map(({ index, share }) => ({ x: BigInt(index + 1), y: number(share) }));
  const third = textbookSecretAt([{ x: 0n, y: other }, ...points], 3n);
  assert.equal(textbookSecret([...points, { x: 3n, y: third }]), other);
});

/** The polynomial through the points, at x: the textbook's value at zero after shifting every abscissa. */
function textbookSecretAt(points: readonly { x: bigint; y: bigint }[], x: bigint): bigint {
  return textbookSecret(points.map((point) => ({ x: (point.x - x + sharingPrime) % sharingPrime, y: point.y })));
}

test('one set of holders joins many secrets', () => {
  const random = seededRandom('joiner');
  const indices = [4, 0, 7];
  const join = joinerFor(indices);
  for (let i = 0; i < 3; i++) {
    const secret = drawSecret(random);
    const shares = splitSecret(random, secret, 3, [0, 3, 4, 7]);
    assert.deepEqual(join(indices.map((index) => shares.get(index)!)), secret);
  }
  assert.throws(() => join([new Uint8Array(32)]), RangeError);
});

test('a secret or coefficient that is not below p is drawn again', () => {
  const tooLarge = bytes(sharingPrime);
  const good = bytes(sharingPrime - 1n);
  assert.deepEqual(drawSecret(scriptedRandom(tooLarge, bytes(2n ** 256n - 1n), good)), good);
  const shares = splitSecret(scriptedRandom(tooLarge, bytes(5n)), bytes(7n), 2, [0, 1]);
  assert.deepEqual([...shares.values()].map(number), [12n, 17n]);
});

test('refuses what cannot be: range, threshold, a member twice', () => {
  const random = seededRandom('refusals');
  assert.throws(() => splitSecret(random, bytes(sharingPrime), 1, [0]), RangeError);
  assert.throws(() => splitSecret(random, bytes(1n), 3, [0, 1]), RangeError);
  assert.throws(() => splitSecret(random, bytes(1n), 2, [1, 1]), RangeError);
  assert.throws(() => reconstructSecret([]), RangeError);
  assert.throws(() => reconstructSecret([{ index: 0, share: bytes(sharingPrime) }]), InputError);
});
