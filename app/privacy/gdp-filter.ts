// A GDP filter: unsampled Gaussians whose noise and number are chosen after earlier results were seen stay B-GDP as long as
// the sum of their μ² stays within B² (Koskela, Tobaben, Honkela 2022, arXiv:2209.15596; Smith and Thakurta 2022,
// arXiv:2210.17520). One number, the cost, is what such a ceiling adds up. Design 4, "A GDP filter serves unsampled Gaussians".

import { RefusalError } from '../errors.ts';
import type { Delta } from '../units.ts';
import { epsilonBeside } from './density-ratio.ts';
import { simpleEvents } from './events.ts';
import type { PrivacyEvent, SimpleEvent } from './events.ts';
import { gaussianEpsilon, squaredMuOf, unsupportedByGdp } from './gdp-accountant.ts';
import { unsupportedAnywhere } from './accountant.ts';

const { sqrt } = Math;

/**
 * Cost = μ² + x·this, x being the log density ratio of sealed sums to Gaussians. A cost of c then bounds both at once:
 * μ² ≤ c and x ≤ c/this, in whatever proportion they came, so that the filter needs no second limit.
 */
const costOfRatio = 1e9;

/**
 * Cost of a whole event; Infinity for a release without noise. Costs add up.
 * @throws RefusalError with the code of the part that no GDP bounds (`sampled-event-unsupported`, …).
 */
export function gdpCostOfEvent(event: PrivacyEvent): number {
  let total = 0;
  for (const { event: part, times } of simpleEvents(event)) {
    const reason = unsupportedAnywhere(part, part.adjacency) ?? unsupportedByGdp(part);
    if (reason !== null) throw new RefusalError(reason.code, reason.sentence);
    total += costOfSimple(part, times);
  }
  return total;
}

function costOfSimple(event: SimpleEvent, times: number): number {
  const { squaredMu, logRatio } = squaredMuOf(event, times);
  return squaredMu + costOfRatio * logRatio;
}

/** ε at δ of everything that costs `cost` together. */
export function gdpEpsilonOfCost(cost: number, delta: Delta): number {
  return epsilonBeside(cost / costOfRatio, delta, (ideal) => gaussianEpsilon(sqrt(cost), ideal));
}

/** The largest cost that still is (ε, δ); 0 where nothing is. */
export function gdpCostCapacity(epsilon: number, delta: Delta): number {
  let low = 0;
  let high = 1;
  while (gdpEpsilonOfCost(high, delta) <= epsilon) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-14 * high; i++) {
    const middle = (low + high) / 2;
    if (gdpEpsilonOfCost(middle, delta) <= epsilon) low = middle;
    else high = middle;
  }
  return low;
}
