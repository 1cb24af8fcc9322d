// The sum of per-unit gradients of an adapter, each clipped to C. One backward pass leaves, at each adapted map, its input
// and the gradient at its output; a sequence's own gradients of A and B are small products of the two. They are read
// back once a pass; a unit's gradient is added up, measured and clipped in float64, so float32 adds nothing to C. Design 5.

import { concat, dispose, getBackend, keep, matMul, reshape, slice, tidy, transpose } from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { withCount } from '../adaptive-clip.ts';
import { clipMargin } from '../float-term.ts';
import { emptySlot } from '../poisson.ts';
import type { Records } from '../records.ts';
import type { Pause, PersonRule } from '../types.ts';
import { adapterOnDevice } from './adapter.ts';
import type { AdapterLayout, AdapterOnDevice, HeadLayout } from './adapter.ts';
import { fusedAdapterGradients, isFused } from './fused.ts';
import { classGradient, classPass, nextTokens, tokenLossGradient } from './loss.ts';
import { forwardPass } from './model.ts';
import type { TokenBatch } from './attend.ts';
import type { AdaptedTrace, LanguageModel } from './model.ts';
import { noToken, sequenceOf } from './sequences.ts';
import type { TextShape } from './sequences.ts';

/** What a model is trained to say: the next token, or the row's class by the head of the layout. */
export type Objective = 'next-token' | 'class';

export type LanguageGradientRequest = {
  readonly model: LanguageModel;
  readonly layout: AdapterLayout;
  readonly parameters: Float32Array;
  /** Frozen A's (adapter.ts, frozenDowns); null where A trains. */
  readonly downs: readonly Float32Array[] | null;
  readonly objective: Objective;
  /** Rows of token ids (sequences.ts). */
  readonly records: Records;
  readonly shape: TextShape;
  readonly units: readonly (readonly number[])[];
  readonly slots: Int32Array;
  readonly person: PersonRule | null;
  /** L2 norm C; null: not clipped, and then summed on the device. */
  readonly clip: number | null;
  /** `automatic`: every gradient is scaled to C·‖g‖/(‖g‖ + γ) (Bu et al. 2022), γ = 0.01. Default `flat`. */
  readonly clipping?: 'flat' | 'automatic';
  /** One number more: Σ (b − ½) over the units in slots, b = 1 where a unit's own norm is at most C. */
  readonly counted?: boolean;
  readonly sequencesPerPass?: number;
  /** Leaves out what is in no slot: it adds exact zeros, but then time tells how many were sampled. Simulation only. */
  readonly skipEmpty?: boolean;
  readonly recompute?: boolean;
  /** Called before each pass. */
  readonly pause?: Pause;
};

const stability = 0.01;

/**
 * Float64Array(d). A row's loss is the mean over its predicted tokens (its class), over all its pieces. A unit whose
 * gradient is not finite counts as zero. Every slot is computed, taken or not. All tensors are given back.
 */
export async function languageGradientSum(given: LanguageGradientRequest): Promise<Float64Array> {
  const { layout, parameters, person, clip, shape, model, counted = false } = given;
  if (clip !== null && !(clip > 0)) throw new RangeError('clip must be a number > 0');
  if (counted && clip === null) throw new RangeError('counted needs a clip');
  const slots = given.skipEmpty === true ? given.slots.filter((unit) => unit !== emptySlot) : given.slots;
  const request = { ...given, slots };
  const perUnit = (person?.rowCap ?? 1) * shape.pieces;
  const sequences = slots.length * perUnit;
  const perPass = Math.min(sequences, request.sequencesPerPass ?? customaryPass(shape, model));
  const total = new Float64Array(layout.parameters);
  const clipper = clip === null ? null : new UnitClipper(total, perUnit, clip, request.clipping ?? 'flat', slots);
  const adapter = adapterOnDevice(layout, parameters, request.downs);
  try {
    for (let from = 0; from < sequences; from += perPass) {
      await request.pause?.(Math.floor(from / perUnit), slots.length);
      const batch = batchOf(request, from, perPass, perUnit);
      const parts = tidy(() => passGradients(model, adapter, batch, request));
      const values = await Promise.all(parts.map((part) => part.data<'float32'>()));
      dispose(parts);
      if (clipper === null) addAll(total, values, layout);
      else
        for (let at = 0; at < Math.min(perPass, sequences - from); at++)
          clipper.add((out) => addSequence(out, values, layout, perPass, at));
    }
  } finally {
    adapter.dispose();
  }
  return counted && clipper !== null ? withCount(total, clipper.count) : total;
}

/** Tokens of a pass on wasm, whose products are as fast then as they get; of a wide model fewer, to save memory. */
export const wasmPass = ({ width }: { readonly width: number }): number => (width > 1024 ? 128 : 512);

function customaryPass({ tokens }: TextShape, { configuration }: LanguageModel): number {
  const most = getBackend() === 'wasm' ? wasmPass(configuration) : 4096;
  return Math.max(1, Math.floor(most / tokens));
}

type Batch = TokenBatch & {
  /** Of each token's loss (next-token), or of each sequence's (class). */
  readonly weights: Float32Array;
  readonly targets: Int32Array;
};

function batchOf(request: LanguageGradientRequest, from: number, count: number, perUnit: number): Batch {
  const { records, units, slots, person, shape, objective } = request;
  const { tokens, pieces } = shape;
  const batch = {
    sequences: count,
    length: tokens,
    ids: new Int32Array(count * tokens),
    real: new Int32Array(count),
  };
  const rowWeights = new Float32Array(count);
  const labels = new Int32Array(count);
  for (let at = 0; at < count; at++) {
    const slot = Math.floor((from + at) / perUnit);
    const unit = slots[slot] === undefined || slots[slot] === emptySlot ? undefined : units[slots[slot]]!;
    if (unit === undefined) continue;
    if (unit.length * pieces > perUnit) throw new RangeError(`units must have at most ${perUnit / pieces} rows`);
    const within = (from + at) % perUnit;
    const row = unit[Math.floor(within / pieces)];
    if (row === undefined) continue;
    batch.real[at] = sequenceOf(
      records,
      shape,
      row,
      within % pieces,
      batch.ids.subarray(at * tokens, (at + 1) * tokens),
    );
    if (batch.real[at] === 0) continue;
    const share = person?.combine === 'mean' ? 1 / unit.length : 1;
    rowWeights[at] = share / partsOf(records, shape, row, objective);
    if (objective === 'class') labels[at] = records.labels[row]!;
  }
  if (objective === 'class') return { ...batch, weights: rowWeights, targets: labels };
  const { targets, follows } = nextTokens(batch);
  return { ...batch, targets, weights: follows.map((one, i) => one * rowWeights[Math.floor(i / tokens)]!) };
}

/** Over how much a row's loss is averaged: its predicted tokens, or its pieces; 1 at least. */
function partsOf(records: Records, { tokens, pieces }: TextShape, row: number, objective: Objective): number {
  let parts = 0;
  for (let piece = 0; piece < pieces; piece++) {
    const start = row * records.width + piece * tokens;
    if (records.features[start] === noToken) continue;
    if (objective === 'class') parts++;
    else for (let i = start + 1; i < start + tokens && records.features[i] !== noToken; i++) parts++;
  }
  return Math.max(1, parts);
}

/**
 * Gradients of one pass: those of the adapters, [sequences, ·] (or [1, ·], summed), and, with a head, its input and
 * the gradient at its scores, [sequences, width] and [sequences, classes]: less than their product.
 */
function passGradients(
  model: LanguageModel,
  adapter: AdapterOnDevice,
  batch: Batch,
  { clip, objective, recompute }: LanguageGradientRequest,
): Tensor[] {
  const collected = new Map<number, Tensor2D>();
  const groups = new Map(adapter.groups.map((group, place) => [group, place]));
  const onTrace = (trace: AdaptedTrace): void => {
    const place = groups.get(trace.group)!;
    collected.set(place, keep(tidy(() => traceGradients(trace, batch, clip === null, adapter))));
  };
  const { hidden, back } = forwardPass(model, batch, { adapter, onTrace, recompute: recompute ?? false });
  const ofHead: Tensor[] = [];
  if (objective === 'next-token') back(tokenLossGradient(model, hidden, batch.targets, batch.weights));
  else {
    const read = classPass(model, batch, hidden, adapter.head!);
    const atScores = classGradient(read.scores, batch.targets, batch.weights);
    if (adapter.layout.head !== null) ofHead.push(read.pooled, atScores);
    back(read.back(atScores));
  }
  const ordered = [...collected.keys()].sort((a, b) => a - b).map((place) => collected.get(place)!);
  const joined = ordered.length === 0 ? [] : [ordered.length === 1 ? ordered[0]!.clone() : concat(ordered, 1)];
  dispose(ordered);
  return [...joined, ...ofHead];
}

/** [sequences, numbers of the group] in flat order; [1, ·] where only their sum is wanted. */
function traceGradients(
  { group, inputs, low, lowGradient, outputGradient }: AdaptedTrace,
  { sequences, length }: TokenBatch,
  summed: boolean,
  { layout }: AdapterOnDevice,
): Tensor2D {
  const [count, rows] = summed ? [1, sequences * length] : [sequences, length];
  const { modules, outputs } = group.layout;
  const startOf = (place: number): number => outputs.slice(0, place).reduce((total, one) => total + one, 0);
  if (isFused())
    return fusedAdapterGradients(
      { inputs, low, lowGradient, outputGradient },
      {
        sequences: count,
        rank: group.rank,
        freezeA: layout.spec.freezeA,
        starts: modules.map(({ place }) => startOf(place)),
        widths: modules.map((module) => module.outputs),
      },
    );
  /** Σ over tokens of leftᵀ right, for each sequence: [count, left · right]. */
  const product = (left: Tensor2D, right: Tensor2D): Tensor2D => {
    const [, a] = left.shape;
    const [, b] = right.shape;
    if (count === 1) return reshape(matMul(transpose(left), right), [1, a * b]) as Tensor2D;
    const turned = transpose(reshape(left, [count, rows, a]), [0, 2, 1]) as Tensor3D;
    return reshape(matMul(turned, reshape(right, [count, rows, b])), [count, a * b]) as Tensor2D;
  };
  const parts: Tensor2D[] = layout.spec.freezeA ? [] : [product(lowGradient, inputs)];
  for (const [i, { place, outputs: own }] of modules.entries()) {
    const whole = modules.length === 1 && outputs.length === 1;
    const start = startOf(place);
    const left = modules.length === 1 ? low : slice(low, [0, i * group.rank], [-1, group.rank]);
    parts.push(product(left, whole ? outputGradient : slice(outputGradient, [0, start], [-1, own])));
  }
  return parts.length === 1 ? parts[0]! : concat(parts, 1);
}

/** Adds sequence `at` of a pass to `out`, in float64. */
function addSequence(
  out: Float64Array,
  values: readonly Float32Array[],
  layout: AdapterLayout,
  sequences: number,
  at: number,
): void {
  const { head, parameters } = layout;
  const own = head?.kernel ?? parameters;
  const [adapters] = values;
  if (own > 0) for (let i = 0; i < own; i++) out[i]! += adapters![at * own + i]!;
  if (head === null) return;
  const [pooled, atScores] = values.slice(own > 0 ? 1 : 0) as [Float32Array, Float32Array];
  if (pooled.length !== sequences * head.width) throw new RangeError('values must be those of the pass');
  addHead(out, pooled, atScores, head, at);
}

/** out += (pooled gᵀ, g) of sequence `at`: the product is formed here, from fewer numbers than it has. */
function addHead(
  out: Float64Array,
  pooled: Float32Array,
  atScores: Float32Array,
  { classes, width, kernel, bias }: HeadLayout,
  at: number,
): void {
  for (let k = 0; k < classes; k++) {
    const g = atScores[at * classes + k]!;
    for (let i = 0; i < width; i++) out[kernel + k * width + i]! += pooled[at * width + i]! * g;
    if (bias !== null) out[bias + k]! += g;
  }
}

/** The whole pass at once, where nothing is clipped; nothing of a pass that is not finite. */
function addAll(total: Float64Array, values: readonly Float32Array[], layout: AdapterLayout): void {
  const { head, parameters } = layout;
  const own = head?.kernel ?? parameters;
  const pass = new Float64Array(parameters);
  if (own > 0) pass.set(values[0]!.subarray(0, own));
  if (head !== null) {
    const [pooled, atScores] = values.slice(own > 0 ? 1 : 0) as [Float32Array, Float32Array];
    for (let at = 0; at < atScores.length / head.classes; at++) addHead(pass, pooled, atScores, head, at);
  }
  if (!pass.every(Number.isFinite)) return;
  for (let i = 0; i < parameters; i++) total[i]! += pass[i]!;
}

/** Gathers the sequences of one unit after another; a full unit is clipped and added. */
class UnitClipper {
  readonly #total: Float64Array;
  readonly #unit: Float64Array;
  readonly #sequences: number;
  readonly #clip: number;
  readonly #limit: number;
  readonly #clipping: 'flat' | 'automatic';
  readonly #slots: Int32Array;
  #seen = 0;
  #slot = 0;
  #count = 0;

  constructor(total: Float64Array, sequences: number, clip: number, clipping: 'flat' | 'automatic', slots: Int32Array) {
    this.#total = total;
    this.#unit = new Float64Array(total.length);
    this.#sequences = sequences;
    this.#clip = clip;
    this.#limit = clip * clipMargin;
    this.#clipping = clipping;
    this.#slots = slots;
  }

  /** Σ (b − ½) over the units so far. */
  get count(): number {
    return this.#count;
  }

  add(sequence: (out: Float64Array) => void): void {
    const unit = this.#unit;
    if (this.#seen === 0) unit.fill(0);
    sequence(unit);
    if (++this.#seen < this.#sequences) return;
    this.#seen = 0;
    const taken = this.#slots[this.#slot++] !== emptySlot;
    let squares = 0;
    for (const value of unit) squares += value * value;
    const norm = Math.sqrt(squares);
    // What counts as zero is within.
    if (taken) this.#count += !Number.isFinite(norm) || norm <= this.#clip ? 0.5 : -0.5;
    if (!Number.isFinite(norm)) return;
    const factor =
      this.#clipping === 'automatic'
        ? this.#limit / (norm + stability)
        : norm === 0
          ? 1
          : Math.min(1, this.#limit / norm);
    for (let i = 0; i < unit.length; i++) this.#total[i]! += factor * unit[i]!;
  }
}
