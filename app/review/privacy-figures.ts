// ε of the whole schedule, at the worst case, against four kinds of adversary (design 3, "Numbers"): the coordinator with
// c colluders, one participant, people outside the roster, everybody else together. What truncated batches add to δ is
// taken off before ε is read. In `local` each institution's own noise alone protects it, so all four are one number.

import { RefusalError } from '../errors.ts';
import { sealedNoiseMultiplier } from '../privacy/sealed-sum-loss.ts';
import type { Accountant } from '../privacy/accountant.ts';
import { rdpAccountant } from '../privacy/rdp-accountant.ts';
import type { SealedGaussianSumEvent } from '../privacy/events.ts';
import { sensitivityAfterRounding } from '../sealed-sum/quantise.ts';
import { leastShareVariance } from '../sealed-sum/noise.ts';
import type { ContractDraft } from '../study/contract.ts';
import { adjacencyOf } from '../study/consent.ts';
import { clipNorm, delta as checkedDelta } from '../units.ts';
import { batchTail, truncationDelta } from './batch-tail.ts';

export type EpsilonFigures = {
  /** Against coordinator + c colluders: the number that ceilings, consent and contract use. */
  readonly coordinator: number | null;
  readonly oneParticipant: number | null;
  readonly outsiders: number | null;
  readonly everyoneElseColludes: number | null;
};

export type Unaccountable = { readonly code: string; readonly sentence: string };

/** h: honest noise shares in a sum that the adversary does not know. */
export function honestShares(contract: ContractDraft, known: number): number {
  return contract.training.mode === 'local' ? 1 : contract.sealing.threshold - known;
}

/** L̃ in steps; null where the scale is too coarse to say. */
export function sensitivityOf(contract: ContractDraft): number | null {
  const { training, sealing } = contract;
  try {
    return sensitivityAfterRounding({
      unit: training.unit,
      scale: sealing.scale,
      clipNorm: clipNorm(training.clippingNorm),
      dimension: sealing.dimension,
    });
  } catch (error) {
    if (error instanceof RefusalError) return null;
    throw error;
  }
}

/** One round as the event that will be charged for it; null where there is no noise, too little, or no L̃. */
export function roundEvent(contract: ContractDraft, shares: number): SealedGaussianSumEvent | null {
  const { training, privacy, sealing } = contract;
  const sensitivity = sensitivityOf(contract);
  if (privacy.noise === 'none' || sensitivity === null || shares < 1) return null;
  if (sealing.noiseVariance < leastShareVariance) return null;
  const wholeUpdate = training.mode === 'institution';
  return {
    mechanism: 'sealed-gaussian-sum',
    honestShares: shares,
    noiseVariance: sealing.noiseVariance,
    sensitivity,
    dimension: sealing.dimension,
    samplingRate: wholeUpdate ? 1 : training.samplingRate,
    steps: wholeUpdate ? 1 : training.localSteps,
    delta: privacy.delta,
    unit: training.unit,
    adjacency: adjacencyOf(contract),
    institutionsPerPerson: training.institutionsPerPerson,
  };
}

/** z′ of the worst case; null where there is no event. */
export function worstMultiplier(contract: ContractDraft): number | null {
  const event = roundEvent(contract, honestShares(contract, contract.sealing.colluders));
  return event === null ? null : sealedNoiseMultiplier(event);
}

/** Why the accountant gives no ε; null when it does. */
export function unaccountable(contract: ContractDraft): Unaccountable | null {
  const event = roundEvent(contract, honestShares(contract, contract.sealing.colluders));
  return event === null ? null : rdpAccountant(event.adjacency).unsupported(event);
}

/** Steps of the whole schedule in which a unit's batch may be cut short. */
export function truncatedSteps(contract: ContractDraft): number {
  const { training, schedule } = contract;
  return schedule.attempts * training.localSteps * training.institutionsPerPerson;
}

/** The largest batch tail of any institution, by its public number of units. */
export function worstBatchTail(contract: ContractDraft): number {
  const { training, roster } = contract;
  if (training.mode === 'institution') return 0;
  const cap = training.microbatch.units * training.microbatch.count;
  return Math.max(
    0,
    ...roster.map(({ nominalUnits }) => batchTail({ units: nominalUnits, samplingRate: training.samplingRate, cap })),
  );
}

/** Part of δ that leaving units out of full batches may take, as a share of δ. */
export const mostTruncationShare = 1 / 10;

export type PrivacyFigures = {
  readonly epsilon: EpsilonFigures;
  /** What leaving units out of full batches adds to δ, already inside the δ at which ε is read; refused above a tenth. */
  readonly truncationDelta: number;
};

export function privacyFigures(contract: ContractDraft): PrivacyFigures {
  const { delta } = contract.privacy;
  const { colluders, threshold } = contract.sealing;
  const accounts = new Map<number, Accountant | null>();
  const epsilonAt = (known: number, at: number): number | null => {
    const shares = honestShares(contract, known);
    if (!accounts.has(shares)) accounts.set(shares, scheduleAccount(contract, shares));
    const epsilon = accounts.get(shares)?.epsilon(checkedDelta(at)) ?? Infinity;
    return Number.isFinite(epsilon) ? epsilon : null;
  };
  // ε at a smaller δ is larger, so this bounds the e^ε of the ε that is read at δ less the charge.
  const bound = epsilonAt(colluders, delta * (1 - mostTruncationShare));
  const charged = bound === null ? 0 : truncationDelta(worstBatchTail(contract), truncatedSteps(contract), bound);
  const left = charged <= delta * mostTruncationShare ? delta - charged : delta;
  return {
    epsilon: {
      coordinator: epsilonAt(colluders, left),
      oneParticipant: epsilonAt(1, left),
      outsiders: epsilonAt(0, left),
      everyoneElseColludes: epsilonAt(threshold - 1, left),
    },
    truncationDelta: charged,
  };
}

/** The whole schedule, every attempt charged; null where there is no event or the accountant refuses it. */
function scheduleAccount(contract: ContractDraft, shares: number): Accountant | null {
  const event = roundEvent(contract, shares);
  if (event === null) return null;
  const account = rdpAccountant(event.adjacency);
  if (account.unsupported(event) !== null) return null;
  account.compose(event, contract.schedule.attempts);
  return account;
}

/** ε alone, for those who report it. */
export const epsilonFigures = (contract: ContractDraft): EpsilonFigures => privacyFigures(contract).epsilon;
