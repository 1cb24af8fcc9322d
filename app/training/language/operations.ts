// The parts of a transformer on tfjs-core, each with its own derivative: a function gives its output and the way back
// from a gradient at the output to one at the input. No autograd, so no gradient kernels are needed of a backend, and
// matMul only ever gets plain operands: its transpose flags are slow on wasm. Call inside a tidy. Design 5.

import {
  add,
  concat,
  erf,
  exp,
  getBackend,
  matMul,
  mean,
  mul,
  neg,
  reshape,
  rsqrt,
  sigmoid,
  slice,
  softmax,
  split,
  square,
  stack,
  sub,
  sum,
  tensor,
  tidy,
  transpose,
  unstack,
} from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { RopeScaling } from './configuration.ts';
import { fusedGatedUnit, fusedGatedUnitBack, fusedRmsNorm, fusedRmsNormBack, isFused } from './fused.ts';

/** Gradient at the output, same shape, to gradient at the input. */
export type Back = (gradient: Tensor2D) => Tensor2D;
export type Traced = readonly [output: Tensor2D, back: Back];

/** Rows are tokens: [tokens, width] throughout. */
export function rmsNorm(x: Tensor2D, weight: Tensor, epsilon: number): Traced {
  if (isFused() && x.shape[1] % 4 === 0) {
    const [output, factor] = fusedRmsNorm(x, weight, epsilon);
    return [output, (gradient) => fusedRmsNormBack(gradient, x, weight, factor)];
  }
  const [output, normal, factor] = tidy(() => {
    const factor = rsqrt(add(mean(square(x), 1, true), epsilon));
    const normal = mul(x, factor) as Tensor2D;
    return [mul(normal, weight), normal, factor];
  }) as [Tensor2D, Tensor2D, Tensor2D];
  const back: Back = (gradient) =>
    tidy(() => {
      const weighted = mul(gradient, weight);
      return mul(factor, sub(weighted, mul(normal, mean(mul(weighted, normal), 1, true))));
    });
  return [output, back];
}

export function layerNorm(x: Tensor2D, weight: Tensor, bias: Tensor, epsilon: number): Traced {
  const [output, normal, factor] = tidy(() => {
    const centred = sub(x, mean(x, 1, true));
    const factor = rsqrt(add(mean(square(centred), 1, true), epsilon));
    const normal = mul(centred, factor) as Tensor2D;
    return [add(mul(normal, weight), bias), normal, factor];
  }) as [Tensor2D, Tensor2D, Tensor2D];
  const back: Back = (gradient) =>
    tidy(() => {
      const weighted = mul(gradient, weight);
      const along = mul(normal, mean(mul(weighted, normal), 1, true));
      return mul(factor, sub(sub(weighted, mean(weighted, 1, true)), along));
    });
  return [output, back];
}

/** silu(gate) · up, from [tokens, 2·inner] with the gate first (Shazeer 2020). */
export function gatedUnit(x: Tensor2D): Traced {
  if (isFused() && x.shape[1] % 8 === 0) return [fusedGatedUnit(x), (gradient) => fusedGatedUnitBack(x, gradient)];
  const [output, gate, up, open] = tidy(() => {
    const [gate, up] = split(x, 2, 1) as [Tensor2D, Tensor2D];
    const open = sigmoid(gate);
    return [mul(mul(gate, open), up), gate, up, open];
  }) as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
  const back: Back = (gradient) =>
    tidy(() => {
      const active = mul(gate, open);
      // d silu(z) = σ + z σ (1 − σ) = σ + silu − silu σ.
      const slope = add(open, sub(active, mul(active, open)));
      return concat([mul(mul(gradient, up), slope), mul(gradient, active)], 1);
    });
  return [output, back];
}

/** The tanh form: x σ(2√(2/π)(x + 0.044715 x³)) (Hendrycks and Gimpel 2016). */
export function geluTanh(x: Tensor2D): Traced {
  const slopeAtZero = 2 * Math.sqrt(2 / Math.PI);
  const [output, open] = tidy(() => {
    const open = sigmoid(mul(mul(x, add(mul(square(x), 0.044715), 1)), slopeAtZero));
    return [mul(x, open), open];
  }) as [Tensor2D, Tensor2D];
  const back: Back = (gradient) =>
    tidy(() => {
      const inner = mul(add(mul(square(x), 3 * 0.044715), 1), slopeAtZero);
      const slope = add(open, mul(mul(mul(x, inner), open), sub(1, open)));
      return mul(gradient, slope);
    });
  return [output, back];
}

/** The exact form: x Φ(x). */
export function gelu(x: Tensor2D): Traced {
  const [output, below] = tidy(() => {
    const below = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
    return [mul(x, below), below];
  }) as [Tensor2D, Tensor2D];
  const back: Back = (gradient) =>
    tidy(() => {
      const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return mul(gradient, add(below, mul(x, density)));
    });
  return [output, back];
}

/** What attention needs to know of a pass. */
export type AttentionPlan = {
  readonly sequences: number;
  /** Tokens of each sequence that ask, and that are looked at. */
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headWidth: number;
  /** Added to the scores of each piece (see `pieces`): −∞ stands as −1e9, which softmax turns into an exact 0. */
  readonly masks: readonly Tensor[];
};

const outOfSight = -1e9;

/** Whether the products of a pass are done one by one (wasm) or as one batch. */
const onePerPiece = (): boolean => getBackend() === 'wasm';

/** Additive masks for `AttentionPlan`: causal from an offset, or by how many tokens of each sequence are real. */
export function attentionMasks(
  plan: Omit<AttentionPlan, 'masks'>,
  kind: { readonly causalFrom: number } | { readonly real: Int32Array },
): Tensor[] {
  const { sequences, queries, keys, heads, keyValueHeads } = plan;
  if ('causalFrom' in kind) {
    const group = heads / keyValueHeads;
    const rows = group * queries;
    const values = new Float32Array(rows * keys);
    for (let row = 0; row < rows; row++)
      for (let key = kind.causalFrom + (row % queries) + 1; key < keys; key++) values[row * keys + key] = outOfSight;
    return [tensor(values, onePerPiece() ? [rows, keys] : [1, rows, keys])];
  }
  const values = new Float32Array(sequences * keys);
  for (let at = 0; at < sequences; at++) values.fill(outOfSight, at * keys + kind.real[at]!, (at + 1) * keys);
  if (onePerPiece())
    return Array.from({ length: sequences }, (_, at) => tensor(values.slice(at * keys, (at + 1) * keys), [1, keys]));
  const repeated = new Float32Array(sequences * keyValueHeads * keys);
  for (let at = 0; at < sequences * keyValueHeads; at++) {
    const from = Math.floor(at / keyValueHeads) * keys;
    repeated.set(values.subarray(from, from + keys), at * keys);
  }
  return [tensor(repeated, [sequences * keyValueHeads, 1, keys])];
}

/** A tensor in the shape of products: one of rank 3, or, on wasm, one of rank 2 for each sequence and key/value head. */
type Piece = Tensor;

/**
 * Softmax attention with grouped key/value heads. `q` is [tokens, heads·headWidth], `k` and `v` are
 * [tokens, keyValueHeads·headWidth]. The way back takes the gradient at the output and gives those at q, k and v.
 */
export function attention(
  q: Tensor2D,
  k: Tensor2D,
  v: Tensor2D,
  plan: AttentionPlan,
): readonly [output: Tensor2D, back: (gradient: Tensor2D) => [Tensor2D, Tensor2D, Tensor2D]] {
  const { sequences, queries, keys, heads, keyValueHeads, headWidth, masks } = plan;
  const pieces = sequences * keyValueHeads;
  const split2d = onePerPiece();
  const scale = 1 / Math.sqrt(headWidth);
  const divided = (x: Tensor3D): Piece[] => (split2d ? unstack(x) : [x]);
  const joined = (parts: readonly Piece[]): Tensor3D =>
    split2d ? (stack(parts as Tensor2D[]) as Tensor3D) : (parts[0] as Tensor3D);
  /** [tokens, count·headWidth] → [pieces, rows, headWidth]; and with rows last. */
  const perHead = (x: Tensor2D, length: number, count: number, order: number[], shape: [number, number]): Piece[] =>
    divided(reshape(transpose(reshape(x, [sequences, length, count, headWidth]), order), [pieces, ...shape]));
  const rowsOf = (x: Tensor2D, length: number, count: number): Piece[] =>
    perHead(x, length, count, [0, 2, 1, 3], [(count / keyValueHeads) * length, headWidth]);
  const columnsOf = (x: Tensor2D, length: number): Piece[] =>
    perHead(x, length, keyValueHeads, [0, 2, 3, 1], [headWidth, length]);
  /** Back from rows, or from columns, to [tokens, count·headWidth]. */
  const fromRows = (parts: readonly Piece[], length: number, count: number): Tensor2D =>
    reshape(transpose(reshape(joined(parts), [sequences, count, length, headWidth]), [0, 2, 1, 3]), [
      sequences * length,
      count * headWidth,
    ]);
  const fromColumns = (parts: readonly Piece[], length: number): Tensor2D =>
    reshape(transpose(reshape(joined(parts), [sequences, keyValueHeads, headWidth, length]), [0, 3, 1, 2]), [
      sequences * length,
      keyValueHeads * headWidth,
    ]);
  const product = (left: Piece, right: Piece): Piece => matMul(left as Tensor2D, right as Tensor2D);
  const swapped = (x: Piece): Piece => (split2d ? transpose(x) : transpose(x as Tensor3D, [0, 2, 1]));
  const maskOf = (i: number): Tensor => masks[masks.length === 1 ? 0 : Math.floor(i / keyValueHeads)]!;

  const saved = tidy(() => {
    const queryRows = rowsOf(mul(q, scale), queries, heads);
    const keyColumns = columnsOf(k, keys);
    const valueRows = rowsOf(v, keys, keyValueHeads);
    const weights = queryRows.map((rows, i) => softmax(add(product(rows, keyColumns[i]!), maskOf(i))));
    const output = fromRows(
      weights.map((weight, i) => product(weight, valueRows[i]!)),
      queries,
      heads,
    );
    return { output, weights };
  });
  const { output, weights } = saved;
  const back = (gradient: Tensor2D): [Tensor2D, Tensor2D, Tensor2D] =>
    tidy(() => {
      const gradientRows = rowsOf(gradient, queries, heads);
      const queryRows = rowsOf(mul(q, scale), queries, heads);
      const keyRows = rowsOf(k, keys, keyValueHeads);
      const valueColumns = columnsOf(v, keys);
      const [atQuery, atKey, atValue]: [Piece[], Piece[], Piece[]] = [[], [], []];
      for (const [i, weight] of weights.entries()) {
        const rows = gradientRows[i]!;
        const scores = tidy(() => {
          const atWeight = product(rows, valueColumns[i]!);
          return mul(weight, sub(atWeight, sum(mul(atWeight, weight), -1, true)));
        });
        atQuery.push(product(scores, keyRows[i]!));
        // Transposed results from small transposed operands: the [queries, keys] matrices are never turned.
        atKey.push(product(swapped(queryRows[i]!), scores));
        atValue.push(product(swapped(rows), weight));
      }
      return [mul(fromRows(atQuery, queries, heads), scale), fromColumns(atKey, keys), fromColumns(atValue, keys)] as [
        Tensor2D,
        Tensor2D,
        Tensor2D,
      ];
    });
  return [output, back];
}

/** cos and sin of every position and half-width frequency, [positions, headWidth / 2] row-major. */
export type RopeTable = { readonly cos: Float32Array; readonly sin: Float32Array; readonly half: number };

/** Su et al. 2021; the llama3 form as in Llama 3.1's reference code. */
export function ropeTable(positions: number, headWidth: number, theta: number, scaling: RopeScaling | null): RopeTable {
  const half = headWidth / 2;
  const table: RopeTable = { cos: new Float32Array(positions * half), sin: new Float32Array(positions * half), half };
  for (let i = 0; i < half; i++) {
    const frequency = scaledFrequency(theta ** (-(2 * i) / headWidth), scaling);
    for (let position = 0; position < positions; position++) {
      table.cos[position * half + i] = Math.cos(position * frequency);
      table.sin[position * half + i] = Math.sin(position * frequency);
    }
  }
  return table;
}

function scaledFrequency(frequency: number, scaling: RopeScaling | null): number {
  if (scaling === null) return frequency;
  if (scaling.kind === 'linear') return frequency / scaling.factor;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalContext / high) return frequency;
  if (wavelength > originalContext / low) return frequency / factor;
  const smooth = (originalContext / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** The angles of one pass, for `heads` heads: [1, length·heads, half], to be used on every sequence. */
export type Angles = { readonly cos: Tensor3D; readonly sin: Tensor3D; readonly heads: number };

export function anglesOf({ cos, sin, half }: RopeTable, from: number, length: number, heads: number): Angles {
  const repeated = (values: Float32Array): Tensor3D => {
    const out = new Float32Array(length * heads * half);
    for (let at = 0; at < length * heads; at++) {
      const row = (from + Math.floor(at / heads)) * half;
      out.set(values.subarray(row, row + half), at * half);
    }
    return tensor(out, [1, length * heads, half]);
  };
  return { cos: repeated(cos), sin: repeated(sin), heads };
}

/** Half-split rotary positions on [sequences·length, heads·headWidth]. Its way back turns by the opposite angle. */
export function rotary(x: Tensor2D, angles: Angles): Traced {
  const turned = (values: Tensor2D, backwards: boolean): Tensor2D =>
    tidy(() => {
      const { cos, sin } = angles;
      const [, places, half] = cos.shape;
      const sequences = values.size / (places * 2 * half);
      const pairs = reshape(values, [sequences * places, 2 * half]);
      const shape: [number, number, number] = [sequences, places, half];
      const first = reshape(slice(pairs, [0, 0], [-1, half]), shape);
      const second = reshape(slice(pairs, [0, half], [-1, half]), shape);
      const signed = backwards ? neg(sin) : sin;
      const turnedFirst = sub(mul(first, cos), mul(second, signed));
      const turnedSecond = add(mul(second, cos), mul(first, signed));
      return reshape(concat([turnedFirst, turnedSecond], 2), values.shape);
    });
  return [turned(x, false), (gradient) => turned(gradient, true)];
}
