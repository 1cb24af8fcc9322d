// Noise shares: v from the contract's z, L̃ and honest minimum, what to charge for it, and the sampler of the discrete
// Gaussian N_Z(0, v) of Canonne, Kamath and Steinke 2020. Design 3, "Noise shares"; Kairouz, Liu and Steinke 2021.

import { requireInteger } from '../errors.ts';
import type { Random } from '../ports.ts';
import { noiseMultiplier as asNoiseMultiplier, noiseVariance } from '../units.ts';
import type { NoiseMultiplier, NoiseVariance } from '../units.ts';
import { expOfMinus, gaussianTable } from './gaussian-table.ts';
import type { GaussianTable } from './gaussian-table.ts';
import { RandomWords } from './random-words.ts';

/** Below this variance a discrete share is no randomised rounding of a continuous one to any useful precision. */
export const leastShareVariance = 16;

/** v = max(16, ⌈((z L̃)² + 4)/h_min⌉), and never so small that floating point leaves z′ below z. */
export function shareVariance(rule: {
  readonly noiseMultiplier: NoiseMultiplier;
  readonly sensitivity: number;
  readonly honestMinimum: number;
}): NoiseVariance {
  requirePositive('sensitivity', rule.sensitivity);
  requireInteger('honestMinimum', rule.honestMinimum, 1);
  const wanted = ((rule.noiseMultiplier * rule.sensitivity) ** 2 + 4) / rule.honestMinimum;
  let variance = Math.max(leastShareVariance, Math.ceil(wanted));
  const gives = (v: number): number => Math.sqrt(rule.honestMinimum * v - 4) / rule.sensitivity;
  while (gives(variance) < rule.noiseMultiplier && variance + 1 <= Number.MAX_SAFE_INTEGER) variance++;
  return noiseVariance(variance);
}

/** z′ = √(h v − 4)/L̃: the Gaussian multiplier as which a sum with `honest` noise shares of variance v is charged. */
export function effectiveNoiseMultiplier(
  honest: number,
  variance: NoiseVariance,
  sensitivity: number,
): NoiseMultiplier {
  requireInteger('honest', honest, 1);
  requireInteger('variance', variance, leastShareVariance);
  requirePositive('sensitivity', sensitivity);
  return asNoiseMultiplier(Math.sqrt(honest * variance - 4) / sensitivity);
}

/** τ = 10 Σ_{k=1}^{h−1} exp(−2π² v k/(k + 1)): how far the sum of h shares is from N_Z(0, h v), per coordinate. */
export function tau(variance: NoiseVariance, honest: number): number {
  requireInteger('variance', variance, 1);
  requireInteger('honest', honest, 1);
  let sum = 0;
  for (let k = 1; k < honest; k++) sum += Math.exp((-2 * Math.PI ** 2 * variance * k) / (k + 1));
  return 10 * sum;
}

/** d τ + 4 d e^(−8π²): added to the privacy loss of one round. */
export function extraPrivacyLoss(dimension: number, variance: NoiseVariance, honest: number): number {
  requireInteger('dimension', dimension, 1);
  return dimension * tau(variance, honest) + 4 * dimension * Math.exp(-8 * Math.PI ** 2);
}

/** Draws independent samples of N_Z(0, v), off by at most samplerDistance(table) each (gaussian-table.ts). */
export class NoiseSampler {
  readonly table: GaussianTable;
  readonly #words: RandomWords;
  readonly #guide: Uint16Array;
  readonly #doubled: number;

  /** @throws RangeError unless v is a whole number from 1 to 2^52. */
  constructor(random: Random, variance: NoiseVariance) {
    this.table = gaussianTable(variance);
    this.#words = new RandomWords(random);
    this.#guide = guideOf(this.table.blocks);
    this.#doubled = 2 * variance;
  }

  /** Overwrites `out` with one sample for each coordinate. */
  draw(out: Int32Array): void {
    const words = this.#words;
    const guide = this.#guide;
    const { blockLength, blocks } = this.table;
    const last = blocks.length >> 2;
    const yMask = blockLength - 1;
    const perAmount = 2 ** 32 / this.#doubled;
    for (let at = 0; at < out.length;) {
      // z with P(z ≤ i) = threshold i. The last block takes what the thresholds leave.
      const first = words.next();
      let z = guide[first >>> 24]!;
      while (z < last && blocks[4 * z]! < first) z++;
      if (z < last && blocks[4 * z] === first) z = this.#tied(z, first);
      const bits = words.next();
      const y = bits & yMask;
      const magnitude = blockLength * z + y;
      // Zero is met with both signs, so one of them is thrown away.
      if (magnitude === 0 && bits >>> 31 === 1) continue;
      if (y > 0) {
        const amount = y * (y + 2 * blockLength * z);
        const word = words.next();
        // 1 − x ≤ e^{−x}: the two units of 2^-32 are more than the word's own width and all rounding together.
        if (word + amount * perAmount > 2 ** 32 - 2 && !this.#keeps(amount, word)) continue;
      }
      out[at++] = bits >>> 31 === 1 ? -magnitude : magnitude;
    }
  }

  /** Call when the vector is done. */
  wipe(): void {
    this.#words.wipe();
  }

  #tied(from: number, word: number): number {
    const { blocks } = this.table;
    const last = blocks.length >> 2;
    const rest = [this.#words.next(), this.#words.next(), this.#words.next()] as const;
    let z = from;
    while (z < last && !isBelow(blocks, 4 * z, word, ...rest)) z++;
    return z;
  }

  /**
   * Whether 128 random bits, `word` the first 32 of them, are below ⌊2^128 exp(−amount/2v)⌋. Taylor's series in float64 is
   * off by far less than a unit of 2^-32 for arguments below 1, so it decides unless the word is next to it; then, about
   * once in 10^9, whole numbers decide.
   */
  #keeps(amount: number, word: number): boolean {
    const x = amount / this.#doubled;
    let series = 1;
    for (let k = taylorTerms; k >= 1; k--) series = 1 - (x / k) * series;
    const threshold = series * 2 ** 32;
    if (word + 2 <= threshold) return true;
    if (word >= threshold + 1) return false;
    const exact = expOfMinus(BigInt(amount), BigInt(this.#doubled)) >> (256n - 128n);
    let bits = BigInt(word);
    for (let i = 0; i < 3; i++) bits = (bits << 32n) | BigInt(this.#words.next());
    return bits < exact;
  }
}

/** The remainder is below 1/19! < 2^-56. */
const taylorTerms = 18;

/** One noise share of `dimension` coordinates. */
export function noiseShare(random: Random, variance: NoiseVariance, dimension: number): Int32Array {
  requireInteger('dimension', dimension, 1);
  const sampler = new NoiseSampler(random, variance);
  const share = new Int32Array(dimension);
  sampler.draw(share);
  sampler.wipe();
  return share;
}

function isBelow(table: Uint32Array, at: number, ...words: readonly number[]): boolean {
  for (let i = 0; i < words.length; i++) if (words[i] !== table[at + i]) return words[i]! < table[at + i]!;
  return false;
}

/** For each leading byte of a word the first block whose threshold can be above it. */
function guideOf(blocks: Uint32Array): Uint16Array {
  const guide = new Uint16Array(256);
  for (let byte = 0, z = 0; byte < 256; byte++) {
    while (4 * z < blocks.length && blocks[4 * z]! < byte * 2 ** 24) z++;
    guide[byte] = z;
  }
  return guide;
}

function requirePositive(name: string, value: number): void {
  if (!(Number.isFinite(value) && value > 0)) throw new RangeError(`${name} must be a finite number > 0`);
}
