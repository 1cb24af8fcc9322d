// The sum of per-unit gradients, each clipped to C: the only thing training makes of records. One backward pass; a row's
// gradient norm comes from ‖a gᵀ‖² = ‖a‖²‖g‖² per layer (Goodfellow 2015), so no per-example gradient is stored. Shapes
// and number of passes are public. Floating point is held below C by float-term.ts. Design 3 "Quantisation", design 5.

import {
  add,
  concat,
  dispose,
  div,
  less,
  matMul,
  minimum,
  mul,
  scalar,
  sqrt,
  square,
  sum,
  tensor,
  tidy,
  reshape,
  transpose,
  where,
  zerosLike,
} from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { withCount } from './adaptive-clip.ts';
import { clipMargin, floatTerm, mostRowsPerPass } from './float-term.ts';
import type { Architecture } from './model.ts';
import { parametersOnDevice, tracedGradients } from './network.ts';
import type { LayerTensors, LayerTrace } from './network.ts';
import { emptySlot } from './poisson.ts';
import type { Records } from './records.ts';
import type { Pause, PersonRule } from './types.ts';

export type GradientSumRequest = {
  readonly architecture: Architecture;
  readonly parameters: Float32Array;
  readonly records: Records;
  /** Rows of each unit (records.ts, unitRows). */
  readonly units: readonly (readonly number[])[];
  /** Which unit stands in which of the public number of slots (poisson.ts). */
  readonly slots: Int32Array;
  /** Null: a unit is one row. */
  readonly person: PersonRule | null;
  /** L2 norm C; null: not clipped, for training whose update is not released as it is. */
  readonly clip: number | null;
  /** Also counts the units whose own norm is at most C, for adaptive clipping; needs a clip. */
  readonly counted?: boolean;
  /** Called before each pass. */
  readonly pause?: Pause;
};

/**
 * Σ over the units in slots of gradient · min(1, C′/‖gradient‖), C′ = C(1 − 2^-12 − floatTerm); Float64Array(d). A unit
 * whose gradient or its squared norm is not finite in float32 counts as zero. Tensors are all given back. With `counted`
 * one number more: Σ (b − ½) over the units in slots, b = 1 where a unit's own norm is at most C; exact.
 */
export async function clippedGradientSum(request: GradientSumRequest): Promise<Float64Array> {
  const { architecture, parameters, slots, person, clip, counted = false } = request;
  if (parameters.length !== architecture.parameters)
    throw new RangeError(`parameters must be ${architecture.parameters} numbers, not ${parameters.length}`);
  if (clip !== null && !(clip > 0)) throw new RangeError('clip must be a number > 0');
  if (counted && clip === null) throw new RangeError('counted needs a clip');
  const limit = clip === null ? null : clip * (clipMargin - floatTerm(architecture, person));
  const rowsPerUnit = person?.rowCap ?? 1;
  const unitsPerPass = Math.max(1, Math.min(slots.length, Math.floor(mostRowsPerPass / rowsPerUnit)));
  const total = new Float64Array(architecture.parameters);
  const clipping: Clipping = { limit, clip: clip ?? Infinity };
  let within = 0;
  const layers = parametersOnDevice(architecture, parameters);
  try {
    for (let from = 0; from < slots.length; from += unitsPerPass) {
      await request.pause?.(from, slots.length);
      const batch = batchOf(request, from, unitsPerPass, rowsPerUnit);
      const pass = person === null ? addRecordPass : addPersonPass;
      within += await pass(total, architecture, layers, batch, clipping);
    }
  } finally {
    dispose(layers.flatMap((layer): Tensor[] => [layer.kernel, layer.bias, layer.kernelTransposed]));
  }
  if (!counted) return total;
  const seen = slots.reduce((count, unit) => (unit === emptySlot ? count : count + 1), 0);
  return withCount(total, within - seen / 2);
}

/** What a unit is clipped to, a little below C, and C itself, against which it is counted. */
type Clipping = { readonly limit: number | null; readonly clip: number };

type Batch = {
  readonly rowsPerUnit: number;
  readonly rows: number;
  readonly features: Float32Array;
  readonly targets: Float32Array;
  /** Of each row in its unit's gradient; 0 for padding. */
  readonly weights: Float32Array;
};

/** Rows of the slots from `from`, padded with weightless rows of zeros to the public shape. */
function batchOf(request: GradientSumRequest, from: number, unitsPerPass: number, rowsPerUnit: number): Batch {
  const { architecture, records, units, slots, person } = request;
  const { width, features, labels } = records;
  const rows = unitsPerPass * rowsPerUnit;
  const outputs = architecture.layers.at(-1)!.outputs;
  const batch: Batch = {
    rowsPerUnit,
    rows,
    features: new Float32Array(rows * width),
    targets: new Float32Array(rows * outputs),
    weights: new Float32Array(rows),
  };
  for (let slot = from; slot < Math.min(from + unitsPerPass, slots.length); slot++) {
    if (slots[slot] === emptySlot) continue;
    const unit = units[slots[slot]!]!;
    if (unit.length > rowsPerUnit) throw new RangeError(`units must have at most ${rowsPerUnit} rows`);
    for (const [k, row] of unit.entries()) {
      const at = (slot - from) * rowsPerUnit + k;
      batch.features.set(features.subarray(row * width, (row + 1) * width), at * width);
      if (architecture.head === 'softmax') batch.targets[at * outputs + labels[row]!] = 1;
      else batch.targets[at] = labels[row]!;
      batch.weights[at] = person?.combine === 'mean' ? 1 / unit.length : 1;
    }
  }
  return batch;
}

function traceOf(architecture: Architecture, layers: readonly LayerTensors[], batch: Batch): LayerTrace[] {
  const features = tensor(batch.features, [batch.rows, batch.features.length / batch.rows]) as Tensor2D;
  const targets = tensor(batch.targets, [batch.rows, batch.targets.length / batch.rows]) as Tensor2D;
  return tracedGradients(architecture, layers, features, targets);
}

/** Squares above this are taken for overflow. */
const largestSquare = 3e38;

/** @returns how many units of the pass are within C. */
async function addRecordPass(
  total: Float64Array,
  architecture: Architecture,
  layers: readonly LayerTensors[],
  batch: Batch,
  { limit, clip }: Clipping,
): Promise<number> {
  const flat = tidy((): Tensor1D => {
    const traces = traceOf(architecture, layers, batch);
    const squares = traces.map(({ inputs, outputGradients }) =>
      mul(add(sum(square(inputs), 1, true), scalar(1)), sum(square(outputGradients), 1, true)),
    );
    const squaredNorms = squares.reduce((left, right) => add(left, right)) as Tensor2D;
    const weights = tensor(batch.weights, [batch.rows, 1]) as Tensor2D;
    const usable = less(squaredNorms, largestSquare);
    const clipping =
      limit === null ? weights : mul(weights, minimum(scalar(1), div(scalar(limit), sqrt(squaredNorms))));
    // 0 · ∞ is not 0, so unusable rows are replaced, not weighted away.
    const finite = (x: Tensor2D): Tensor2D => where(usable, x, zerosLike(x));
    const factors = finite(clipping as Tensor2D);
    const parts = traces.flatMap(({ inputs, outputGradients }): Tensor1D[] => {
      const clipped = mul(finite(outputGradients), factors) as Tensor2D;
      const kernel = matMul(transpose(finite(inputs)), clipped);
      return [reshape(kernel, [kernel.size]), sum(clipped, 0)];
    });
    return concat([...parts, reshape(squaredNorms, [batch.rows])]);
  });
  const values = await flat.data<'float32'>();
  dispose(flat);
  for (let i = 0; i < total.length; i++) total[i]! += values[i]!;
  let within = 0;
  for (let row = 0; row < batch.rows; row++) {
    const squares = values[total.length + row]!;
    // Where the gradient was replaced by zeros, zeros are what is counted.
    if (batch.weights[row]! > 0 && (!(squares < largestSquare) || squares <= clip * clip)) within++;
  }
  return within;
}

/**
 * Rows of one person may cancel, which no relative float32 bound survives: so each person's gradient is added up and
 * measured in float64 from the rows' own float32 traces.
 */
async function addPersonPass(
  total: Float64Array,
  architecture: Architecture,
  layers: readonly LayerTensors[],
  batch: Batch,
  { limit, clip }: Clipping,
): Promise<number> {
  const traces = tidy(() =>
    traceOf(architecture, layers, batch).flatMap((trace) => [trace.inputs, trace.outputGradients]),
  );
  const values = await Promise.all(traces.map((trace) => trace.data<'float32'>()));
  dispose(traces);
  const gradient = new Float64Array(total.length);
  let within = 0;
  for (let first = 0; first < batch.rows; first += batch.rowsPerUnit) {
    gradient.fill(0);
    for (let row = first; row < first + batch.rowsPerUnit; row++)
      for (const [l, layer] of architecture.layers.entries())
        addOuterProduct(gradient, layer, values[2 * l]!, values[2 * l + 1]!, row, batch.weights[row]!);
    let squares = 0;
    for (const value of gradient) squares += value * value;
    const present = batch.weights.subarray(first, first + batch.rowsPerUnit).some((weight) => weight > 0);
    if (present && (!Number.isFinite(squares) || squares <= clip * clip)) within++;
    if (!Number.isFinite(squares)) continue;
    const factor = limit === null || squares === 0 ? 1 : Math.min(1, limit / Math.sqrt(squares));
    for (let i = 0; i < total.length; i++) total[i]! += factor * gradient[i]!;
  }
  return within;
}

/** gradient += weight · (a gᵀ, g) of one row and layer. */
function addOuterProduct(
  gradient: Float64Array,
  { inputs, outputs, kernel, bias }: Architecture['layers'][number],
  a: Float32Array,
  g: Float32Array,
  row: number,
  weight: number,
): void {
  for (let k = 0; k < outputs; k++) {
    const scaled = weight * g[row * outputs + k]!;
    gradient[bias + k]! += scaled;
    for (let i = 0; i < inputs; i++) gradient[kernel + i * outputs + k]! += a[row * inputs + i]! * scaled;
  }
}
