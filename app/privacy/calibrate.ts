// The inverse questions: how much noise, how many releases or which sampling rate for a target ε? By any accountant, rounded
// to the safe side, so that what is returned always meets the target. Used by the contract check's repairs and by the
// planner. Spec: design 4.

import { RefusalError, requireInteger } from '../errors.ts';
import { delta as checkedDelta, noiseMultiplier as checkedMultiplier, samplingRate as checkedRate } from '../units.ts';
import type { Adjacency, Delta, NoiseMultiplier, SamplingRate } from '../units.ts';
import type { Accountant } from './accountant.ts';
import { gaussianNoiseMultiplier, gdpAccountant } from './gdp-accountant.ts';
import { pldAccountant } from './pld-accountant.ts';
import { rdpAccountant } from './rdp-accountant.ts';
import { zcdpAccountant } from './zcdp-accountant.ts';
import { defaultOrders, epsilonOfRdp, rdpSampledGaussian } from './rdp.ts';
import { mostSamplingInstitutions, rdpOfSampledTimes } from './rdp-mixture.ts';

export const accountantNames = ['rdp', 'pld', 'gdp', 'zcdp'] as const;
export type AccountantName = (typeof accountantNames)[number];

/** `steps` (Poisson-sampled) Gaussian releases under add-or-remove. */
export type Schedule = { readonly samplingRate: number; readonly noiseMultiplier: number; readonly steps: number };

export type CalibrationTarget = {
  readonly epsilon: number;
  readonly delta: number;
  readonly samplingRate: number;
  readonly steps: number;
  /** k of a person's institutions that each sample and are summed; 1 unless told. RDP only. */
  readonly sampledTimes?: number;
  /** RDP's orders. */
  readonly orders?: readonly number[];
  /** The least multiplier worth returning; a millionth unless told. */
  readonly least?: number;
  /** Whose ε is meant; RDP's unless told, because ceilings read RDP. */
  readonly accountant?: AccountantName;
};

const mostNoise = 1e6;
const mostSteps = 1e9;
const leastRate = 1e-9;
const precision = 1e-6;

export function newAccountant(name: AccountantName, adjacency: Adjacency = 'add-or-remove'): Accountant {
  switch (name) {
    case 'rdp':
      return rdpAccountant(adjacency);
    case 'pld':
      return pldAccountant(adjacency);
    case 'gdp':
      return gdpAccountant(adjacency);
    case 'zcdp':
      return zcdpAccountant(adjacency);
  }
}

/** ε of a schedule by an accountant. @throws RefusalError where the accountant does not support it. */
export function scheduleEpsilon(name: AccountantName, schedule: Schedule, delta: Delta): number {
  const account = newAccountant(name);
  account.compose({ mechanism: 'gaussian', adjacency: 'add-or-remove', ...schedule });
  return account.epsilon(delta);
}

function checkedTarget(epsilon: number, delta: number): Delta {
  if (!(epsilon > 0 && Number.isFinite(epsilon))) throw new RangeError('epsilon must be a finite number > 0');
  return checkedDelta(delta);
}

/**
 * The smallest noise multiplier (to one part in a million, rounded up; for unsampled releases by PLD or GDP exact) for which
 * `steps` releases are (ε, δ) under add-or-remove.
 * @throws RangeError naming the argument; RefusalError `no-noise-suffices` when a multiplier of a million does not do, or
 * the accountant's own refusal.
 */
export function calibrateNoiseMultiplier(target: CalibrationTarget): NoiseMultiplier {
  const { epsilon, steps, accountant = 'rdp' } = target;
  const delta = checkedTarget(epsilon, target.delta);
  requireInteger('steps', steps, 1);
  const samplingRate = checkedRate(target.samplingRate);
  const orders = target.orders ?? defaultOrders;
  const least = target.least ?? 1e-6;
  if ((accountant === 'pld' || accountant === 'gdp') && samplingRate === 1) {
    // The analytic Gaussian mechanism: `steps` releases at σ are one at σ / √steps.
    const exact = gaussianNoiseMultiplier(epsilon, delta) * Math.sqrt(steps) * (1 + 4 * Number.EPSILON);
    if (!(exact <= mostNoise)) throw noNoiseSuffices();
    return checkedMultiplier(Math.max(least, exact));
  }
  const k = target.sampledTimes ?? 1;
  requireInteger('sampledTimes', k, 1, mostSamplingInstitutions);
  const rdpOf = (noiseMultiplier: number, order: number): number =>
    k === 1 || samplingRate === 1
      ? rdpSampledGaussian(samplingRate, noiseMultiplier / k, order)
      : rdpOfSampledTimes(noiseMultiplier, k, samplingRate, order);
  const excess = (noiseMultiplier: number): number => {
    const spent =
      accountant === 'rdp'
        ? epsilonOfRdp({ orders, rdp: orders.map((order) => steps * rdpOf(noiseMultiplier, order)) }, delta).epsilon
        : scheduleEpsilon(accountant, { samplingRate, noiseMultiplier, steps }, delta);
    return Math.log(spent / epsilon);
  };
  // PLD is never above RDP, so RDP's answer is a good place to start from; zCDP is near it.
  const start = accountant === 'rdp' ? 1 : calibrateNoiseMultiplier({ ...target, accountant: 'rdp' });
  let good = start;
  let bad: number | null = null;
  for (let factor = 2; excess(good) > 0;) {
    bad = good;
    good *= factor;
    if (good > mostNoise) throw noNoiseSuffices();
  }
  for (let factor = accountant === 'rdp' ? 2 : 1.1; bad === null; factor = Math.min(2, factor * factor)) {
    const less = Math.max(least, good / factor);
    if (excess(less) > 0) bad = less;
    else if (less === least) return checkedMultiplier(least);
    else good = less;
  }
  return checkedMultiplier(narrowed(excess, good, bad));
}

const noNoiseSuffices = (): RefusalError =>
  new RefusalError('no-noise-suffices', 'No usable amount of noise meets this ε; raise ε or δ, or take fewer steps.');

/**
 * The most releases that are (ε, δ) together, up to a thousand million.
 * @throws RangeError naming the argument; RefusalError `no-step-fits` when not even one does, or the accountant's own.
 */
export function calibrateSteps(
  target: Omit<CalibrationTarget, 'steps' | 'orders' | 'least'> & { readonly noiseMultiplier: number },
): number {
  const { epsilon, accountant = 'rdp' } = target;
  const delta = checkedTarget(epsilon, target.delta);
  const samplingRate = checkedRate(target.samplingRate);
  const noiseMultiplier = checkedMultiplier(target.noiseMultiplier);
  const excess = (steps: number): number =>
    Math.log(scheduleEpsilon(accountant, { samplingRate, noiseMultiplier, steps }, delta) / epsilon);
  if (excess(1) > 0)
    throw new RefusalError('no-step-fits', 'Not even one release meets this ε; raise ε or δ, or add noise.');
  // Where PLD starts, RDP has been.
  let good = 1;
  if (accountant === 'pld') {
    try {
      const steps = calibrateSteps({ ...target, accountant: 'rdp' });
      if (excess(steps) <= 0) good = steps;
    } catch (error) {
      if (!(error instanceof RefusalError && error.code === 'no-step-fits')) throw error;
    }
  }
  for (let factor = accountant === 'pld' ? 1.2 : 2; ; factor = 2) {
    if (good >= mostSteps) return mostSteps;
    const more = Math.min(mostSteps, Math.max(good + 1, Math.floor(good * factor)));
    if (excess(more) > 0) return narrowed(excess, good, more, true);
    good = more;
  }
}

/**
 * The largest sampling rate (to one part in a million, rounded down) at which `steps` releases are (ε, δ).
 * @throws RangeError naming the argument; RefusalError `no-rate-fits` below one unit in a thousand million, or the
 * accountant's own.
 */
export function calibrateSamplingRate(
  target: Omit<CalibrationTarget, 'samplingRate' | 'orders' | 'least'> & { readonly noiseMultiplier: number },
): SamplingRate {
  const { epsilon, steps, accountant = 'rdp' } = target;
  const delta = checkedTarget(epsilon, target.delta);
  requireInteger('steps', steps, 1);
  const noiseMultiplier = checkedMultiplier(target.noiseMultiplier);
  const excess = (samplingRate: number): number =>
    Math.log(scheduleEpsilon(accountant, { samplingRate, noiseMultiplier, steps }, delta) / epsilon);
  if (excess(1) <= 0) return checkedRate(1);
  let bad = 1;
  for (let rate = 0.25; rate >= leastRate; rate /= 4) {
    if (excess(rate) <= 0) return checkedRate(narrowed(excess, rate, bad));
    bad = rate;
  }
  throw new RefusalError(
    'no-rate-fits',
    'No usable sampling rate meets this ε; raise ε or δ, add noise, or take fewer steps.',
  );
}

/**
 * Between a value that meets the target (excess ≤ 0) and one that does not: the nearest to the latter that still meets it.
 * Interpolates on logarithms, alternately a little to either side, so that both ends close in; halves when that stalls.
 */
function narrowed(excess: (x: number) => number, meets: number, fails: number, whole = false): number {
  let [good, bad] = [meets, fails];
  let [below, above] = [excess(good), excess(bad)];
  const done = (): boolean => (whole ? Math.abs(bad - good) <= 1 : Math.abs(Math.log(bad / good)) <= precision);
  for (let turn = 0; !done(); turn++) {
    const width = Math.log(bad / good);
    let at = 0.5;
    if (turn % 4 !== 3 && Number.isFinite(below) && Number.isFinite(above)) {
      const nudge = (0.4 * precision) / Math.abs(width);
      at = below / (below - above) + (turn % 2 === 0 ? nudge : -nudge);
      at = Math.min(0.99, Math.max(0.01, at));
    }
    let x = good * Math.exp(at * width);
    if (whole) x = Math.min(Math.max(good, bad) - 1, Math.max(Math.min(good, bad) + 1, Math.round(x)));
    const here = excess(x);
    if (here <= 0) [good, below] = [x, here];
    else [bad, above] = [x, here];
  }
  return good;
}
