import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConsilienceError } from '../../../app/errors.ts';
import {
  centred,
  clampBound,
  dequantise,
  isSpoiled,
  noiseMargin,
  noisedWords,
  quantise,
  sensitivityAfterRounding,
} from '../../../app/sealed-sum/quantise.ts';
import type { QuantisationRule } from '../../../app/sealed-sum/quantise.ts';
import { RandomWords } from '../../../app/sealed-sum/random-words.ts';
import { clipNorm } from '../../../app/units.ts';
import { scriptedRandom, seededRandom } from '../seeded-random.ts';

const rule = (unit: QuantisationRule['unit'], scaledClip: number, dimension: number): QuantisationRule => ({
  unit,
  scale: scaledClip,
  clipNorm: clipNorm(1),
  dimension,
});
const norm = (vector: ArrayLike<number>): number => Math.hypot(...Array.from(vector));
const hasCode = (code: string) => (error: unknown) => error instanceof ConsilienceError && error.code === code;

/** A vector of norm `length` in a seeded direction. */
function direction(seed: string, dimension: number, length: number): Float64Array {
  const bytes = seededRandom(seed).bytes(dimension);
  const raw = Float64Array.from(bytes, (byte) => byte - 127.5);
  const size = norm(raw);
  return raw.map((value) => (value / size) * length);
}

test('L̃ is the design’s, rounded up', () => {
  assert.equal(sensitivityAfterRounding(rule('record', 1024, 256)), 1040);
  assert.equal(sensitivityAfterRounding(rule('person', 1024, 256)), 1040);
  // √(1024² + 64 + 1024 + 8) = 1024.534…
  assert.equal(sensitivityAfterRounding(rule('institution', 1024, 256)), 1025);
  assert.equal(sensitivityAfterRounding(rule('institution', 8, 1)), 9);
  // A scale that is no power of two pays for the rounding of the product.
  assert.equal(sensitivityAfterRounding(rule('record', 640, 100)), 651);
});

test('too coarse a scale is refused, at 64√d and at 8√d', () => {
  for (const [unit, least] of [
    ['record', 640],
    ['person', 640],
    ['institution', 80],
  ] as const) {
    sensitivityAfterRounding(rule(unit, least, 100));
    assert.throws(() => sensitivityAfterRounding(rule(unit, least - 1, 100)), hasCode('scale-too-coarse'));
    assert.throws(() => sensitivityAfterRounding(rule(unit, Number.NaN, 100)), RangeError);
  }
});

test('B is the design’s, and n of them with the noise fill half the ring at most', () => {
  assert.equal(clampBound({ institutions: 4, variance: 0 }), Math.floor((2 ** 30 - 1) / 4));
  assert.equal(clampBound({ institutions: 4, variance: 400 }), Math.floor((2 ** 30 - 1 - 320) / 4));
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 0, max: 10 ** 9 }),
      fc.integer({ min: 28, max: 32 }),
      (institutions, variance, ringBits) => {
        const bound = clampBound({ institutions, variance, ringBits });
        const most = institutions * bound + noiseMargin(institutions, variance);
        assert.ok(most <= 2 ** (ringBits - 2) - 1);
        assert.ok(most + institutions > 2 ** (ringBits - 2) - 1);
      },
    ),
  );
  assert.throws(() => clampBound({ institutions: 500, variance: 400, ringBits: 12 }), hasCode('ring-too-small'));
});

test('record unit: neighbours stay within L̃ of each other after clamp and rounding', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 1, max: 60 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (seed, d, part) => {
        const r = rule('record', Math.ceil(64 * Math.sqrt(d)) + (seed % 1000), d);
        const x = direction(`x ${seed}`, d, 40);
        const step = direction(`y ${seed}`, d, part);
        const neighbour = x.map((value, i) => value + step[i]!);
        const bound = 1 + (seed % (20 * r.scale));
        const random = seededRandom(seed);
        const [q, other] = [quantise(random, x, r, bound), quantise(random, neighbour, r, bound)];
        assert.ok(norm(q.map((value, i) => value - other[i]!)) <= sensitivityAfterRounding(r));
        assert.ok(q.every((value) => Math.abs(value) <= bound));
      },
    ),
    { numRuns: 60 },
  );
});

test('institution unit: the rounded vector is never longer than L̃, at the full clip and dimension', () => {
  for (const d of [20, 50, 400]) {
    const r = rule('institution', Math.ceil(8 * Math.sqrt(d)), d);
    const x = direction(`institution ${d}`, d, 1);
    const random = seededRandom(d);
    let longest = 0;
    for (let i = 0; i < 300; i++) longest = Math.max(longest, norm(quantise(random, x, r, 2 ** 20)));
    const limit = sensitivityAfterRounding(r);
    assert.ok(longest <= limit, `${longest} > ${limit}`);
    assert.ok(longest > r.scale, 'rounding does lengthen some: the condition is needed');
  }
});

test('institution unit: a rounding beyond L̃ is drawn again', () => {
  const r = { unit: 'institution', scale: 1, clipNorm: clipNorm(80), dimension: 100 } as const;
  const limit = sensitivityAfterRounding(r);
  const x = Float64Array.from({ length: 100 }, (_, i) => (i < 50 ? 8.01 : 7.94));
  assert.ok(norm(x) <= 80);
  assert.ok(norm(x.map(Math.ceil)) > limit, 'all up is too long');
  // A word of zero rounds up, one of ones down: the first hundred words up, all later ones down.
  const words = new Uint32Array(16_384).fill(0xffffffff, 100);
  const rounded = quantise(scriptedRandom(new Uint8Array(words.buffer)), x, r, 100);
  assert.deepEqual([...rounded], Array.from(x, Math.floor), 'the second hundred words were used');
  const short = new Float64Array(100).fill(7.5);
  words.fill(0, 0, 100);
  assert.deepEqual(
    [...quantise(scriptedRandom(new Uint8Array(words.buffer)), short, r, 100)],
    Array.from(short, Math.ceil),
    'a rounding within L̃ is kept',
  );
});

test('rounding keeps the mean exactly, also next to zero and for negative numbers', () => {
  const r = rule('record', 1024, 4);
  const x = Float64Array.of(0.3, -0.3, 0.75, 2 ** -40).map((value) => value / 1024);
  const random = seededRandom('mean');
  const sums = [0, 0, 0, 0];
  const runs = 3000;
  for (let i = 0; i < runs; i++) quantise(random, x, r, 1000).forEach((value, at) => (sums[at]! += value));
  // False alarm below 1e-6 for each: five and a half deviations of a Bernoulli mean.
  const within = (at: number, mean: number): void =>
    assert.ok(Math.abs(sums[at]! / runs - mean) < 5.5 * Math.sqrt(0.25 / runs), `coordinate ${at}`);
  [0.3, -0.3, 0.75, 0].forEach((mean, at) => within(at, mean));
});

test('a Bernoulli of a double reads all of its binary digits', () => {
  const words = (...values: number[]): RandomWords => {
    const script = new Uint8Array(65_536);
    new Uint32Array(script.buffer).set(values);
    return new RandomWords(scriptedRandom(script));
  };
  const p = 0.5 + 2 ** -40;
  assert.equal(words(0x7fffffff).bernoulli(p), true);
  assert.equal(words(0x80000001).bernoulli(p), false);
  assert.equal(words(0x80000000, 2 ** 24 - 1).bernoulli(p), true);
  assert.equal(words(0x80000000, 2 ** 24).bernoulli(p), false);
  assert.equal(words(0, 0, 0).bernoulli(2 ** -70), true);
  assert.equal(words(0, 0, 2 ** 26).bernoulli(2 ** -70), false);
  assert.equal(words(0).bernoulli(0), false);
  assert.throws(() => words(0).bernoulli(Number.NaN), RangeError);
});

test('clamps before rounding', () => {
  const r = rule('record', 128, 2);
  assert.deepEqual([...quantise(seededRandom(1), Float64Array.of(100, -100), r, 300)], [300, -300]);
});

test('refuses what is not finite, not clipped, not of the dimension; the message tells no value', () => {
  const random = seededRandom('refuse');
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
    assert.throws(
      () => quantise(random, Float64Array.of(0.123456, bad), rule('record', 128, 2), 10),
      (error: unknown) =>
        hasCode('update-not-finite')(error) && error instanceof Error && !error.message.includes('0.123'),
    );
  assert.throws(
    () => quantise(random, Float64Array.of(0.9, 0.9), rule('institution', 128, 2), 1000),
    hasCode('update-not-clipped'),
  );
  assert.throws(() => quantise(random, new Float64Array(3), rule('record', 128, 2), 10), RangeError);
});

test('noised words add and centre back to the plain integers', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: -(2 ** 29), max: 2 ** 29 }), fc.integer({ min: -(2 ** 20), max: 2 ** 20 })), {
        minLength: 1,
      }),
      (pairs) => {
        const q = Int32Array.from(pairs, ([value]) => value);
        const e = Int32Array.from(pairs, ([, noise]) => noise);
        assert.deepEqual(
          [...centred(noisedWords(q, e))],
          pairs.map(([value, noise]) => value + noise),
        );
      },
    ),
  );
  assert.throws(() => noisedWords(new Int32Array(2), new Int32Array(3)), RangeError);
});

test('centring respects a smaller ring, dequantising divides by the scale', () => {
  assert.deepEqual(
    [...centred(Uint32Array.of(0, 1, 2 ** 23, 2 ** 24 - 1, 2 ** 24 + 5), 24)],
    [0, 1, -(2 ** 23), -1, 5],
  );
  assert.deepEqual([...dequantise(Uint32Array.of(6, 2 ** 32 - 3), 4)], [1.5, -0.75]);
});

test('a sum is spoiled exactly beyond |U3|·B + ⌈8√(|U3| v)⌉, on either side', () => {
  const limits = { survivors: 3, bound: 1000, variance: 12 };
  const limit = 3000 + 48;
  const at = (value: number): boolean => isSpoiled(Uint32Array.of(5, value >>> 0), limits);
  assert.deepEqual([limit, -limit, limit + 1, -limit - 1].map(at), [false, false, true, true]);
  assert.ok(isSpoiled(Uint32Array.of(2 ** 31), limits));
});
