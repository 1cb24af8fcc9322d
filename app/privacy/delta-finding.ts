// Is δ small enough for this many units? δ is the chance that the ε bound fails; above 1 in 10 × units a mechanism that
// publishes someone outright would pass. Spec: design 4 ("δ: refuse above 1/(10·units), warn above 1/(100·units)").

import { requireInteger } from '../errors.ts';
import { delta as checkedDelta } from '../units.ts';

export type DeltaFinding = {
  readonly level: 'pass' | 'warn' | 'refuse';
  /** The largest δ of the next better level; equals δ's own bound when it passes. */
  readonly most: number;
  readonly sentence: string;
};

/**
 * @param units upper end of the public count bucket, never a true count.
 * @throws RangeError naming the argument.
 */
export function deltaFinding(delta: number, units: number): DeltaFinding {
  checkedDelta(delta);
  requireInteger('units', units, 1);
  const refuseAbove = 1 / (10 * units);
  const warnAbove = 1 / (100 * units);
  if (delta > refuseAbove)
    return {
      level: 'refuse',
      most: refuseAbove,
      sentence: `δ = ${delta} is above ${refuseAbove.toPrecision(3)}, one tenth of one unit in ${units}; choose a smaller δ.`,
    };
  if (delta > warnAbove)
    return {
      level: 'warn',
      most: warnAbove,
      sentence: `δ = ${delta} is above ${warnAbove.toPrecision(3)}, one hundredth of one unit in ${units}; a smaller δ is better.`,
    };
  return { level: 'pass', most: warnAbove, sentence: `δ = ${delta} is small enough for ${units} units.` };
}
