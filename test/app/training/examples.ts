// Small tasks and made-up records for the tests of this folder and of the trainer. Deterministic; no real person.

import type { Architecture } from '../../../app/training/model.ts';
import type { Records } from '../../../app/training/records.ts';
import type { Label, Model, NumberFeature, Table, TrainingTask } from '../../../app/training/types.ts';

export function numberFeature(column: string, change: Partial<NumberFeature> = {}): NumberFeature {
  return { kind: 'number', column, least: -1, most: 1, outside: 'clamp', whenMissing: { rule: 'refuse' }, ...change };
}

export function tableOf(change: Partial<Table> = {}): Table {
  return {
    format: 'csv',
    columnNames: null,
    missingTokens: ['?'],
    features: [numberFeature('a'), numberFeature('b'), numberFeature('c')],
    label: { kind: 'binary', column: 'y', comparison: '>', value: 0 },
    personColumn: null,
    ...change,
  };
}

const labels: { readonly [head in Architecture['head']]: Label } = {
  logistic: { kind: 'binary', column: 'y', comparison: '>', value: 0 },
  softmax: { kind: 'classes', column: 'y', classes: ['0', '1', '2'] },
  squared: { kind: 'number', column: 'y', least: -1, most: 1 },
};

export function taskOf(head: Architecture['head'], model: Model): TrainingTask {
  return {
    kind: head === 'squared' ? 'tabular-regression' : 'tabular-classification',
    table: tableOf({ label: labels[head] }),
    model,
  };
}

export const linear: Model = { kind: 'linear', initialisation: { kind: 'seeded', seed: 3 } };
export const reluNetwork: Model = {
  kind: 'mlp',
  hidden: [5, 4],
  activation: 'relu',
  initialisation: { kind: 'seeded', seed: 7 },
};
export const tanhNetwork: Model = { ...reluNetwork, activation: 'tanh' };

/** `rows` records of three features in [−1, 1]; labels fit `head`; persons own one to four rows in turn. */
export function madeUpRecords(head: Architecture['head'], rows: number, seed = 1): Records {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state / 0x4000_0000 - 1;
  };
  const features = Float32Array.from({ length: 3 * rows }, next);
  const labelOf = (row: number): number => {
    const score = features[3 * row]! - 0.5 * features[3 * row + 1]! + 0.2 * next();
    if (head === 'squared') return Math.fround(score / 2);
    if (head === 'logistic') return score > 0 ? 1 : 0;
    return score > 0.3 ? 2 : score > -0.3 ? 1 : 0;
  };
  return {
    rows,
    width: 3,
    features,
    labels: Float32Array.from({ length: rows }, (_, row) => labelOf(row)),
    persons: Array.from({ length: rows }, (_, row) => `person ${Math.floor(Math.sqrt(2 * row))}`),
  };
}

/** Loss of one row, written out from its definition: the oracle of the gradients. */
export function lossOfRow(architecture: Architecture, parameters: Float64Array, records: Records, row: number): number {
  let current = Array.from(records.features.subarray(row * records.width, (row + 1) * records.width), Number);
  for (const [l, { inputs, outputs, kernel, bias }] of architecture.layers.entries()) {
    const last = l + 1 === architecture.layers.length;
    current = Array.from({ length: outputs }, (_, k) => {
      let z = parameters[bias + k]!;
      for (let i = 0; i < inputs; i++) z += current[i]! * parameters[kernel + i * outputs + k]!;
      return last ? z : architecture.activation === 'relu' ? Math.max(0, z) : Math.tanh(z);
    });
  }
  const label = records.labels[row]!;
  if (architecture.head === 'squared') return 0.5 * (current[0]! - label) ** 2;
  if (architecture.head === 'logistic') return Math.log1p(Math.exp(label === 1 ? -current[0]! : current[0]!));
  return Math.log(current.reduce((total, z) => total + Math.exp(z), 0)) - current[label]!;
}

/** Gradient of one row by central differences in float64. */
export function gradientOfRow(
  architecture: Architecture,
  parameters: Float32Array,
  records: Records,
  row: number,
): Float64Array {
  const at = Float64Array.from(parameters);
  const step = 1e-5;
  return Float64Array.from(at, (value, i) => {
    at[i] = value + step;
    const above = lossOfRow(architecture, at, records, row);
    at[i] = value - step;
    const below = lossOfRow(architecture, at, records, row);
    at[i] = value;
    return (above - below) / (2 * step);
  });
}

export function norm(vector: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += vector[i]! ** 2;
  return Math.sqrt(squares);
}
