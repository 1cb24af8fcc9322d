// The RDP accountant: adds up Rényi divergences at fixed orders and converts once. Takes Gaussians, sampled Gaussians,
// sealed sums and most mechanisms on paper; anything without noise makes it Infinity. Spec: design 4, "Accountants".

import { RefusalError } from '../errors.ts';
import type { Adjacency } from '../units.ts';
import { accountant, sampledReplaceOne, unsupportedAnywhere } from './accountant.ts';
import type { Accountant, Unsupported } from './accountant.ts';
import { simpleEvents } from './events.ts';
import type { PrivacyEvent, SealedGaussianSumEvent, SimpleEvent } from './events.ts';
import { defaultOrders, deltaOfRdp, epsilonOfRdp, rdpOfDensityRatio, rdpSampledGaussian } from './rdp.ts';
import {
  mostSamplingInstitutions,
  personInTooMany,
  rdpFixedSize,
  rdpOfMixture,
  rdpOfSampledTimes,
} from './rdp-mixture.ts';
import { sealedLogRatio, sealedNoiseMultiplier } from './sealed-sum-loss.ts';
import { logAdd } from './special-functions.ts';

/**
 * @param adjacency which data sets are neighbours; events about another relation are refused.
 * @param orders Rényi orders > 1, dp-accounting's by default.
 */
export function rdpAccountant(adjacency: Adjacency, orders: readonly number[] = defaultOrders): Accountant {
  let total: readonly number[] = orders.map(() => 0);
  const own = [...orders];
  return accountant<readonly number[]>({
    name: 'rdp',
    adjacency,
    unsupported: unsupportedByRdp,
    prepare: (event, times) => own.map((order) => times * rdpOfSimple(event, order)),
    commit(prepared) {
      for (const rdp of prepared) total = total.map((sum, index) => sum + rdp[index]!);
    },
    epsilon: (delta) => epsilonOfRdp({ orders: own, rdp: total }, delta).epsilon,
    delta: (epsilon) => deltaOfRdp({ orders: own, rdp: total }, epsilon).delta,
  });
}

export function unsupportedByRdp(event: SimpleEvent): Unsupported | null {
  if (
    event.mechanism === 'sealed-gaussian-sum' &&
    event.institutionsPerPerson > 1 &&
    event.samplingRate !== 1 &&
    event.honestShares > 1 &&
    event.institutionsPerPerson > mostSamplingInstitutions
  )
    return personInTooMany;
  if (event.mechanism === 'gaussian' && event.adjacency === 'replace-one' && event.samplingRate !== 1)
    return sampledReplaceOne;
  if (
    (event.mechanism === 'laplace' || event.mechanism === 'discrete-gaussian' || event.mechanism === 'skellam') &&
    event.samplingRate !== 1
  )
    return {
      code: 'sampled-noise-unsupported',
      sentence: `The RDP accountant does not bound a sampled "${event.mechanism}" event; use ${event.mechanism === 'skellam' ? '' : 'PLD, or '}sampling rate 1.`,
    };
  if (event.mechanism === 'epsilon-delta' && event.delta > 0)
    return {
      code: 'approximate-block-unsupported',
      sentence:
        'No Rényi divergence bounds a release that may fail with probability δ; use PLD, or a block with δ = 0.',
    };
  return null;
}

/**
 * RDP of a whole event at one order, for a guard that has fixed its order.
 * @throws RefusalError with the code of the unsupported part.
 */
export function rdpOfEvent(event: PrivacyEvent, order: number): number {
  let total = 0;
  for (const { event: part, times } of simpleEvents(event)) {
    const reason = unsupportedAnywhere(part, part.adjacency) ?? unsupportedByRdp(part);
    if (reason !== null) throw new RefusalError(reason.code, reason.sentence);
    total += times * rdpOfSimple(part, order);
  }
  return total;
}

function rdpOfSimple(event: SimpleEvent, order: number): number {
  // Replacing a unit moves a whole release twice as far.
  const moved = event.adjacency === 'replace-one' ? 2 : 1;
  switch (event.mechanism) {
    case 'gaussian':
      return event.steps * rdpSampledGaussian(event.samplingRate, event.noiseMultiplier / moved, order);
    case 'laplace':
      return event.steps * rdpOfLaplace(event.noiseMultiplier / moved, order);
    case 'discrete-gaussian':
      return (event.steps * order * (moved * event.sensitivity) ** 2) / (2 * event.variance);
    case 'skellam':
      return (
        event.steps * rdpOfSkellam(event.variance, moved * event.sensitivity, moved * event.absoluteSensitivity, order)
      );
    case 'gaussian-mixture':
      return event.steps * rdpOfMixture(event.standardDeviation, event.sensitivities, event.probabilities, order);
    case 'fixed-size-sampled-gaussian':
      return event.steps * rdpFixedSize(event.batchSize / event.populationSize, event.noiseMultiplier / moved, order);
    case 'epsilon-delta':
      return event.steps * rdpOfPureBlock(event.epsilon, order);
    case 'unbounded':
      return Infinity;
    case 'sealed-gaussian-sum':
      return rdpOfSealed(event, order);
  }
}

function rdpOfSealed(event: SealedGaussianSumEvent, order: number): number {
  const k = event.institutionsPerPerson;
  const multiplier = sealedNoiseMultiplier(event);
  const ratio = rdpOfDensityRatio(sealedLogRatio(event), order);
  // One institution's own noised releases: a person in k of them is in k independent releases.
  if (event.honestShares === 1)
    return k * event.steps * (rdpSampledGaussian(event.samplingRate, multiplier, order) + ratio);
  // Each of the k institutions samples the person for itself: j of their vectors move together.
  if (k > 1 && event.samplingRate !== 1)
    return event.steps * (rdpOfSampledTimes(multiplier, k, event.samplingRate, order) + ratio);
  // Unsampled sums: k vectors move together, by at most k L̃.
  return event.steps * (rdpSampledGaussian(event.samplingRate, multiplier / k, order) + ratio);
}

/** Exact: Mironov 2017 (arXiv:1702.07476), proposition 6. */
export function rdpOfLaplace(scale: number, order: number): number {
  const high = Math.log(order / (2 * order - 1)) + (order - 1) / scale;
  const low = Math.log((order - 1) / (2 * order - 1)) - order / scale;
  return Math.max(0, logAdd(high, low)) / (order - 1);
}

/**
 * Skellam noise of variance μ against L2 and L1 sensitivities: Agarwal, Kairouz, Liu 2021 (arXiv:2110.04995), theorem 3.5.
 * It holds at whole orders; between them the next one's bound serves, because divergences rise with the order.
 */
export function rdpOfSkellam(
  variance: number,
  sensitivity: number,
  absoluteSensitivity: number,
  order: number,
): number {
  const alpha = Math.ceil(order);
  const squared = sensitivity * sensitivity;
  const fine = ((2 * alpha - 1) * squared + 6 * absoluteSensitivity) / (4 * variance * variance);
  const coarse = (3 * absoluteSensitivity) / (2 * variance);
  return (alpha * squared) / (2 * variance) + Math.min(fine, coarse);
}

/** Of randomised response with this ε, the worst ε-DP release: Mironov 2017, proposition 5. */
function rdpOfPureBlock(epsilon: number, order: number): number {
  const likely = -Math.log1p(Math.exp(-epsilon));
  const rare = likely - epsilon;
  return Math.max(0, logAdd(order * likely + (1 - order) * rare, order * rare + (1 - order) * likely)) / (order - 1);
}
