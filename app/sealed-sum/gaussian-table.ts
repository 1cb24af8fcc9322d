// Tables of 128-bit thresholds for the discrete Gaussian sampler in noise.ts, computed with integers only: fixed point
// of 256 fractional bits. Each threshold is ⌊2^128 P⌋ for a probability P; an event happens when 128 uniform bits are below.

import { requireInteger } from '../errors.ts';
import type { NoiseVariance } from '../units.ts';

/**
 * For N_Z(0, v): a magnitude is m = blockLength·z + y; z is drawn from ∝ exp(−(blockLength·z)²/2v) by `blocks`, y
 * uniformly, and m kept with probability exp(−y(y + 2·blockLength·z)/2v) (noise.ts). Ducas, Durmus, Lepoint and
 * Lyubashevsky 2013 (BLISS), section 6.3.
 */
export type GaussianTable = {
  readonly variance: number;
  /** A power of two; √v / blockLength is below 32, and at least 16 unless blockLength = 1. */
  readonly blockLength: number;
  /** Cumulative thresholds, four words each, the most significant first; the last block has none: it takes the rest. */
  readonly blocks: Uint32Array;
};

/** Keeps every intermediate integer below 2^53 and every sample within ±2^30. */
export const largestVariance = 2 ** 52;

const fractionBits = 256n;
const one = 1n << fractionBits;
const negligible = 1n << (fractionBits - 131n);

/** @throws RangeError unless v is a whole number from 1 to 2^52. */
export function gaussianTable(variance: NoiseVariance): GaussianTable {
  requireInteger('variance', variance, 1, largestVariance);
  let blockLength = 1;
  while (variance >= (32 * blockLength) ** 2) blockLength *= 2;
  const doubled = 2n * BigInt(variance);

  // ρ(z + 1) = ρ(z)·q^(2z + 1) with q = exp(−blockLength²/2v): each error is a few units of 2^-256.
  const q = expOfMinus(BigInt(blockLength) ** 2n, doubled);
  const qSquared = multiply(q, q);
  const weights = [one];
  for (let step = q; weights.at(-1)! > negligible; step = multiply(step, qSquared))
    weights.push(multiply(weights.at(-1)!, step));
  const total = weights.reduce((sum, weight) => sum + weight);
  const blocks = new Uint32Array(4 * (weights.length - 1));
  let sum = 0n;
  weights.slice(0, -1).forEach((weight, z) => {
    sum += weight;
    writeThreshold(blocks, z, (sum << 128n) / total);
  });
  return { variance, blockLength, blocks };
}

/**
 * Bound on the statistical (total variation) distance of one sample from N_Z(0, v): each threshold is at most 2^-128
 * off, that of keeping included, the blocks beyond the table hold less than 2^-129, at least a third of all tries are
 * kept. A vector of d samples is within d times this: an addition to δ, far below the τ term.
 */
export function samplerDistance(table: GaussianTable): number {
  return 3 * (table.blocks.length / 4 + 2) * 2 ** -128;
}

/** samplerDistance is below this for every v: tables have at most 512 blocks. */
export const samplerDistanceBound = 2 ** -118;

/** exp(−numerator/denominator) in fixed point, within 2^-240: Taylor at an argument below 1/16, then squarings. */
export function expOfMinus(numerator: bigint, denominator: bigint): bigint {
  const argument = (numerator << fractionBits) / denominator;
  let halvings = 0n;
  while (argument >> halvings > one >> 4n) halvings++;
  // Taken at full precision again, so that the squarings double an error of 2^-256 only.
  const small = (numerator << fractionBits) / (denominator << halvings);
  let value = 0n;
  let term = one;
  for (let k = 1n; term > 0n; k++) {
    value += k % 2n === 1n ? term : -term;
    term = multiply(term, small) / k;
  }
  for (let i = 0n; i < halvings; i++) value = multiply(value, value);
  return value;
}

function multiply(left: bigint, right: bigint): bigint {
  return (left * right) >> fractionBits;
}

function writeThreshold(table: Uint32Array, at: number, value: bigint): void {
  const last = (1n << 128n) - 1n;
  const threshold = value > last ? last : value;
  for (let word = 0; word < 4; word++)
    table[4 * at + word] = Number((threshold >> BigInt(32 * (3 - word))) & 0xffffffffn);
}
