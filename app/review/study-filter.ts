// The filter that ends a study whose noise adapts: ε of the contract is a ceiling over the rounds that were charged, at an
// order that the contract fixes, not a sum over a schedule. Every institution holds its own charges against it, and the
// coordinator its count of attempts, at the worst case. Design 4, "Adaptive noise".

import { costAtCeiling, epsilonAtCeiling, setCeiling, shareOfCeiling } from '../privacy/ceiling.ts';
import type { Ceiling } from '../privacy/ceiling.ts';
import type { SealedGaussianSumEvent } from '../privacy/events.ts';
import { rdpAccountant } from '../privacy/rdp-accountant.ts';
import type { ContractDraft } from '../study/contract.ts';
import { honestShares, noisedRoundEvent } from './round-event.ts';

/** Part of δ that batches cut at their cap and the sampler's distance may take together, as a share of δ. */
export const mostChargedShare = 1 / 10;

/** A round at the first level, at the worst case; null where no accountant takes it. */
function firstRound(contract: ContractDraft): SealedGaussianSumEvent | null {
  const event = noisedRoundEvent(contract, honestShares(contract, contract.sealing.colluders));
  return event === null || rdpAccountant(event.adjacency).unsupported(event) !== null ? null : event;
}

/**
 * Null where the noise does not adapt, or the check refuses the terms anyway. What cut batches and the sampler may take of
 * δ is left out of the filter's.
 * @param study contract hash, hex
 */
export function studyFilter(contract: ContractDraft, study: string): Ceiling | null {
  const { privacy, training } = contract;
  const event = firstRound(contract);
  if (privacy.adaptiveNoise === undefined || privacy.epsilon === null || event === null) return null;
  const terms = { unit: training.unit, epsilon: privacy.epsilon, delta: privacy.delta * (1 - mostChargedShare) };
  return setCeiling({ kind: 'consent', id: `${study}/terms`, studies: [study], datasets: null, ...terms }, event);
}

/** Attempts at the first level that the filter admits, at most the contract's; null without a filter. */
export function filterAttempts(contract: ContractDraft): number | null {
  const filter = studyFilter(contract, '');
  if (filter === null) return null;
  const share = shareOfCeiling(costAtCeiling(firstRound(contract)!, filter), filter)!;
  return Math.min(contract.schedule.attempts, Math.floor((1 + 1e-9) / share));
}

/** The least ε whose filter admits every attempt at the first level; null where there is none. */
export function filterEpsilon(contract: ContractDraft): number | null {
  const event = firstRound(contract);
  if (event === null) return null;
  let epsilon = contract.privacy.epsilon ?? 1;
  // The order depends a little on ε, so it is found with it.
  for (let turn = 0; turn < 6; turn++) {
    const filter = studyFilter({ ...contract, privacy: { ...contract.privacy, epsilon } }, '');
    if (filter === null) return null;
    epsilon = Math.max(1e-9, epsilonAtCeiling(contract.schedule.attempts * costAtCeiling(event, filter), filter));
  }
  for (;;) {
    const admitted = filterAttempts({ ...contract, privacy: { ...contract.privacy, epsilon } });
    if (admitted === null || admitted >= contract.schedule.attempts) return admitted === null ? null : epsilon;
    epsilon *= 1.01;
  }
}
