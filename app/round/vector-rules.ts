// The grid of what is summed, from the contract's numbers. In `union` and `institution` that is the vector that is clipped
// and noised (app/review/round-event.ts#noisedRule); in `local` each step's gradient sum is noised on that grid, and the
// summed vector is the update, with a grid of its own and no noise share. Design 3 and 4, "Modes".

import { InvariantError } from '../errors.ts';
import { clampBound } from '../sealed-sum/quantise.ts';
import type { Contract } from '../study/contract.ts';

export type SumRule = {
  /** Steps per unit of what is summed. */
  readonly scale: number;
  /** Largest coordinate of one institution before noise, in steps. */
  readonly bound: number;
  /** Variance of one institution's noise share in the sum. */
  readonly variance: number;
  readonly ringBits: number;
};

/** The grid of the summed vector. @throws RefusalError `ring-too-small`. */
export function sumRule(contract: Contract): SumRule {
  const { training, sealing, roster } = { ...contract, roster: contract.roster.length };
  const local = training.mode === 'local';
  const variance = local ? 0 : sealing.noiseVariance;
  if (local && sealing.updateScale === null)
    throw new InvariantError('update-scale-missing', 'A contract in mode "local" lacks its update scale.');
  return {
    scale: local ? sealing.updateScale! : sealing.scale,
    bound: clampBound({ institutions: roster, variance, ringBits: sealing.ringBits }),
    variance,
    ringBits: sealing.ringBits,
  };
}
