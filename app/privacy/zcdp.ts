// Zero-concentrated differential privacy: closed forms for ρ and its conversion to (ε, δ). Bun and Steinke 2016
// (arXiv:1605.02065); Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), proposition 12 and corollary 13.

import type { Delta } from '../units.ts';
import { epsilonAtOrder, rdpCapacity } from './rdp.ts';

const { exp, log, log1p, sqrt } = Math;

/** ρ of unsampled Gaussian releases: steps / 2σ². The discrete Gaussian has no more at the same variance parameter. */
export function gaussianRho(noiseMultiplier: number, steps = 1): number {
  if (!(noiseMultiplier > 0)) throw new RangeError('noiseMultiplier must be a number > 0');
  return steps / 2 / noiseMultiplier / noiseMultiplier;
}

/** Any ε-DP release is ε²/2-zCDP. */
export function pureRho(epsilon: number): number {
  if (!(epsilon >= 0)) throw new RangeError('epsilon must be a number ≥ 0');
  return (epsilon * epsilon) / 2;
}

/** The textbook ε = ρ + 2√(ρ ln 1/δ), for those who compare. */
export function simpleZcdpEpsilon(rho: number, delta: Delta): number {
  return rho + 2 * sqrt(-rho * log(delta));
}

/** The best ε at δ over all orders of the line α ↦ αρ: never above the textbook's. @throws RangeError for ρ < 0. */
export function zcdpEpsilon(rho: number, delta: Delta): number {
  if (!(rho >= 0)) throw new RangeError('rho must be a number ≥ 0');
  if (rho === 0) return 0;
  if (rho === Infinity) return Infinity;
  return least((order) => epsilonAtOrder(order, order * rho, delta), 1 + sqrt(-log(delta) / rho));
}

/** The best δ at ε over all orders: the other way round. @throws RangeError for ρ < 0. */
export function zcdpDelta(rho: number, epsilon: number): number {
  if (!(rho >= 0)) throw new RangeError('rho must be a number ≥ 0');
  if (rho === 0) return 0;
  if (rho === Infinity) return 1;
  const logDelta = (order: number): number => (order - 1) * (order * rho - epsilon + log1p(-1 / order)) - log(order);
  return Math.min(1, exp(least(logDelta, Math.max(1.5, (epsilon + rho) / (2 * rho)))));
}

/** The largest ρ that still is (ε, δ). @throws RangeError for ε ≤ 0. */
export function zcdpRho(epsilon: number, delta: Delta): number {
  if (!(epsilon > 0)) throw new RangeError('epsilon must be a number > 0');
  return -least((order) => -rdpCapacity(order, epsilon, delta) / order, 1 - (2 * log(delta)) / epsilon);
}

/** The least value of a function of the order that falls and then rises, searched outwards from a guess. */
function least(value: (order: number) => number, guess: number): number {
  let best = value(guess);
  let at = log(guess - 1);
  for (let step = 1; step > 1e-9;) {
    const [left, right] = [value(1 + exp(at - step)), value(1 + exp(at + step))];
    if (left < best) [best, at] = [left, at - step];
    else if (right < best) [best, at] = [right, at + step];
    else step /= 2;
  }
  return best;
}
