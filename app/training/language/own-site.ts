// What an institution reaches alone: the same adapter on its own texts by Adam with a fixed, public recipe. Not private
// and never shared: a baseline beside the federated result. Design 5, "Evaluation".

import { applyUpdate, initialState } from '../server-optimiser.ts';
import type { Records } from '../records.ts';
import type { Pause, TrainingSpec } from '../types.ts';
import { initialAdapter } from './adapter.ts';
import { languageGradientSum } from './clipped-sum.ts';
import type { AdaptedLanguage } from './evaluate.ts';
import { objectiveOf } from './task.ts';

export const languageOwnSiteRecipe = { steps: 40, rows: 16, learningRate: 0.01 } as const;

/** Parameters after the recipe, Float32Array(d). Batches go round the file in its order. */
export async function trainLanguageOwnSite(
  { task, model, layout, shape, downs }: AdaptedLanguage,
  records: Records,
  pause: Pause = () => {},
): Promise<Float32Array> {
  const { steps, rows, learningRate } = languageOwnSiteRecipe;
  const server = { kind: 'fedadam', learningRate, firstDecay: 0.9, secondDecay: 0.99, adaptivity: 1e-3 } as const;
  const rule = { mode: 'union', weightDecay: 0, server, averageFromRound: null } as unknown as TrainingSpec;
  const units = Array.from({ length: records.rows }, (_, row) => [row]);
  let state = initialState(initialAdapter(layout), server);
  for (let step = 0; step < steps && records.rows > 0; step++) {
    await pause(step, steps);
    const size = Math.min(rows, records.rows);
    const slots = Int32Array.from({ length: size }, (_, i) => (step * size + i) % records.rows);
    const sum = await languageGradientSum({
      model,
      layout,
      parameters: state.parameters,
      downs,
      objective: objectiveOf(task),
      records,
      shape,
      units,
      slots,
      person: null,
      clip: null,
    });
    state = applyUpdate(
      state,
      sum.map((value) => value / size),
      rule,
    );
  }
  return state.parameters;
}
