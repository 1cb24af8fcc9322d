// A step takes at most units × count sampled units, so that shapes do not depend on records; what is above is left out.
// The probability of that is charged to δ (design 4, "Nothing but charged releases"). Chernoff's bound in its
// Kullback–Leibler form (Hoeffding 1963, theorem 1): P[Bin(N, q) ≥ a] ≤ exp(−N·KL(a/N ‖ q)).

import { requireInteger } from '../errors.ts';

export type BatchTail = {
  /** Largest true number of units that an institution may hold. */
  readonly units: number;
  readonly samplingRate: number;
  /** Most units that one step takes. */
  readonly cap: number;
};

/** Upper bound on the probability that a Poisson sample of `units` at `samplingRate` is larger than `cap`. */
export function batchTail({ units, samplingRate: q, cap }: BatchTail): number {
  requireInteger('units', units, 1);
  requireInteger('cap', cap, 1);
  if (!(q > 0 && q <= 1)) throw new RangeError('samplingRate must be a number in (0, 1]');
  if (cap >= units) return 0;
  const share = (cap + 1) / units;
  if (share <= q) return 1;
  const divergence = share * Math.log(share / q) + (share < 1 ? (1 - share) * Math.log((1 - share) / (1 - q)) : 0);
  // The factor covers the rounding of the logarithms above.
  return Math.min(1, Math.exp(-units * divergence * (1 - 1e-9)));
}

/** The smallest cap whose tail is at most `most`. */
export function capForTail(sample: Omit<BatchTail, 'cap'>, most: number): number {
  let low = Math.max(1, Math.floor(sample.units * sample.samplingRate));
  let high = sample.units;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (batchTail({ ...sample, cap: middle }) <= most) high = middle;
    else low = middle + 1;
  }
  return high;
}

/**
 * What `steps` steps add to δ that each differ from what is accounted with probability `tail` at most: leaving units
 * out, or noise that is not quite exact. Both neighbours are within p of their accounted runs, so (ε, δ′) becomes
 * (ε, δ′ + p (1 + e^ε)).
 */
export function truncationDelta(tail: number, steps: number, epsilon: number): number {
  return tail === 0 ? 0 : Math.min(1, tail * steps) * (1 + Math.exp(epsilon));
}
