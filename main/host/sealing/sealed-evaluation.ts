// What the sums of a study say about its model on persons who never trained: round by round, and the second half of the
// rounds together, which is less noisy. Inside the study's ε, unlike every other score. Design 5, "Evaluation".

import { partsOfClip } from '../../../app/review/round-event.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { metricLayout, readMetrics } from '../../../app/training/evaluation-vector.ts';
import type { SealedMetrics } from '../../../app/training/evaluation-vector.ts';

export type SealedEvaluation = {
  /** The model before each round's step. */
  readonly rounds: readonly SealedMetrics[];
  /** The second half of the rounds, added. */
  readonly pooled: SealedMetrics;
};

/** @param given words of metrics of each round (model-chain.ts), empty where there were none; null without any */
export function sealedEvaluation(contract: Contract, given: readonly Float64Array[]): SealedEvaluation | null {
  const { evaluation, training, sealing, roster, task } = contract;
  const sums = given.filter(({ length }) => length > 0);
  if (evaluation === undefined || sums.length === 0) return null;
  const layout = metricLayout(task.table, evaluation, training.person);
  // In `local` each step of each institution has the whole noise.
  const shares = roster.length * (training.mode === 'local' ? training.localSteps : 1);
  const deviation = Math.sqrt(sealing.noiseVariance * shares) / sealing.scale;
  const terms = { clip: partsOfClip(contract).metrics, leastCount: evaluation.leastCount, deviation };
  return {
    rounds: sums.map((sum) => readMetrics([sum], layout, terms)),
    pooled: readMetrics(sums.slice(Math.floor(sums.length / 2)), layout, terms),
  };
}
