// The noise sampler: its table against the definition, ties, seeded statistics against the textbook sampler; the
// formulas of design 3. Each statistical test below would reject a right sampler with probability at most 1e-6 over the
// choice of seed; with the seeds fixed it either always passes or never does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat } from '../../../app/encoding/bytes.ts';
import { expOfMinus, gaussianTable, samplerDistance } from '../../../app/sealed-sum/gaussian-table.ts';
import type { GaussianTable } from '../../../app/sealed-sum/gaussian-table.ts';
import {
  NoiseSampler,
  effectiveNoiseMultiplier,
  extraPrivacyLoss,
  noiseShare,
  shareVariance,
  tau,
} from '../../../app/sealed-sum/noise.ts';
import { noiseMultiplier, noiseVariance } from '../../../app/units.ts';
import { discreteGaussianProbabilities, textbookDiscreteGaussian } from '../../oracle/discrete-gaussian.ts';
import { scriptedRandom, seededRandom } from '../seeded-random.ts';
import { chiSquareExcess } from './gaussian-fit.ts';

const probability = (table: Uint32Array, at: number): number =>
  table[4 * at]! / 2 ** 32 + table[4 * at + 1]! / 2 ** 64 + table[4 * at + 2]! / 2 ** 96;

/** P(|X| = m) that the table's algorithm gives, not normalised: block, offset, the decision to keep, sign. */
function weightOf(table: GaussianTable, magnitude: number): number {
  const { blockLength, blocks, variance } = table;
  const z = Math.floor(magnitude / blockLength);
  const y = magnitude % blockLength;
  const upTo = (at: number): number => (at < 0 ? 0 : at >= blocks.length / 4 ? 1 : probability(blocks, at));
  if (z > blocks.length / 4) return 0;
  const kept = Math.exp((-y * (y + 2 * blockLength * z)) / (2 * variance));
  return (upTo(z) - upTo(z - 1)) * (magnitude === 0 ? 0.5 : 1) * kept;
}

test('the table’s probabilities are the definition’s', () => {
  for (const variance of [1, 16, 255, 1023, 1024, 10_000, 400_000]) {
    const table = gaussianTable(noiseVariance(variance));
    const reach = Math.ceil(6 * Math.sqrt(variance));
    const wanted = discreteGaussianProbabilities(variance, Math.ceil(14 * Math.sqrt(variance)));
    const centre = (wanted.length - 1) / 2;
    let total = 0;
    for (let m = 0; m <= centre; m++) total += weightOf(table, m);
    for (let m = 0; m <= reach; m++) {
      const given = weightOf(table, m) / total / (m === 0 ? 1 : 2);
      assert.ok(Math.abs(given / wanted[centre + m]! - 1) < 1e-6, `v = ${variance}, m = ${m}`);
      // Near the centre doubles lose nothing in the differences of cumulative thresholds.
      if (m < Math.sqrt(variance)) assert.ok(Math.abs(given / wanted[centre + m]! - 1) < 1e-11, `v = ${variance}`);
    }
  }
});

test('a large variance keeps the same shape', () => {
  const variance = 2 ** 40;
  const table = gaussianTable(noiseVariance(variance));
  const zero = 2 * weightOf(table, 0);
  for (const m of [1, 1023, 65_535, 65_536, 1_000_000, 1_048_575, 3_000_000]) {
    const wanted = Math.exp(-(m ** 2) / (2 * variance));
    assert.ok(Math.abs(weightOf(table, m) / zero / wanted - 1) < 1e-9, `m = ${m}`);
  }
  assert.throws(() => gaussianTable(noiseVariance(2 ** 52 + 1)), RangeError);
});

test('exp in fixed point agrees with doubles, and with itself to 2^-200', () => {
  for (const [numerator, denominator] of [
    [0n, 1n],
    [1n, 3n],
    [7n, 2n],
    [89n, 1n],
  ] as const) {
    const value = Number(expOfMinus(numerator, denominator) >> 196n) / 2 ** 60;
    assert.ok(Math.abs(value - Math.exp(-Number(numerator) / Number(denominator))) < 1e-15);
  }
  const half = expOfMinus(7n, 4n);
  const gap = ((half * half) >> 256n) - expOfMinus(7n, 2n);
  assert.ok(gap < 1n << 56n && gap > -(1n << 56n));
});

test('a tie on the first word is settled by the next words of the threshold', () => {
  const variance = noiseVariance(16);
  const { blocks } = gaussianTable(variance);
  const z = 5;
  const [first, second, third, fourth] = blocks.subarray(4 * z, 4 * z + 4) as unknown as [
    number,
    number,
    number,
    number,
  ];
  const drawWith = (...words: number[]): number => {
    const script = new Uint8Array(65_536);
    new Uint32Array(script.buffer).set([...words, 0]);
    const out = new Int32Array(1);
    new NoiseSampler(scriptedRandom(script), variance).draw(out);
    return out[0]!;
  };
  assert.equal(drawWith(first - 1), z);
  assert.equal(drawWith(first, second, third, fourth - 1), z);
  assert.equal(drawWith(first, second, third, fourth), z + 1);
  assert.equal(drawWith(first, second - 1, 0, 0), z);
  assert.equal(drawWith(first + 1), z + 1);
  assert.equal(drawWith(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff), blocks.length / 4);
});

test('a magnitude is kept exactly when 128 bits are below its probability, however near', () => {
  for (const [variance, z, y] of [
    [10_000, 20, 3],
    [10_000, 1, 1],
    [400_000, 9, 31],
    [2 ** 40, 11, 65_535],
    [2 ** 40, 60, 60_000],
    [2 ** 52, 30, 4_000_001],
    [2 ** 52, 0, 1],
  ] as const) {
    const { blockLength, blocks } = gaussianTable(noiseVariance(variance));
    assert.ok(y < blockLength);
    const amount = BigInt(y) * BigInt(y + 2 * blockLength * z);
    const threshold = expOfMinus(amount, 2n * BigInt(variance)) >> 128n;
    const isKept = (bits: bigint): boolean => {
      const decision = [96n, 64n, 32n, 0n].map((shift) => Number((bits >> shift) & 0xffff_ffffn));
      const script = new Uint8Array(65_536);
      // Behind the magnitude in question a block 0 with y = 0, which needs no decision, shows that it was lost.
      const block = z === 0 ? 0 : blocks[4 * z]! - 1;
      const near = Number(bits >> 96n) - Number(threshold >> 96n);
      const words = Math.abs(near) <= 1 ? decision : decision.slice(0, 1);
      new Uint32Array(script.buffer).set([block, y, ...words, 0, 0]);
      const out = new Int32Array(1);
      new NoiseSampler(scriptedRandom(script), noiseVariance(variance)).draw(out);
      return out[0] === blockLength * z + y;
    };
    const most = (1n << 128n) - 1n;
    for (const away of [1n, 2n, 1n << 40n, 1n << 95n, 1n << 98n, 1n << 110n, 1n << 127n]) {
      if (threshold >= away) assert.equal(isKept(threshold - away), true, `v = ${variance}, ${away} below`);
      if (threshold + away <= most) assert.equal(isKept(threshold + away), false, `v = ${variance}, ${away} above`);
    }
    assert.equal(isKept(threshold), false);
    assert.equal(isKept(0n), true);
  }
});

test('the share that is kept is the probability, where the quick decision and the series meet', () => {
  // P(|X| = m) over P(0) for magnitudes in the first blocks, from many samples: the decision that is met most.
  const variance = 4096;
  const count = 400_000;
  const samples = noiseShare(seededRandom('kept'), noiseVariance(variance), count);
  const seen = new Map<number, number>();
  for (const x of samples) seen.set(Math.abs(x), (seen.get(Math.abs(x)) ?? 0) + 1);
  const wanted = discreteGaussianProbabilities(variance, 600);
  for (let m = 1; m < 40; m++) {
    const expected = 2 * wanted[600 + m]! * count;
    assert.ok(Math.abs(seen.get(m)! - expected) < 6 * Math.sqrt(expected), `m = ${m}`);
  }
});

test('samples fit the definition (chi-square) and have its moments, at several v', () => {
  for (const variance of [16, 300, 10_000, 400_000, 10 ** 8, 25 * 10 ** 10]) {
    const count = 200_000;
    const samples = noiseShare(seededRandom(`noise ${variance}`), noiseVariance(variance), count);
    // Two hundred degrees of freedom at most: six deviations are past 1e-7.
    assert.ok(chiSquareExcess(samples, variance) < 6, `chi-square at v = ${variance}`);
    const mean = samples.reduce((sum, x) => sum + x, 0) / count;
    const second = samples.reduce((sum, x) => sum + x * x, 0) / count;
    assert.ok(Math.abs(mean) < 5.5 * Math.sqrt(variance / count), `mean at v = ${variance}`);
    assert.ok(Math.abs(second / variance - 1) < 5.5 * Math.sqrt(2 / count), `variance at v = ${variance}`);
    const neighbours = samples.reduce((sum, x, at) => sum + (at > 0 ? x * samples[at - 1]! : 0), 0) / count;
    assert.ok(Math.abs(neighbours) < 5.5 * (variance / Math.sqrt(count)), `independence at v = ${variance}`);
  }
});

test('no part of a vector repeats another, and no vector another', () => {
  const random = seededRandom('repeats');
  const draw = (dimension: number): Int32Array => noiseShare(random, noiseVariance(10_000), dimension);
  for (const dimension of [64, 1000, 40_000]) {
    const [one, two] = [draw(dimension), draw(dimension)];
    const squares = one.reduce((sum, x) => sum + x * x, 0);
    assert.notDeepEqual(one, two);
    for (const lag of [1, 2, 8, dimension / 8, dimension / 4, dimension / 2]) {
      const product = one.reduce((sum, x, at) => sum + (at >= lag ? x * one[at - lag]! : 0), 0);
      assert.ok(Math.abs(product) < (5.5 * squares) / Math.sqrt(dimension), `d = ${dimension}, ${lag} apart`);
    }
  }
});

test('the textbook sampler passes the same test', () => {
  const random = seededRandom('textbook');
  const samples = Int32Array.from({ length: 6000 }, () => textbookDiscreteGaussian(random, 16));
  const second = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
  assert.ok(Math.abs(second / 16 - 1) < 5.5 * Math.sqrt(2 / samples.length));
  assert.ok(Math.abs(samples.reduce((sum, x) => sum + x, 0)) < 5.5 * Math.sqrt(16 * samples.length));
});

test('the sampler’s own distance is far below the τ term’s companions', () => {
  for (const variance of [1, 16, 10_000, 400_000, 2 ** 52]) {
    const distance = samplerDistance(gaussianTable(noiseVariance(variance)));
    assert.ok(distance > 0 && distance < 2 ** -117);
  }
});

test('v, z′, τ and the extra loss are the design’s formulas', () => {
  const rule = { noiseMultiplier: noiseMultiplier(1), sensitivity: 100, honestMinimum: 2 };
  assert.equal(shareVariance(rule), 5002);
  assert.equal(shareVariance({ ...rule, sensitivity: 1 }), 16);
  assert.equal(tau(noiseVariance(16), 1), 0);
  const atFiveHundred = tau(noiseVariance(16), 500);
  assert.ok(Math.abs(atFiveHundred / 2.6e-68 - 1) < 0.02, String(atFiveHundred));
  assert.equal(effectiveNoiseMultiplier(5, noiseVariance(16), 2), Math.sqrt(76) / 2);
  const loss = extraPrivacyLoss(1000, noiseVariance(16), 3);
  assert.ok(Math.abs(loss / (4000 * Math.exp(-8 * Math.PI ** 2)) - 1) < 1e-12);
});

test('at the honest minimum and above, z′ is never below z', () => {
  const random = seededRandom('z');
  for (let i = 0; i < 2000; i++) {
    const [a, b, c] = random.bytes(3) as unknown as [number, number, number];
    const z = noiseMultiplier((a + 1) / 37);
    const sensitivity = 1 + b * 91.7 + c;
    const honestMinimum = 1 + (c % 50);
    const variance = shareVariance({ noiseMultiplier: z, sensitivity, honestMinimum });
    for (const honest of [honestMinimum, honestMinimum + 7])
      assert.ok(effectiveNoiseMultiplier(honest, variance, sensitivity) >= z);
    const oneLess = (honestMinimum * (variance - 1) - 4) / sensitivity ** 2;
    assert.ok(variance === 16 || oneLess < z ** 2 * (1 + 1e-12), 'v is the least');
  }
});

test('randomness is drawn in one buffer and what was drawn is wiped', () => {
  const handed: Uint8Array[] = [];
  const random = seededRandom('wipe');
  const watched = {
    bytes(length: number): Uint8Array {
      const bytes = random.bytes(length);
      handed.push(bytes);
      return bytes;
    },
  };
  const share = noiseShare(watched, noiseVariance(10_000), 5000);
  assert.ok(share.some((x) => x !== 0));
  assert.ok(handed.length >= 1 && handed.length <= 3);
  assert.deepEqual(concat(...handed), new Uint8Array(65_536 * handed.length));
});
