// The zCDP accountant: adds up ρ of releases whose Rényi divergences lie below a line through the origin, and converts once
// over all orders. Refuses by name what no such line bounds, sampled releases first of all (Bun, Dwork, Rothblum, Steinke
// 2018: sampling does not amplify ρ). Bun and Steinke 2016 (arXiv:1605.02065). Spec: design 4, "Accountants".

import type { Adjacency } from '../units.ts';
import { accountant } from './accountant.ts';
import type { Accountant, Unsupported } from './accountant.ts';
import { deltaBeside, epsilonBeside } from './density-ratio.ts';
import type { SimpleEvent } from './events.ts';
import { squaredMuOf } from './gdp-accountant.ts';
import { pureRho, zcdpDelta, zcdpEpsilon } from './zcdp.ts';

type Spent = {
  readonly rho: number;
  /** log ratio of what was released to what ρ bounds, over all releases. */
  readonly logRatio: number;
};

export function zcdpAccountant(adjacency: Adjacency): Accountant {
  let total: Spent = { rho: 0, logRatio: 0 };
  return accountant<Spent>({
    name: 'zcdp',
    adjacency,
    unsupported: unsupportedByZcdp,
    prepare: spentBy,
    commit(prepared) {
      for (const one of prepared) total = { rho: total.rho + one.rho, logRatio: total.logRatio + one.logRatio };
    },
    epsilon: (delta) => epsilonBeside(total.logRatio, delta, (ideal) => zcdpEpsilon(total.rho, ideal)),
    delta(epsilon) {
      if (total.rho === 0 && total.logRatio === 0) return 0;
      return deltaBeside(total.logRatio, epsilon, (ideal) => zcdpDelta(total.rho, ideal));
    },
  });
}

export function unsupportedByZcdp(event: SimpleEvent): Unsupported | null {
  switch (event.mechanism) {
    case 'unbounded':
      return null;
    case 'gaussian':
    case 'laplace':
    case 'discrete-gaussian':
    case 'sealed-gaussian-sum':
      return event.samplingRate === 1 ? null : sampled;
    case 'fixed-size-sampled-gaussian':
      return event.batchSize === event.populationSize ? null : sampled;
    case 'gaussian-mixture':
      return event.sensitivities.length === 1 ? null : sampled;
    case 'skellam':
      return {
        code: 'skellam-unsupported',
        sentence: 'The zCDP accountant does not take Skellam noise, whose divergences are not below a line. Use RDP.',
      };
    case 'epsilon-delta':
      return event.delta === 0
        ? null
        : {
            code: 'approximate-block-unsupported',
            sentence: 'No ρ bounds a release that may fail with probability δ; use PLD, or a block with δ = 0.',
          };
  }
}

const sampled: Unsupported = {
  code: 'sampled-event-unsupported',
  sentence:
    'The zCDP accountant takes unsampled releases only: sampling does not lower ρ as it should. Use PLD or RDP.',
};

function spentBy(event: SimpleEvent, times: number): Spent {
  // Replacing a unit moves a whole release twice as far.
  const moved = event.adjacency === 'replace-one' ? 2 : 1;
  const releases = times * event.steps;
  switch (event.mechanism) {
    case 'laplace':
      return { rho: releases * pureRho(moved / event.noiseMultiplier), logRatio: 0 };
    case 'discrete-gaussian':
      return { rho: (releases * (moved * event.sensitivity) ** 2) / (2 * event.variance), logRatio: 0 };
    case 'epsilon-delta':
      return { rho: releases * pureRho(event.epsilon), logRatio: 0 };
    default: {
      const { squaredMu, logRatio } = squaredMuOf(event, times);
      return { rho: squaredMu / 2, logRatio };
    }
  }
}
