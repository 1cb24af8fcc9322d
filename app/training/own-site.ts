// What an institution reaches alone: the same model on its own rows by full-batch gradient descent with a fixed, public
// recipe. Not private and never shared: a baseline beside the federated result. Design 5, "Evaluation".

import { clippedGradientSum } from './clipped-sum.ts';
import { architectureOf, initialParameters } from './model.ts';
import { normalisedPerson } from './person-identifier.ts';
import { selectRows } from './records.ts';
import type { Records } from './records.ts';
import type { Pause, TrainingTask } from './types.ts';

/** Chosen once, on no data of any study: enough steps to converge at unit-scaled features, a light penalty. */
export const ownSiteRecipe = { steps: 400, learningRate: 0.5, weightDecay: 1e-3 } as const;

/** Parameters after the recipe, Float32Array(d). Every row counts once, whatever the unit. */
export async function trainOwnSite(
  task: TrainingTask,
  records: Records,
  pause: Pause = () => {},
): Promise<Float32Array> {
  const architecture = architectureOf(task);
  const parameters = initialParameters(task);
  const units = Array.from({ length: records.rows }, (_, row) => [row]);
  const slots = Int32Array.from(units.keys());
  const { steps, learningRate, weightDecay } = ownSiteRecipe;
  for (let step = 0; step < steps && records.rows > 0; step++) {
    await pause(step, steps);
    const sum = await clippedGradientSum({ architecture, parameters, records, units, slots, person: null, clip: null });
    for (let i = 0; i < parameters.length; i++)
      parameters[i] = parameters[i]! - learningRate * (sum[i]! / records.rows + weightDecay * parameters[i]!);
  }
  return parameters;
}

/**
 * Every fifth row for testing, or all rows of every fifth person where persons are named: nobody is on both sides. Fixed by
 * the file's order, so that two measurements compare. Where there are fewer than five units, `test` is empty.
 */
export function heldOut(records: Records): { readonly training: Records; readonly test: Records } {
  const order = new Map<string, number>();
  const unitOf = (row: number): number => {
    if (records.persons === null) return row;
    const who = normalisedPerson(records.persons[row]!);
    const known = order.get(who) ?? order.size;
    order.set(who, known);
    return known;
  };
  const training: number[] = [];
  const test: number[] = [];
  for (let row = 0; row < records.rows; row++) (unitOf(row) % 5 === 4 ? test : training).push(row);
  return { training: selectRows(records, training), test: selectRows(records, test) };
}
