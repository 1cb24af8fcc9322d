// The model's parameters as one flat float32 vector: layer after layer, each its kernel (inputs × outputs, row-major),
// then its bias. Start values come from the contract alone, so every institution computes the same. Design 5.

import { InputError } from '../errors.ts';
import { featureWidth } from './encoder.ts';
import { splitMix64 } from './split-mix.ts';
import { adapterTensors, initialAdapter } from './language/adapter.ts';
import { languageLayout } from './language/task.ts';
import { isLanguageTask, requireTabular } from './types.ts';
import type { TrainingTask } from './types.ts';

/** What the last layer's outputs mean, and with which loss they are trained. */
export type Head = 'logistic' | 'softmax' | 'squared';

export type Layer = {
  readonly inputs: number;
  readonly outputs: number;
  /** Offsets in the flat vector. */
  readonly kernel: number;
  readonly bias: number;
};

export type Architecture = {
  readonly layers: readonly Layer[];
  readonly activation: 'relu' | 'tanh';
  readonly head: Head;
  readonly parameters: number;
};

/** @throws InputError `label-kind` where task and label contradict each other. */
export function headOf(task: TrainingTask): Head {
  const { kind } = task.table.label;
  if ((task.kind === 'tabular-regression') !== (kind === 'number'))
    throw new InputError(
      'label-kind',
      'The task and its label do not fit: regression needs a number label, classification a binary one or classes.',
    );
  return kind === 'number' ? 'squared' : kind === 'binary' ? 'logistic' : 'softmax';
}

/** @throws InputError as `headOf` and `featureWidth`. */
export function architectureOf(task: TrainingTask): Architecture {
  const { table, model } = requireTabular(task);
  const head = headOf(task);
  const { label } = table;
  const last = label.kind === 'classes' ? label.classes.length : 1;
  const hidden = model.kind === 'mlp' ? model.hidden : [];
  const sizes = [featureWidth(table), ...hidden, last];
  const layers: Layer[] = [];
  let at = 0;
  for (let i = 0; i + 1 < sizes.length; i++) {
    const [inputs, outputs] = [sizes[i]!, sizes[i + 1]!];
    layers.push({ inputs, outputs, kernel: at, bias: at + inputs * outputs });
    at += (inputs + 1) * outputs;
  }
  return { layers, activation: model.kind === 'mlp' ? model.activation : 'relu', head, parameters: at };
}

/** d: the contract's `sealing.dimension`. */
export function parameterCount(task: TrainingTask): number {
  return isLanguageTask(task) ? languageLayout(task).parameters : architectureOf(task).parameters;
}

export type NamedTensor = { readonly name: string; readonly shape: readonly number[]; readonly offset: number };

/** Names and shapes of the parts of the flat vector, for export. */
export function parameterTensors(task: TrainingTask): NamedTensor[] {
  if (isLanguageTask(task)) return adapterTensors(languageLayout(task));
  return architectureOf(task).layers.flatMap(({ inputs, outputs, kernel, bias }, i) => [
    { name: `layers.${i}.kernel`, shape: [inputs, outputs], offset: kernel },
    { name: `layers.${i}.bias`, shape: [outputs], offset: bias },
  ]);
}

/**
 * Start values, float32: zeros, or, by public seed, kernels uniform in ±√(6/(inputs + outputs)) (Glorot and Bengio 2010)
 * from SplitMix64, biases zero. Only elementary float operations, so the same bits everywhere. Not privacy randomness.
 * @throws InputError `zeros-in-mlp`: a hidden layer that starts at zero never learns.
 */
export function initialParameters(task: TrainingTask): Float32Array {
  if (isLanguageTask(task)) return initialAdapter(languageLayout(task));
  const { layers, parameters } = architectureOf(task);
  const out = new Float32Array(parameters);
  const { initialisation } = requireTabular(task).model;
  if (initialisation.kind === 'zeros') {
    if (layers.length > 1)
      throw new InputError(
        'zeros-in-mlp',
        'A network with hidden layers cannot start from zeros. Give its initialisation a seed.',
      );
    return out;
  }
  const next = splitMix64(initialisation.seed);
  for (const { inputs, outputs, kernel, bias } of layers) {
    const limit = Math.sqrt(6 / (inputs + outputs));
    for (let i = kernel; i < bias; i++) out[i] = limit * (2 * next() - 1);
  }
  return out;
}
