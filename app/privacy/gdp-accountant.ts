// The GDP accountant: unsampled Gaussians compose exactly to one Gaussian with μ² = Σ 1/σ². Refuses sampled events by
// name: their central-limit μ is no bound (design 4). Dong, Roth, Su 2022; Balle and Wang 2018 (arXiv:1805.06530).

import type { Adjacency, Delta } from '../units.ts';
import { accountant } from './accountant.ts';
import type { Accountant, Unsupported } from './accountant.ts';
import { deltaBeside, epsilonBeside } from './density-ratio.ts';
import type { SimpleEvent } from './events.ts';
import { sealedLogRatio, sealedNoiseMultiplier } from './sealed-sum-loss.ts';
import { logNormalCdf } from './special-functions.ts';

const { exp, expm1, log, sqrt } = Math;

export type Spent = {
  /** μ² of the exact Gaussian. */
  readonly squaredMu: number;
  /** log ratio x of the real output to the Gaussian one, over all releases. */
  readonly logRatio: number;
};

export function gdpAccountant(adjacency: Adjacency): Accountant {
  let total: Spent = { squaredMu: 0, logRatio: 0 };
  return accountant<Spent>({
    name: 'gdp',
    adjacency,
    unsupported: unsupportedByGdp,
    prepare: squaredMuOf,
    commit(prepared) {
      for (const one of prepared)
        total = { squaredMu: total.squaredMu + one.squaredMu, logRatio: total.logRatio + one.logRatio };
    },
    epsilon: (delta) => epsilonBeside(total.logRatio, delta, (ideal) => gaussianEpsilon(sqrt(total.squaredMu), ideal)),
    delta(epsilon) {
      if (total.squaredMu === 0 && total.logRatio === 0) return 0;
      return deltaBeside(total.logRatio, epsilon, (ideal) => gaussianDelta(sqrt(total.squaredMu), ideal));
    },
  });
}

export function unsupportedByGdp(event: SimpleEvent): Unsupported | null {
  switch (event.mechanism) {
    case 'unbounded':
      return null;
    case 'skellam':
      return {
        code: 'skellam-unsupported',
        sentence: 'The GDP accountant takes unsampled Gaussians only, not Skellam noise. Use RDP.',
      };
    case 'gaussian':
    case 'sealed-gaussian-sum':
      return event.samplingRate === 1 ? null : sampled;
    case 'fixed-size-sampled-gaussian':
      return event.batchSize === event.populationSize ? null : sampled;
    case 'gaussian-mixture':
      return event.sensitivities.length === 1 ? null : sampled;
    case 'laplace':
    case 'discrete-gaussian':
    case 'epsilon-delta':
      return {
        code: 'not-gaussian',
        sentence: `The GDP accountant takes unsampled Gaussians only, not a "${event.mechanism}" event. Use PLD or RDP.`,
      };
  }
}

const sampled: Unsupported = {
  code: 'sampled-event-unsupported',
  sentence:
    'The GDP accountant takes unsampled Gaussians only: for sampled ones its closed form is not a bound. Use PLD or RDP.',
};

/** What `times` of an event that `unsupportedByGdp` allows add. */
export function squaredMuOf(event: SimpleEvent, times: number): Spent {
  // Replacing a unit moves a whole release twice as far.
  const twice = event.adjacency === 'replace-one' ? 2 : 1;
  const gaussian = (sigma: number): Spent => ({ squaredMu: times * event.steps * (twice / sigma) ** 2, logRatio: 0 });
  switch (event.mechanism) {
    case 'gaussian':
    case 'fixed-size-sampled-gaussian':
      return gaussian(event.noiseMultiplier);
    case 'gaussian-mixture':
      return gaussian(event.standardDeviation / event.sensitivities[0]!);
    case 'laplace':
    case 'discrete-gaussian':
    case 'skellam':
    case 'epsilon-delta':
      throw new TypeError('event must be one that unsupportedByGdp allows');
    case 'unbounded':
      return { squaredMu: Infinity, logRatio: 0 };
    case 'sealed-gaussian-sum': {
      const k = event.institutionsPerPerson;
      const releases = times * event.steps * (event.honestShares === 1 ? k : 1);
      const moved = event.honestShares === 1 ? 1 : k;
      return {
        squaredMu: releases * (moved / sealedNoiseMultiplier(event)) ** 2,
        logRatio: releases * sealedLogRatio(event),
      };
    }
  }
}

/** δ(ε) of a μ-GDP mechanism, exact: Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ). */
export function gaussianDelta(mu: number, epsilon: number): number {
  if (mu === 0) return 0;
  if (mu === Infinity) return 1;
  const first = logNormalCdf(mu / 2 - epsilon / mu);
  const second = epsilon + logNormalCdf(-mu / 2 - epsilon / mu);
  return second >= first ? 0 : -exp(first) * expm1(second - first);
}

/** ε(δ) of a μ-GDP mechanism; the returned ε is the upper end of the last bracket, so δ(ε) ≤ δ. */
export function gaussianEpsilon(mu: number, delta: Delta): number {
  if (mu === Infinity) return Infinity;
  if (gaussianDelta(mu, 0) <= delta) return 0;
  let low = 0;
  let high = (mu * mu) / 2 + mu * sqrt(-2 * log(delta));
  for (let i = 0; i < 200 && high - low > 1e-15 * high; i++) {
    const middle = (low + high) / 2;
    if (gaussianDelta(mu, middle) <= delta) high = middle;
    else low = middle;
  }
  return high;
}

/** The σ at which one unsampled Gaussian has exactly (ε, δ): Balle and Wang's analytic Gaussian mechanism. */
export function gaussianNoiseMultiplier(epsilon: number, delta: Delta): number {
  if (!(epsilon > 0)) throw new RangeError('epsilon must be a number > 0');
  let low = 0;
  let high = 1;
  while (gaussianDelta(1 / high, epsilon) > delta) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-15 * high; i++) {
    const middle = (low + high) / 2;
    if (gaussianDelta(1 / middle, epsilon) <= delta) high = middle;
    else low = middle;
  }
  return high;
}
