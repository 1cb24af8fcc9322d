// The discrete Gaussian sampler as its paper writes it, in big integers: Canonne, Kamath and Steinke 2020, algorithms 1
// (Bernoulli(exp(−γ))), 2 (discrete Laplace) and 3. Exact and slow, to hold beside app/sealed-sum/noise.ts. Also the
// probabilities themselves.

import type { Random } from '../../app/ports.ts';

function uniformBelow(random: Random, bound: bigint): bigint {
  const bits = bound.toString(2).length;
  const bytes = Math.ceil(bits / 8);
  for (;;) {
    const drawn = BigInt(`0x${Buffer.from(random.bytes(bytes)).toString('hex')}`) & ((1n << BigInt(bits)) - 1n);
    if (drawn < bound) return drawn;
  }
}

const bernoulli = (random: Random, numerator: bigint, denominator: bigint): boolean =>
  uniformBelow(random, denominator) < numerator;

function bernoulliExp(random: Random, numerator: bigint, denominator: bigint): boolean {
  for (let rest = numerator; rest > denominator; rest -= denominator)
    if (!bernoulliExp(random, denominator, denominator)) return false;
  const last = numerator % denominator === 0n && numerator > 0n ? denominator : numerator % denominator;
  let k = 1n;
  while (bernoulli(random, last, denominator * k)) k++;
  return k % 2n === 1n;
}

function discreteLaplace(random: Random, scale: bigint): bigint {
  for (;;) {
    const low = uniformBelow(random, scale);
    if (!bernoulliExp(random, low, scale)) continue;
    let high = 0n;
    while (bernoulliExp(random, 1n, 1n)) high++;
    const magnitude = low + scale * high;
    const negative = bernoulli(random, 1n, 2n);
    if (negative && magnitude === 0n) continue;
    return negative ? -magnitude : magnitude;
  }
}

/** One sample of N_Z(0, v). */
export function textbookDiscreteGaussian(random: Random, variance: number): number {
  const v = BigInt(variance);
  const scale = BigInt(Math.floor(Math.sqrt(variance)) + 1);
  for (;;) {
    const drawn = discreteLaplace(random, scale);
    const magnitude = drawn < 0n ? -drawn : drawn;
    const distance = magnitude * scale - v;
    if (bernoulliExp(random, distance * distance, 2n * v * scale * scale)) return Number(drawn);
  }
}

/** P(X = x) for |x| ≤ `reach`, at place x + reach, from the definition. */
export function discreteGaussianProbabilities(variance: number, reach: number): Float64Array {
  const weights = Float64Array.from({ length: 2 * reach + 1 }, (_, at) =>
    Math.exp(-((at - reach) ** 2) / (2 * variance)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}
