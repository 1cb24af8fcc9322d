// The contract check: thresholds, quantisation, ring, worst-case ε for the whole schedule, δ, batches, task and policy;
// pass, warn or refuse, with every finding, its reason and a repair. Designs 3 and 4. It asks nobody and changes nothing,
// so every institution runs it for itself before it consents.

import { requireInteger } from '../errors.ts';
import { honestMinimum, mostColluders, survivableLosses } from '../sealed-sum/thresholds.ts';
import type { ContractDraft } from '../study/contract.ts';
import { adjacencyOf } from '../study/consent.ts';
import { askedIn } from '../study/selection.ts';
import { policyFindings } from '../study/policy.ts';
import type { Policy } from '../study/policy.ts';
import type { Adjacency, PrivacyUnit } from '../units.ts';
import { adaptiveFindings } from './adaptive-rules.ts';
import { outcomeOf } from './finding.ts';
import type { Finding, Outcome } from './finding.ts';
import { graphFindings } from './graph-rules.ts';
import { expectedVariance, noiseFindings } from './noise-rules.ts';
import { privacyFigures, worstBatchTail, worstMultiplier } from './privacy-figures.ts';
import type { EpsilonFigures } from './privacy-figures.ts';
import { regionFindings } from './region-rules.ts';
import { ringFigures } from './ring-figures.ts';
import { leastInSum, sensitivityOf } from './round-event.ts';
import { selectionFindings } from './selection-rules.ts';
import { taskFindings } from './task-rules.ts';
import { textFindings } from './text-rules.ts';
import { thresholdFindings } from './threshold-rules.ts';
import { scheduleFindings, trainingFindings } from './training-rules.ts';

/** Numbers in integer steps unless they say otherwise; null where the contract gives none. */
export type ReviewFigures = {
  readonly institutions: number;
  readonly threshold: number;
  readonly colluders: number;
  /** c_max that roster and threshold would withstand. */
  readonly mostColluders: number;
  /** D: institutions that may be lost in a round. */
  readonly survivableLosses: number;
  /** h_min = t − c, or t_r − c of the smallest region where regions open their own sums. */
  readonly honestMinimum: number;
  readonly dimension: number;
  /** L̃. */
  readonly sensitivity: number | null;
  /** B. */
  readonly clampBound: number | null;
  /** B/sC; in `local` B over update scale and largest plain update. */
  readonly clampRoom: number | null;
  /** n·B + ⌈8√(n v)⌉, below 2^(w−2). */
  readonly wrapBound: number | null;
  readonly noise: 'discrete-gaussian' | 'none';
  readonly noiseVariance: number;
  readonly expectedNoiseVariance: number | null;
  readonly noiseMultiplier: number | null;
  /** z′ with the fewest honest survivors. */
  readonly worstNoiseMultiplier: number | null;
  readonly epsilon: EpsilonFigures;
  readonly statedEpsilon: number | null;
  readonly delta: number;
  /** Part of δ that goes to batches above their cap. */
  readonly truncationDelta: number;
  /** Part of δ that goes to the distance of drawn noise from exact noise. */
  readonly samplerDelta: number;
  /** Bound on the probability that one step of one institution leaves units out. */
  readonly batchTail: number;
  /** What float32 sums may add to the sensitivity, in units of C; training clips that much shorter. */
  readonly floatTerm: number;
  readonly unit: PrivacyUnit;
  readonly adjacency: Adjacency;
  readonly institutionsPerPerson: number;
  readonly accountant: 'rdp';
  readonly attempts: number;
};

export type Review = {
  readonly outcome: Outcome;
  readonly findings: readonly Finding[];
  readonly figures: ReviewFigures;
};

export type ReviewInput = {
  /** A contract, or a draft of one: keys that are not known yet are no finding. */
  readonly contract: ContractDraft;
  /** Parameters of the model that the contract's task describes. */
  readonly modelDimension: number;
  /** What training's float32 sums may add, in units of C (app/training/float-term.ts). */
  readonly floatTerm: number;
  readonly policy: Policy | null;
  /** Milliseconds. */
  readonly now: number;
  /** The reader's identity key as hex, which its policy need not list. */
  readonly ownKey?: string | undefined;
};

/** @throws RangeError for `modelDimension` and `floatTerm`. */
export function reviewContract({ contract, modelDimension, floatTerm, policy, now, ownKey }: ReviewInput): Review {
  requireInteger('modelDimension', modelDimension, 1);
  if (!(floatTerm >= 0)) throw new RangeError('floatTerm must be a number ≥ 0');
  const figures = figuresOf(contract, floatTerm);
  const findings: Finding[] = [
    ...thresholdFindings(contract),
    ...graphFindings(contract),
    ...selectionFindings(contract),
    ...trainingFindings(contract, modelDimension),
    ...noiseFindings(contract, figures),
    ...adaptiveFindings(contract),
    ...regionFindings(contract),
    ...scheduleFindings(contract, now),
    ...taskFindings(contract),
    ...textFindings(contract),
  ];
  if (policy !== null) {
    const subject = { contract, ownKey, accountant: figures.accountant, epsilon: figures.epsilon.coordinator };
    findings.push(...policyFindings(policy, subject).map((one) => ({ level: 'refuse' as const, ...one })));
  }
  const ordered = [
    ...findings.filter((one) => one.level === 'refuse'),
    ...findings.filter((one) => one.level === 'warn'),
  ];
  return { outcome: outcomeOf(ordered), findings: ordered, figures };
}

function figuresOf(contract: ContractDraft, floatTerm: number): ReviewFigures {
  const { roster, sealing, privacy, training, schedule } = contract;
  const institutions = roster.length;
  const asked = askedIn(contract);
  const { threshold, colluders } = sealing;
  const ring = ringFigures(contract);
  const { epsilon, truncationDelta, samplerDelta } = privacyFigures(contract);
  return {
    institutions,
    threshold,
    colluders,
    mostColluders: mostColluders(asked, threshold),
    survivableLosses: Math.max(
      0,
      survivableLosses({ institutions: asked, quorum: Math.max(threshold, sealing.cohortFloor) }),
    ),
    honestMinimum: honestMinimum({ quorum: leastInSum(contract), colluders }),
    dimension: sealing.dimension,
    sensitivity: sensitivityOf(contract),
    clampBound: ring?.clampBound ?? null,
    clampRoom: ring?.room ?? null,
    wrapBound: ring?.wrapBound ?? null,
    noise: privacy.noise,
    noiseVariance: sealing.noiseVariance,
    expectedNoiseVariance: expectedVariance(contract),
    noiseMultiplier: privacy.noiseMultiplier,
    worstNoiseMultiplier: worstMultiplier(contract),
    epsilon,
    statedEpsilon: privacy.epsilon,
    delta: privacy.delta,
    truncationDelta,
    samplerDelta,
    batchTail: worstBatchTail(contract),
    floatTerm,
    unit: training.unit,
    adjacency: adjacencyOf(contract),
    institutionsPerPerson: training.institutionsPerPerson,
    accountant: 'rdp',
    attempts: schedule.attempts,
  };
}
