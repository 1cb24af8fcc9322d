// What an institution reaches alone: the same model on its own rows by full-batch gradient descent with a fixed, public
// recipe. Not private and never shared: a baseline beside the federated result. Design 5, "Evaluation".

import { clippedGradientSum } from './clipped-sum.ts';
import { architectureOf, initialParameters } from './model.ts';
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
