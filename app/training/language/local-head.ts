// An institution's own classification head, fitted after the last round on its own texts and never shared: multinomial
// logistic regression on what the adapted model makes of each text, in float64, pulled towards the shared head so that few
// texts change little. Nothing of it enters a sum, so it costs no privacy and must not leave. Design 5, "local head".

import type { Records } from '../records.ts';
import { softmax } from '../softmax.ts';
import type { Pause } from '../types.ts';
import type { HeadLayout } from './adapter.ts';
import { textFeatures } from './evaluate.ts';
import type { AdaptedLanguage } from './evaluate.ts';

/** Fixed and public. The penalty counts as much as this many texts. */
export const localHeadRecipe = { steps: 500, penalty: 2 } as const;

/**
 * The same flat vector with another head. @param language of text-classification @param parameters the shared model
 * @throws InputError `table-empty`; RangeError where there is no head.
 */
export async function fitLocalHead(
  language: AdaptedLanguage,
  parameters: Float32Array,
  records: Records,
  pause: Pause = () => {},
): Promise<Float32Array> {
  const { head } = language.layout;
  if (head === null) throw new RangeError('the model must have a head');
  const features = await textFeatures(language, parameters, records, pause);
  const out = Float32Array.from(parameters);
  const shared = headOf(parameters, head);
  const fitted = fitSoftmax({ features, labels: records.labels, shared, classes: head.classes });
  for (let k = 0; k < head.classes; k++) {
    out.set(fitted.subarray(k * (head.width + 1), k * (head.width + 1) + head.width), head.kernel + k * head.width);
    if (head.bias !== null) out[head.bias + k] = fitted[k * (head.width + 1) + head.width]!;
  }
  return out;
}

/** [classes, width + 1]: each class's weights, then its bias (0 where the head has none). */
function headOf(parameters: Float32Array, { classes, width, kernel, bias }: HeadLayout): Float64Array {
  const out = new Float64Array(classes * (width + 1));
  for (let k = 0; k < classes; k++) {
    for (let i = 0; i < width; i++) out[k * (width + 1) + i] = parameters[kernel + k * width + i]!;
    if (bias !== null) out[k * (width + 1) + width] = parameters[bias + k]!;
  }
  return out;
}

export type SoftmaxFit = {
  /** Of each row; its last number multiplies the bias, and is 0 where there is none. */
  readonly features: readonly Float64Array[];
  /** Classes as whole numbers. */
  readonly labels: Float32Array;
  /** Where the fit begins and what it is pulled to, [classes, width + 1]. */
  readonly shared: Float64Array;
  readonly classes: number;
};

/** argmin of Σ −ln p(label) + penalty/2 ‖W − shared‖², by Nesterov's method at the step that the features allow. */
export function fitSoftmax({ features, labels, shared, classes }: SoftmaxFit): Float64Array {
  const { steps, penalty } = localHeadRecipe;
  const width = shared.length / classes;
  // The loss's curvature along any direction is at most half the squared length of a row (Böhning 1992).
  const squares = features.reduce((sum, row) => sum + row.reduce((own, value) => own + value * value, 0), 0);
  const rate = 1 / (penalty + squares / 2);
  let [at, before] = [Float64Array.from(shared), Float64Array.from(shared)];
  for (let step = 1; step <= steps; step++) {
    const ahead = at.map((value, i) => value + ((step - 1) / (step + 2)) * (value - before[i]!));
    const gradient = ahead.map((value, i) => penalty * (value - shared[i]!));
    for (const [row, own] of features.entries()) {
      const scores = Array.from({ length: classes }, (_, k) =>
        own.reduce((sum, value, i) => sum + value * ahead[k * width + i]!, 0),
      );
      const said = softmax(scores);
      for (let k = 0; k < classes; k++) {
        const off = said[k]! - (labels[row] === k ? 1 : 0);
        for (let i = 0; i < width; i++) gradient[k * width + i]! += off * own[i]!;
      }
    }
    before = at;
    at = ahead.map((value, i) => value - rate * gradient[i]!);
  }
  return at;
}
