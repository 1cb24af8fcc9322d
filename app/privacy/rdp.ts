// Rényi differential privacy of the (Poisson-sampled) Gaussian mechanism under add-or-remove, and its conversion to
// (ε, δ). Symbols: α order, q sampling rate, σ noise multiplier. Mironov, Talwar, Zhang 2019 (arXiv:1908.10530), section
// 3.3; Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), proposition 12.

import type { Delta } from '../units.ts';
import { alternatingSum, logAdd, logErfc, logExpm1, logSum } from './special-functions.ts';

const { exp, expm1, floor, log, log1p, sqrt, SQRT2 } = Math;

/** The orders of dp-accounting, so that values compare digit by digit. */
export const defaultOrders: readonly number[] = Object.freeze([
  ...Array.from({ length: 99 }, (_, x) => 1 + (x + 1) / 10),
  ...Array.from({ length: 53 }, (_, x) => 11 + x),
  128,
  256,
  512,
  1024,
]);

/** What float64 may lose in log A at fractional orders; added, so that rounding never understates. */
const rounding = 2e-14;
/** Terms of the accelerated tail: 5.8^−24 < 1e-18. */
const tailTerms = 24;
/** dp-accounting's rule for the series of absolute values: done when both sides are below e^−30 of it, in 1000 terms. */
const negligible = 30;
const mostTerms = 1000;

/**
 * RDP at order α > 1 of one step, in nats: α/(2σ²) at q = 1, 0 at q = 0, exact at whole orders. At fractional orders an
 * upper bound, dp-accounting's: the series' absolute values (usually within 1e-3 of the exact value above α = 3, tens of
 * per cent near α = 1); where these do not converge, the exact value (dp-accounting leaves such an order out).
 * @throws RangeError naming the argument.
 */
export function rdpSampledGaussian(samplingRate: number, noiseMultiplier: number, order: number): number {
  const [q, sigma, alpha] = [samplingRate, noiseMultiplier, order];
  if (!(q >= 0 && q <= 1)) throw new RangeError('samplingRate must be a number in [0, 1]');
  if (!(sigma > 0)) throw new RangeError('noiseMultiplier must be a number > 0');
  if (!(alpha > 1 && Number.isFinite(alpha))) throw new RangeError('order must be a finite number > 1');
  if (q === 0) return 0;
  if (q === 1) return alpha / 2 / sigma / sigma;
  const logA = Number.isInteger(alpha) ? logAWhole(q, sigma, alpha) : logAFractional(q, sigma, alpha);
  return logA / (alpha - 1);
}

/**
 * A − 1 = Σ_{i≥2} C(α,i) q^i (1−q)^{α−i} (e^{(i²−i)/2σ²} − 1): the 1 is taken out term by term, so that nothing cancels
 * when q is tiny.
 */
function logAWhole(q: number, sigma: number, alpha: number): number {
  const terms: number[] = [];
  let logBinomial = log(alpha);
  for (let i = 2; i <= alpha; i++) {
    logBinomial += log((alpha - i + 1) / i);
    terms.push(logBinomial + i * log(q) + (alpha - i) * log1p(-q) + logExpm1((i * i - i) / 2 / sigma / sigma));
  }
  return logAdd(0, logSum(terms));
}

type Series = { readonly terms: (i: number) => readonly [below: number, above: number] };

/**
 * The logs of the i-th terms' sizes. The integral is cut at z₀, where both mixture parts are equal, and (1−q+qL)^α
 * expanded on either side. Must be asked for i = 0, 1, 2, … in turn.
 */
function fractionalSeries(q: number, sigma: number, alpha: number): Series {
  const z0 = sigma * sigma * (log1p(-q) - log(q)) + 0.5;
  let logBinomial = 0;
  return {
    terms(i) {
      if (i > 0) logBinomial += log(Math.abs(alpha - i + 1) / i);
      const j = alpha - i;
      return [
        logBinomial + i * log(q) + j * log1p(-q) + (i * i - i) / 2 / sigma / sigma + logErfc((i - z0) / sigma / SQRT2),
        logBinomial + j * log(q) + i * log1p(-q) + (j * j - j) / 2 / sigma / sigma + logErfc((z0 - j) / sigma / SQRT2),
      ];
    },
  };
}

function logAFractional(q: number, sigma: number, alpha: number): number {
  return logAOfSizes(q, sigma, alpha) ?? logAExact(q, sigma, alpha);
}

/** The sum of the terms' sizes, or null when 1000 terms do not suffice. */
function logAOfSizes(q: number, sigma: number, alpha: number): number | null {
  const { terms } = fractionalSeries(q, sigma, alpha);
  let total = -Infinity;
  let [lastBelow, lastAbove] = [-Infinity, -Infinity];
  for (let i = 0; i < mostTerms; i++) {
    const [below, above] = terms(i);
    total = logAdd(total, logAdd(below, above));
    const left = Math.max(below, above) - total + negligible;
    if (i > alpha && below < lastBelow && above < lastAbove) {
      if (left < 0) return withRounding(total - Math.LN2);
      // The sizes fall like a power of i, no faster than i^−(α+3) once past the peak: give up when 1000 is too near.
      if (i >= 100 && left > (alpha + 3) * log(mostTerms / i)) return null;
    }
    [lastBelow, lastAbove] = [below, above];
  }
  return null;
}

/**
 * The exact value. Up to i = ⌊α⌋ + 1 the binomials are positive; from there they alternate in sign, and their sizes times
 * the integrals are a moment sequence: Γ(i−α)/Γ(i+1) is a Beta integral, and the other factor the mean of the i-th power
 * of a ratio in [0, 1].
 */
function logAExact(q: number, sigma: number, alpha: number): number {
  const { terms } = fractionalSeries(q, sigma, alpha);
  const head = floor(alpha) + 1;
  const sizes = Array.from({ length: head + tailTerms }, (_, i) => terms(i));
  const largest = Math.max(...sizes.flat());
  if (!Number.isFinite(largest)) return Infinity;
  let sum = 0;
  for (const side of [0, 1] as const) {
    const scaled = sizes.map((pair) => exp(pair[side] - largest));
    for (const term of scaled.slice(0, head)) sum += term;
    sum += alternatingSum(scaled.slice(head));
  }
  return withRounding(largest + log(sum / 2));
}

function withRounding(logA: number): number {
  return Math.max(0, logA) + rounding * Math.max(1, logA);
}

/** The exact RDP at a fractional order, for those who compare; `rdpSampledGaussian` is never below it. */
export function exactFractionalRdp(samplingRate: number, noiseMultiplier: number, order: number): number {
  if (Number.isInteger(order)) return rdpSampledGaussian(samplingRate, noiseMultiplier, order);
  return logAExact(samplingRate, noiseMultiplier, order) / (order - 1);
}

/**
 * How an output known only within a factor e^{±x} of the ideal one, whichever the data, enters: P̃ ≤ e^x P and
 * Q̃ ≥ e^{−x} Q give ∫ P̃^α Q̃^{1−α} ≤ e^{αx + (α−1)x} ∫ P^α Q^{1−α}, hence D̃_α ≤ D_α + x(2α−1)/(α−1). It holds for
 * mixtures too, so sampling does not matter.
 */
export function rdpOfDensityRatio(logRatio: number, order: number): number {
  return (logRatio * (2 * order - 1)) / (order - 1);
}

/** ε at δ from the RDP at one order: rdp + ln(1 − 1/α) − (ln δ + ln α)/(α − 1), never below 0. */
export function epsilonAtOrder(order: number, rdp: number, delta: Delta): number {
  // Total variation is at most √(1 − e^{−KL}) and KL ≤ RDP (Bretagnolle and Huber 1978): then (0, δ) already holds.
  if (rdp <= 0 || delta * delta + expm1(-rdp) > 0) return 0;
  return Math.max(0, rdp + log1p(-1 / order) - (log(delta) + log(order)) / (order - 1));
}

/** The other way round: the RDP at one order that ε at δ still allows; may be negative, then it allows nothing. */
export function rdpCapacity(order: number, epsilon: number, delta: Delta): number {
  return epsilon - log1p(-1 / order) + (log(delta) + log(order)) / (order - 1);
}

export type RdpCurve = { readonly orders: readonly number[]; readonly rdp: readonly number[] };

/** The best ε at δ over the orders, and the order that gave it. ε = Infinity when no order bounds it. */
export function epsilonOfRdp(curve: RdpCurve, delta: Delta): { readonly epsilon: number; readonly order: number } {
  return best(curve, (order, rdp) => epsilonAtOrder(order, rdp, delta), 'epsilon');
}

/** The best δ at ε over the orders, and the order that gave it. δ = 1 when no order bounds it. */
export function deltaOfRdp(curve: RdpCurve, epsilon: number): { readonly delta: number; readonly order: number } {
  if (!(epsilon >= 0)) throw new RangeError('epsilon must be a number ≥ 0');
  return best(
    curve,
    (order, rdp) => {
      if (rdp <= 0) return 0;
      if (rdp === Infinity) return 1;
      const byOrder = exp((order - 1) * (rdp - epsilon + log1p(-1 / order)) - log(order));
      return Math.min(1, byOrder, sqrt(-expm1(-rdp)));
    },
    'delta',
  );
}

function best<Name extends string>(
  curve: RdpCurve,
  value: (order: number, rdp: number) => number,
  name: Name,
): { readonly [key in Name]: number } & { readonly order: number } {
  if (curve.orders.length === 0 || curve.orders.length !== curve.rdp.length)
    throw new RangeError('curve must hold one RDP value for each of its orders');
  let least = Infinity;
  let at = curve.orders[0]!;
  curve.orders.forEach((order, index) => {
    const here = value(order, curve.rdp[index]!);
    if (here < least) [least, at] = [here, order];
  });
  return { [name]: least, order: at } as { readonly [key in Name]: number } & { readonly order: number };
}
