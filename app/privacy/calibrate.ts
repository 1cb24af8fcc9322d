// The inverse question: how much noise for a target ε? By the RDP accountant's values, rounded up, so that what is
// returned always meets the target. Used by the contract check's repairs and by the planner. Spec: design 4.

import { RefusalError, requireInteger } from '../errors.ts';
import { delta as checkedDelta, noiseMultiplier as checkedMultiplier, samplingRate as checkedRate } from '../units.ts';
import type { NoiseMultiplier } from '../units.ts';
import { defaultOrders, epsilonOfRdp, rdpSampledGaussian } from './rdp.ts';

export type CalibrationTarget = {
  readonly epsilon: number;
  readonly delta: number;
  readonly samplingRate: number;
  readonly steps: number;
  readonly orders?: readonly number[];
  /** The least multiplier worth returning; a millionth unless told. */
  readonly least?: number;
};

const mostNoise = 1e6;
const precision = 1e-6;

/**
 * The smallest noise multiplier (to one part in a million, rounded up) for which `steps` releases are (ε, δ) under
 * add-or-remove.
 * @throws RangeError naming the argument; RefusalError `no-noise-suffices` when a multiplier of a million does not do.
 */
export function calibrateNoiseMultiplier(target: CalibrationTarget): NoiseMultiplier {
  if (!(target.epsilon > 0 && Number.isFinite(target.epsilon)))
    throw new RangeError('epsilon must be a finite number > 0');
  requireInteger('steps', target.steps, 1);
  const q = checkedRate(target.samplingRate);
  const delta = checkedDelta(target.delta);
  const orders = target.orders ?? defaultOrders;
  const meets = (sigma: number): boolean => {
    const rdp = orders.map((order) => target.steps * rdpSampledGaussian(q, sigma, order));
    return epsilonOfRdp({ orders, rdp }, delta).epsilon <= target.epsilon;
  };
  let high = 1;
  while (!meets(high)) {
    high *= 2;
    if (high > mostNoise)
      throw new RefusalError(
        'no-noise-suffices',
        'No usable amount of noise meets this ε; raise ε or δ, or take fewer steps.',
      );
  }
  let low = high / 2;
  const least = target.least ?? 1e-6;
  while (low > least && meets(low)) [low, high] = [low / 2, low];
  low = Math.max(low, least);
  if (high <= low || meets(low)) return checkedMultiplier(low);
  while (high / low > 1 + precision) {
    const middle = Math.sqrt(low * high);
    if (meets(middle)) high = middle;
    else low = middle;
  }
  return checkedMultiplier(high);
}
