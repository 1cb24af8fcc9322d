// Rényi divergences without a closed form, by the trapezoidal rule on analytic integrands: mixtures of Gaussians (a person
// in several institutions that each sample) under add-or-remove, and Gaussians on batches of fixed size under replace-one
// (Wang, Balle, Kasiviswanathan 2019, arXiv:1808.00087, theorem 27).

import type { Unsupported } from './accountant.ts';
import { logAdd, logSum } from './special-functions.ts';

const { ceil, exp, expm1, floor, log, log1p, min, PI, sqrt } = Math;

/** What summing may lose of ln A, added so that rounding never understates. */
const rounding = 1e-13;
const mostPoints = 200_000;

/**
 * ln ∫ e^{f(x)} φ(x; 0, σ²) dx on a grid of the given step, from −12 σ below `least` to 12 σ above `most`; null where that
 * would take too many points. Trapezoidal sums of analytic integrands converge exponentially in 1/step.
 */
function logMean(f: (x: number) => number, sigma: number, least: number, most: number, step: number): number | null {
  const [from, to] = [floor((least - 12 * sigma) / step), ceil((most + 12 * sigma) / step)];
  if (!(to - from <= mostPoints)) return null;
  const constant = log(step) - log(sigma) - log(2 * PI) / 2;
  const terms: number[] = [];
  for (let k = from; k <= to; k++) {
    const x = k * step;
    terms.push(f(x) - (x * x) / (2 * sigma * sigma) + constant);
  }
  return logSum(terms);
}

/** ln Σ w_j e^{(s_j x − s_j²/2)/σ²}: convex and rising in x. */
function mixtureLoss(
  variance: number,
  sensitivities: readonly number[],
  probabilities: readonly number[],
): (x: number) => number {
  const count = sensitivities.length;
  const slopes = Float64Array.from(sensitivities, (s) => s / variance);
  const offsets = Float64Array.from(sensitivities, (s, j) => log(probabilities[j]!) - (s * s) / (2 * variance));
  const parts = new Float64Array(count);
  return (x) => {
    let largest = -Infinity;
    for (let j = 0; j < count; j++) {
      const part = offsets[j]! + slopes[j]! * x;
      parts[j] = part;
      if (part > largest) largest = part;
    }
    let sum = 0;
    for (let j = 0; j < count; j++) sum += exp(parts[j]! - largest);
    return largest + log(sum);
  };
}

/** Terms this far below the largest, in nats, are left out: 200 000 of them are less than 1e-20 of it. */
const farBelow = 60;

/**
 * `logMean` of factor · loss on the same grid, for a convex loss that rises. Most of the grid adds nothing: a stretch of it is
 * left out where a bound says so. Between two points a convex loss lies below its chord, and its falling multiple below
 * the tangent-free bound of the left end; less the square of x that is a parabola, whose largest value is known.
 */
function logMeanOfConvex(
  loss: (x: number) => number,
  factor: number,
  sigma: number,
  { least, most, step }: { readonly least: number; readonly most: number; readonly step: number },
): number | null {
  const [from, to] = [floor((least - 12 * sigma) / step), ceil((most + 12 * sigma) / step)];
  if (!(to - from <= mostPoints)) return null;
  const variance = sigma * sigma;
  const stretch = Math.max(1, floor(sigma / 2 / step));
  const ends: number[] = [];
  for (let k = from; k < to; k += stretch) ends.push(k);
  ends.push(to);
  const losses = ends.map((k) => loss(k * step));
  const term = (k: number, at: number): number => factor * at - (k * step) ** 2 / (2 * variance);
  let largest = Math.max(...ends.map((k, i) => term(k, losses[i]!)));
  const terms: number[] = [];
  for (let i = 0; i + 1 < ends.length; i++) {
    const [left, right] = [ends[i]!, ends[i + 1]!];
    if (boundOf(left * step, right * step, factor * losses[i]!, factor * losses[i + 1]!) < largest - farBelow) continue;
    terms.push(term(left, losses[i]!));
    for (let k = left + 1; k < right; k++) {
      const value = term(k, loss(k * step));
      if (value > largest) largest = value;
      terms.push(value);
    }
  }
  terms.push(term(to, losses.at(-1)!));
  return logSum(terms) + log(step) - log(sigma) - log(2 * PI) / 2;

  /** The most that the exponent can be between two points, from its ends without the square. */
  function boundOf(a: number, b: number, atA: number, atB: number): number {
    // factor < 0: concave and falling, so the left end's value is the largest.
    const slope = factor > 0 ? (atB - atA) / (b - a) : 0;
    const height = factor > 0 ? atA - slope * a : atA;
    const top = min(b, Math.max(a, slope * variance));
    return height + slope * top - (top * top) / (2 * variance);
  }
}

/**
 * RDP at order α > 1 of Σ w_j N(s_j, σ²) against N(0, σ²), in the worse direction. Where integration would be too long it
 * is that of the largest s_j alone, which is larger.
 */
export function rdpOfMixture(
  sigma: number,
  sensitivities: readonly number[],
  probabilities: readonly number[],
  order: number,
): number {
  const most = Math.max(...sensitivities);
  const whole = (order * most * most) / (2 * sigma * sigma);
  const variance = sigma * sigma;
  const loss = mixtureLoss(variance, sensitivities, probabilities);
  // Peaks are no narrower than this, and the loss has its nearest singularities πσ²/s beside the line.
  const narrow = sqrt(1 + (order * most * most) / (4 * variance));
  const step = min(sigma / 4, variance / (2 * most)) / narrow;
  const forward = logMeanOfConvex(loss, order, sigma, { least: 0, most: order * most, step });
  if (forward === null) return whole;
  const reverse = logMeanOfConvex(loss, 1 - order, sigma, { least: (1 - order) * most, most: 0, step });
  if (reverse === null) return whole;
  const logA = Math.max(forward, reverse, 0);
  return min(whole, (logA + rounding * Math.max(1, logA)) / (order - 1));
}

/** Institutions per person beyond which the mixture's tables would be too long. */
export const mostSamplingInstitutions = 64;

export const personInTooMany: Unsupported = {
  code: 'person-in-too-many-institutions',
  sentence: `A person in more than ${mostSamplingInstitutions} sampling institutions is not accounted for; state a smaller number or use mode local.`,
};

const sampledTimes = new Map<string, number>();

/**
 * RDP at order α of a sum in which one person's vectors at k institutions move, each with probability q and by 1 at most:
 * the mixture Binomial(k, q) against noise σ.
 */
export function rdpOfSampledTimes(sigma: number, k: number, rate: number, order: number): number {
  const key = `${sigma} ${k} ${rate} ${order}`;
  const known = sampledTimes.get(key);
  if (known !== undefined) return known;
  const sensitivities = Array.from({ length: k + 1 }, (_, j) => j);
  let logProbability = k * log1p(-rate);
  const probabilities = sensitivities.map((j) => {
    if (j > 0) logProbability += log((k - j + 1) / j) + log(rate) - log1p(-rate);
    // Never 0, whose logarithm would be no number; so much more probability only raises the bound.
    return Math.max(Number.MIN_VALUE, exp(logProbability));
  });
  const rdp = rdpOfMixture(sigma, sensitivities, probabilities, order);
  if (sampledTimes.size >= 5000) sampledTimes.clear();
  sampledTimes.set(key, rdp);
  return rdp;
}

/**
 * RDP at order α of a Gaussian with noise multiplier σ (of what replacing one unit moves) on batches drawn without
 * replacement at ratio q; between whole orders by convexity of (α − 1)·RDP.
 */
export function rdpFixedSize(ratio: number, sigma: number, order: number): number {
  if (ratio === 1) return order / (2 * sigma * sigma);
  const low = floor(order);
  const part = order - low;
  const logA = part === 0 ? logFixedSize(ratio, sigma, low) : (1 - part) * logFixedSize(ratio, sigma, low);
  return (part === 0 ? logA : logA + part * logFixedSize(ratio, sigma, low + 1)) / (order - 1);
}

const remembered = new Map<number, Map<number, number>>();

/** ln E[(L − 1)^l] for even l, L the likelihood ratio of N(1, σ²) to N(0, σ²) under the latter; Infinity where too long. */
function logDifference(sigma: number, l: number): number {
  let known = remembered.get(sigma);
  if (known === undefined) {
    if (remembered.size >= 8) remembered.clear();
    remembered.set(sigma, (known = new Map<number, number>()));
  }
  let value = known.get(l);
  if (value === undefined) {
    const logSize = (x: number): number => {
      const ratio = (x - 0.5) / (sigma * sigma);
      return l * (ratio > 1 ? ratio + log1p(-exp(-ratio)) : log(Math.abs(expm1(ratio))));
    };
    // Between its humps the integrand touches zero at ½, so its peaks are narrower by √l.
    const step = min(sigma / 8, (sigma * sigma) / 4) / sqrt(1 + l / 4);
    value = logMean(logSize, sigma, 0, l, step) ?? Infinity;
    known.set(l, value);
  }
  return value;
}

/** Beyond this order the differences are left to their bound, as in dp-accounting. */
const mostDifference = 256;

function logFixedSize(ratio: number, sigma: number, order: number): number {
  if (order === 1) return 0;
  const variance = sigma * sigma;
  const moment = (l: number): number => (l * (l - 1)) / (2 * variance);
  let logBinomial = log(order);
  let logA = 0;
  for (let i = 2; i <= order; i++) {
    logBinomial += log((order - i + 1) / i);
    let term = Math.LN2 + moment(i);
    if (i === 2) term = min(term, log(4) + log(expm1(1 / variance)));
    else if (order <= mostDifference)
      term = min(term, log(4) + (logDifference(sigma, 2 * floor(i / 2)) + logDifference(sigma, 2 * ceil(i / 2))) / 2);
    logA = logAdd(logA, term + i * log(ratio) + logBinomial);
  }
  return logA;
}
