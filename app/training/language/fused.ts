// Kernels that do several steps of a transformer in one go. A backend may have them (main/trainer/wasm has them for wasm,
// where single kernels are slow and each costs a pass over memory); elsewhere operations.ts, loss.ts and clipped-sum.ts do
// the same by plain ones, and the tests and the self-test hold the two together. Call inside a tidy. Design 5.

import { engine, getBackend, getKernel } from '@tensorflow/tfjs-core';
import type { NamedAttrMap, Tensor, Tensor2D } from '@tensorflow/tfjs-core';

/** Names in tfjs-core's registry of kernels. */
export const fusedKernels = {
  products: 'ConsilienceProducts',
  rmsNorm: 'ConsilienceRmsNorm',
  rmsNormBack: 'ConsilienceRmsNormBack',
  gatedUnit: 'ConsilienceGatedUnit',
  gatedUnitBack: 'ConsilienceGatedUnitBack',
  attention: 'ConsilienceAttention',
  attentionBack: 'ConsilienceAttentionBack',
  tokenLossBack: 'ConsilienceTokenLossBack',
  adapterGradients: 'ConsilienceAdapterGradients',
} as const;

/** Whether the current backend has all of them. */
export const isFused = (): boolean => getKernel(fusedKernels.products, getBackend()) !== undefined;

function run<Result extends Tensor | Tensor[]>(
  kernel: string,
  inputs: { readonly [name: string]: Tensor | null },
  attributes: object = {},
): Result {
  const given = Object.entries(inputs).filter((entry): entry is [string, Tensor] => entry[1] !== null);
  return engine().runKernel<Result>(kernel, Object.fromEntries(given), attributes as NamedAttrMap);
}

export type ProductsAttributes = {
  /** Of each right operand: stored turned. */
  readonly turned: readonly boolean[];
  readonly scales: readonly number[];
};

/** Σ scale · left · right (+ bias in each row), of one or more products of the same size. */
export function fusedProducts(
  terms: readonly {
    readonly left: Tensor2D;
    readonly right: Tensor2D;
    readonly turned: boolean;
    readonly scale: number;
  }[],
  bias: Tensor | null,
): Tensor2D {
  const operands = terms.flatMap(({ left, right }, i) => [[`left${i}`, left] as const, [`right${i}`, right] as const]);
  const attributes: ProductsAttributes = {
    turned: terms.map(({ turned }) => turned),
    scales: terms.map(({ scale }) => scale),
  };
  return run(fusedKernels.products, { ...Object.fromEntries(operands), bias }, attributes);
}

/** [output, 1 / root mean square of each row]. */
export const fusedRmsNorm = (x: Tensor2D, weight: Tensor, epsilon: number): [Tensor2D, Tensor] =>
  run(fusedKernels.rmsNorm, { x, weight }, { epsilon });
export const fusedRmsNormBack = (gradient: Tensor2D, x: Tensor2D, weight: Tensor, factor: Tensor): Tensor2D =>
  run(fusedKernels.rmsNormBack, { gradient, x, weight, factor });

export const fusedGatedUnit = (x: Tensor2D): Tensor2D => run(fusedKernels.gatedUnit, { x });
export const fusedGatedUnitBack = (x: Tensor2D, gradient: Tensor2D): Tensor2D =>
  run(fusedKernels.gatedUnitBack, { x, gradient });

export type FusedAttentionShape = {
  readonly sequences: number;
  readonly length: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** A multiple of 8. */
  readonly headWidth: number;
  /** Keys of each sequence that are looked at; null: each query looks at those up to its own. */
  readonly real: Int32Array | null;
};
/** cos and sin of each position, [length, headWidth / 2]. */
export type FusedRotation = { readonly cos: Tensor; readonly sin: Tensor } | null;

/** [output, weights], from q, k and v side by side. */
export const fusedAttention = (qkv: Tensor2D, rotation: FusedRotation, shape: FusedAttentionShape) =>
  run<[Tensor2D, Tensor]>(
    fusedKernels.attention,
    { qkv, cos: rotation?.cos ?? null, sin: rotation?.sin ?? null },
    shape,
  );
export const fusedAttentionBack = (
  qkv: Tensor2D,
  rotation: FusedRotation,
  weights: Tensor,
  gradient: Tensor2D,
  shape: FusedAttentionShape,
): Tensor2D =>
  run(
    fusedKernels.attentionBack,
    { qkv, cos: rotation?.cos ?? null, sin: rotation?.sin ?? null, weights, gradient },
    shape,
  );

export type TokenLossAttributes = {
  readonly targets: Int32Array;
  readonly weights: Float32Array;
  /** Logits held at once. */
  readonly mostLogits: number;
};
/** The gradient of Σ weight · loss at the hidden states; `head` is [vocabulary, width]. */
export const fusedTokenLossBack = (hidden: Tensor2D, head: Tensor2D, attributes: TokenLossAttributes): Tensor2D =>
  run(fusedKernels.tokenLossBack, { hidden, head }, attributes);

export type AdapterGradientsAttributes = {
  /** 1 where only the sum over all is wanted. */
  readonly sequences: number;
  readonly rank: number;
  readonly freezeA: boolean;
  /** First column and number of columns of each adapted map's outputs. */
  readonly starts: readonly number[];
  readonly widths: readonly number[];
};
/** Gradients of A (unless frozen) and B of each adapted map of a group, [sequences, numbers], in flat order. */
export const fusedAdapterGradients = (
  trace: {
    readonly inputs: Tensor2D;
    readonly low: Tensor2D;
    readonly lowGradient: Tensor2D;
    readonly outputGradient: Tensor2D;
  },
  attributes: AdapterGradientsAttributes,
): Tensor2D => {
  const { inputs, low, lowGradient, outputGradient } = trace;
  return run(fusedKernels.adapterGradients, { inputs, low, lowGradient, outputGradient }, attributes);
};
