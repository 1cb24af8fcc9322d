// The model on tfjs-core: forward pass, and one explicit backward pass that leaves, for each layer, its inputs a and the
// loss gradients g at its outputs, row by row; a row's parameter gradient is a gᵀ (kernel) and g (bias). No autograd, so
// no gradient kernels are needed of a backend. matMul gets plain operands: its transpose flags are slow on wasm (design 5).

import {
  add,
  cast,
  greater,
  matMul,
  mul,
  relu,
  scalar,
  sigmoid,
  softmax,
  square,
  sub,
  tanh,
  tensor,
  transpose,
} from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Architecture } from './model.ts';

export type LayerTensors = { readonly kernel: Tensor2D; readonly bias: Tensor2D; readonly kernelTransposed: Tensor2D };

/** Dispose each tensor (tf.dispose takes the whole array) or call inside a tidy. */
export function parametersOnDevice({ layers }: Architecture, parameters: Float32Array): LayerTensors[] {
  return layers.map(({ inputs, outputs, kernel, bias }) => {
    const onDevice = tensor(parameters.slice(kernel, bias), [inputs, outputs]) as Tensor2D;
    return {
      kernel: onDevice,
      bias: tensor(parameters.slice(bias, bias + outputs), [1, outputs]),
      kernelTransposed: transpose(onDevice),
    };
  });
}

export type LayerTrace = { readonly inputs: Tensor2D; readonly outputGradients: Tensor2D };

/**
 * @param features [rows, inputs] @param targets [rows, outputs]: 0/1, one-hot, or numbers, by the head
 * Loss per row: logistic or softmax cross-entropy, or half the squared error. Call inside a tidy.
 */
export function tracedGradients(
  architecture: Architecture,
  layers: readonly LayerTensors[],
  features: Tensor2D,
  targets: Tensor2D,
): LayerTrace[] {
  const { activation, head } = architecture;
  const inputs: Tensor2D[] = [];
  const derivatives: Tensor2D[] = [];
  let current = features;
  for (const [i, layer] of layers.entries()) {
    inputs.push(current);
    current = add(matMul(current, layer.kernel), layer.bias);
    if (i + 1 === layers.length) break;
    if (activation === 'relu') {
      derivatives.push(cast(greater(current, 0), 'float32'));
      current = relu(current);
    } else {
      current = tanh(current);
      derivatives.push(sub(scalar(1), square(current)));
    }
  }
  const predicted = head === 'logistic' ? sigmoid(current) : head === 'softmax' ? softmax(current) : current;
  const traces: LayerTrace[] = [];
  let gradients: Tensor2D = sub(predicted, targets);
  for (let i = layers.length - 1; i >= 0; i--) {
    traces.unshift({ inputs: inputs[i]!, outputGradients: gradients });
    if (i > 0) gradients = mul(matMul(gradients, layers[i]!.kernelTransposed), derivatives[i - 1]!);
  }
  return traces;
}
