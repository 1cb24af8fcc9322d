// From real vectors to ring words and back: sensitivity after rounding L̃, clamp, stochastic rounding, centring, the test
// for a spoiled sum. Design 3, "Quantisation" and R5; Kairouz, Liu and Steinke 2021, section 4. Clamped BEFORE rounding.

import { InvariantError, RefusalError, requireInteger } from '../errors.ts';
import type { Random } from '../ports.ts';
import type { ClipNorm, PrivacyUnit } from '../units.ts';
import { RandomWords } from './random-words.ts';

/** Scale s (integer steps per unit of the vector), clip C and dimension d, all from the contract. */
export type QuantisationRule = {
  readonly unit: PrivacyUnit;
  readonly scale: number;
  readonly clipNorm: ClipNorm;
  readonly dimension: number;
};

/** The least s·C in units of √d: 8 where one clipped vector is rounded, 64 where a sum of clipped gradients is. */
function leastSteps(unit: PrivacyUnit): number {
  return unit === 'institution' ? 8 : 64;
}

/** @throws RefusalError `scale-too-coarse`: rounding would drown the update, and L̃ its clip. */
export function requireFineScale({ unit, scale, clipNorm, dimension }: QuantisationRule): void {
  requirePositive('scale', scale);
  requireInteger('dimension', dimension, 1);
  const least = leastSteps(unit) * Math.sqrt(dimension);
  if (scale * clipNorm < least)
    throw new RefusalError(
      'scale-too-coarse',
      `The scale is too coarse: scale times clipping norm is ${scale * clipNorm}, and at least ${least} is needed for ${dimension} parameters. Raise the scale to ${Math.ceil(least / clipNorm)} or more.`,
    );
}

/**
 * L̃ in integer steps, rounded up to a whole number. Record and person unit: sC + √d, since rounding moves a coordinate by
 * less than 1. Institution unit: min{sC + √d, √((sC)² + d/4 + √(2 ln(1/β))(sC + √d/2))}, β = e^−½, the bound on which
 * `quantise` conditions. A scale that is no power of two adds √d·2^-22 for the rounding of s·x (|s·x| ≤ 2^30).
 * @throws RefusalError `scale-too-coarse`.
 */
export function sensitivityAfterRounding(rule: QuantisationRule): number {
  requireFineScale(rule);
  const rootDimension = Math.sqrt(rule.dimension);
  const clip = rule.scale * rule.clipNorm;
  const product = Number.isInteger(Math.log2(rule.scale)) ? 0 : rootDimension * 2 ** -22;
  const anyRounding = clip + rootDimension + product;
  if (rule.unit !== 'institution') return Math.ceil(anyRounding);
  // √(2 ln(1/β)) = 1 at β = e^−½.
  const conditioned = Math.sqrt(clip ** 2 + rule.dimension / 4 + (clip + rootDimension / 2)) + product;
  return Math.ceil(Math.min(anyRounding, conditioned));
}

/** ⌈8√(members·v)⌉: eight standard deviations of the noise in a sum. v = 0: a contract without noise. */
export function noiseMargin(members: number, variance: number): number {
  requireInteger('members', members, 1);
  requireInteger('variance', variance, 0);
  return Math.ceil(8 * Math.sqrt(members * variance));
}

/**
 * B = ⌊(2^(w−2) − 1 − ⌈8√(n v)⌉)/n⌋: with every coordinate within ±B the sum of n fills half the ring at most.
 * @throws RefusalError `ring-too-small` where nothing is left for the update.
 */
export function clampBound(rule: {
  readonly institutions: number;
  readonly variance: number;
  readonly ringBits?: number;
}): number {
  const ringBits = rule.ringBits ?? 32;
  requireInteger('ringBits', ringBits, 3, 32);
  const room = 2 ** (ringBits - 2) - 1 - noiseMargin(rule.institutions, rule.variance);
  const bound = Math.floor(room / rule.institutions);
  if (bound < 1)
    throw new RefusalError(
      'ring-too-small',
      `Sums of ${rule.institutions} institutions with this noise could wrap around ${ringBits} bits. Lower the scale or the noise.`,
    );
  return bound;
}

/**
 * Rounds s·x, clamped to ±bound, to whole steps: up or down at random so that the mean is kept exactly. In the
 * institution unit the whole vector is rounded again until its norm is at most L̃ (kept more than 2 times in 5).
 * @throws RefusalError `scale-too-coarse`, `update-not-finite`. @throws InvariantError `update-not-clipped` if an
 * institution's vector is longer than C. Nothing of the vector is in any message.
 */
export function quantise(
  random: Random,
  vector: Float64Array | Float32Array,
  rule: QuantisationRule,
  bound: number,
): Int32Array {
  requireInteger('bound', bound, 1, 2 ** 30);
  if (vector.length !== rule.dimension) throw new RangeError('vector must have the dimension of the rule');
  const sensitivity = sensitivityAfterRounding(rule);
  const words = new RandomWords(random);
  const out = new Int32Array(vector.length);
  requireUsable(vector, rule);
  do roundInto(out, vector, rule.scale, bound, words);
  while (rule.unit === 'institution' && !isWithin(out, sensitivity));
  words.wipe();
  return out;
}

function requireUsable(vector: Float64Array | Float32Array, { unit, clipNorm }: QuantisationRule): void {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) {
    const value = vector[i]!;
    if (!Number.isFinite(value))
      throw new RefusalError(
        'update-not-finite',
        'Training gave numbers that are not finite, so nothing was sent. Lower the learning rate or look for extreme values in the records.',
      );
    squares += value * value;
  }
  if (unit === 'institution' && Math.sqrt(squares) > clipNorm * (1 + 2 ** -20))
    throw new InvariantError(
      'update-not-clipped',
      'The update is longer than its clipping norm, so nothing was sent. Please report this.',
    );
}

function roundInto(
  out: Int32Array,
  vector: Float64Array | Float32Array,
  scale: number,
  bound: number,
  words: RandomWords,
): void {
  for (let i = 0; i < vector.length; i++) {
    const steps = Math.max(-bound, Math.min(bound, vector[i]! * scale));
    // Of the magnitude, whose fraction a double holds exactly even next to zero.
    const magnitude = Math.abs(steps);
    const whole = Math.floor(magnitude);
    const rounded = whole + (words.bernoulli(magnitude - whole) ? 1 : 0);
    out[i] = steps < 0 ? -rounded : rounded;
  }
}

/** ‖q‖₂ ≤ limit, allowing for the rounding of the sum of squares, so never wrongly true. */
function isWithin(vector: Int32Array, limit: number): boolean {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += vector[i]! * vector[i]!;
  const slack = squares <= Number.MAX_SAFE_INTEGER ? 0 : (vector.length + 2) * 2 ** -52;
  return squares * (1 + slack) <= limit * limit;
}

/** q + e mod 2^32 as ring words: what is masked. */
export function noisedWords(quantised: Int32Array, noise: Int32Array): Uint32Array {
  if (quantised.length !== noise.length) throw new RangeError('noise must be as long as quantised');
  const words = new Uint32Array(quantised.length);
  for (let i = 0; i < words.length; i++) words[i] = (quantised[i]! + noise[i]!) | 0;
  return words;
}

/** The summed words mod 2^w as signed integers in [−2^(w−1), 2^(w−1)). */
export function centred(words: Uint32Array, ringBits = 32): Int32Array {
  requireInteger('ringBits', ringBits, 3, 32);
  const shift = 32 - ringBits;
  const out = new Int32Array(words.length);
  for (let i = 0; i < words.length; i++) out[i] = (words[i]! << shift) >> shift;
  return out;
}

/** Centred sum divided by s, a public constant. */
export function dequantise(words: Uint32Array, scale: number, ringBits = 32): Float64Array {
  requirePositive('scale', scale);
  return Float64Array.from(centred(words, ringBits), (steps) => steps / scale);
}

/**
 * Whether some coordinate is beyond |U3|·B + ⌈8√(|U3| v)⌉: garbage in a masked vector. Such a round is closed, charged
 * and applied by nobody.
 */
export function isSpoiled(
  words: Uint32Array,
  rule: { readonly survivors: number; readonly bound: number; readonly variance: number; readonly ringBits?: number },
): boolean {
  const limit = rule.survivors * rule.bound + noiseMargin(rule.survivors, rule.variance);
  return centred(words, rule.ringBits ?? 32).some((steps) => Math.abs(steps) > limit);
}

function requirePositive(name: string, value: number): void {
  if (!(Number.isFinite(value) && value > 0)) throw new RangeError(`${name} must be a finite number > 0`);
}
