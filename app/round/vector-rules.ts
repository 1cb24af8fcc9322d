// How the contract's numbers become the rules of quantisation: what is clipped and noised, and what is summed. In
// `union` and `institution` that is one vector; in `local` the noised grid is that of each step's gradient sum, and the
// summed vector is the (already noised) update on a grid of its own, with no noise share. Design 3 and 4, "Modes".

import { InvariantError } from '../errors.ts';
import { clampBound, sensitivityAfterRounding } from '../sealed-sum/quantise.ts';
import type { QuantisationRule } from '../sealed-sum/quantise.ts';
import type { Contract } from '../study/contract.ts';
import { clipNorm } from '../units.ts';

/** The grid on which noise is added: scale s, clip C, and the unit that decides the rounding's sensitivity. */
export function noisedRule(contract: Contract): QuantisationRule {
  const { training, sealing } = contract;
  return {
    unit: training.unit,
    scale: sealing.scale,
    clipNorm: clipNorm(training.clippingNorm),
    dimension: sealing.dimension,
  };
}

/** L̃ of one institution's integer vector, in steps. */
export const sensitivityOf = (contract: Contract): number => sensitivityAfterRounding(noisedRule(contract));

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
