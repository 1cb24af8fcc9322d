// The model's outputs for rows, in plain float64 arithmetic: no backend is needed to use a finished model, and the tests
// of network.ts have a twin. Shapes: features rows × width row-major, result rows × outputs. Design 5.

import type { Architecture } from './model.ts';
import { softmax } from './softmax.ts';

/** Probability of 1 (logistic), of each class (softmax), or the scaled number (squared). */
export function predict(
  architecture: Architecture,
  parameters: Float32Array,
  features: Float32Array,
  rows: number,
): Float64Array {
  const { layers, activation, head } = architecture;
  if (parameters.length !== architecture.parameters)
    throw new RangeError(`parameters must be ${architecture.parameters} numbers, not ${parameters.length}`);
  const width = layers[0]!.inputs;
  if (features.length !== rows * width) throw new RangeError(`features must be ${rows} rows of ${width} numbers`);
  const outputs = layers.at(-1)!.outputs;
  const out = new Float64Array(rows * outputs);
  for (let row = 0; row < rows; row++) {
    let current = Float64Array.from(features.subarray(row * width, (row + 1) * width));
    for (const [l, { inputs, outputs, kernel, bias }] of layers.entries()) {
      const next = Float64Array.from(parameters.subarray(bias, bias + outputs));
      for (let i = 0; i < inputs; i++)
        for (let k = 0; k < outputs; k++) next[k]! += current[i]! * parameters[kernel + i * outputs + k]!;
      current = l + 1 === layers.length ? next : next.map(activation === 'relu' ? (x) => Math.max(0, x) : Math.tanh);
    }
    if (head === 'logistic')
      current[0] = current[0]! >= 0 ? 1 / (1 + Math.exp(-current[0]!)) : 1 - 1 / (1 + Math.exp(current[0]!));
    if (head === 'softmax') current = softmax(current);
    out.set(current, row * outputs);
  }
  return out;
}
