// What a pass is trained on and measured by: next-token cross-entropy of a causal model, or a class read at one token.
// Each gives the gradient at the hidden states by hand (softmax minus target, times a weight of the row). Design 5.

import {
  add,
  concat,
  exp,
  log,
  matMul,
  max,
  mul,
  oneHot,
  reshape,
  softmax,
  sub,
  sum,
  tanh,
  square,
  tensor,
  tidy,
} from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { AdapterOnDevice } from './adapter.ts';
import { fusedTokenLossBack, isFused } from './fused.ts';
import { logitsOf, rowsFrom } from './model.ts';
import type { TokenBatch } from './attend.ts';
import type { LanguageModel } from './model.ts';
import { backThrough, sumOfProducts, through } from './products.ts';

/** Logits held at once: a large vocabulary is taken in parts. */
const mostLogits = 2 ** 22;

/** [targets, weights] of every token: the id that follows, and 1 where there is one. */
export function nextTokens({ sequences, length, ids, real }: TokenBatch): {
  readonly targets: Int32Array;
  readonly follows: Float32Array;
} {
  const targets = new Int32Array(sequences * length);
  const follows = new Float32Array(sequences * length);
  for (let at = 0; at < sequences; at++)
    for (let token = 0; token + 1 < Math.min(length, real[at]!); token++) {
      targets[at * length + token] = ids[at * length + token + 1]!;
      follows[at * length + token] = 1;
    }
  return { targets, follows };
}

function inParts<Part>(model: LanguageModel, rows: number, part: (from: number, count: number) => Part): Part[] {
  const most = Math.max(1, Math.floor(mostLogits / model.configuration.vocabulary));
  const parts: Part[] = [];
  for (let from = 0; from < rows; from += most) parts.push(part(from, Math.min(most, rows - from)));
  return parts;
}

/** −ln p(target) of every row, Tensor1D(rows); 0 where weight is 0. */
export function tokenLosses(
  model: LanguageModel,
  hidden: Tensor2D,
  targets: Int32Array,
  weights: Float32Array,
): Tensor1D {
  const [rows] = hidden.shape;
  return tidy(() => {
    const parts = inParts(model, rows, (from, count) =>
      tidy(() =>
        crossEntropy(
          logitsOf(model, count === rows ? hidden : rowsFrom(hidden, from, count)),
          targets.slice(from, from + count),
          weights.slice(from, from + count),
        ),
      ),
    );
    return parts.length === 1 ? parts[0]! : concat(parts);
  });
}

function crossEntropy(logits: Tensor2D, targets: Int32Array, weights: Float32Array): Tensor1D {
  const [rows, columns] = logits.shape;
  const most = max(logits, 1, true);
  const shifted = sub(logits, most);
  const chosen = sum(mul(shifted, oneHot(tensor(targets, [rows], 'int32'), columns)), 1);
  const normaliser = log(sum(exp(shifted), 1));
  return mul(sub(normaliser, chosen), tensor(weights, [rows])) as Tensor1D;
}

/** The gradient of Σ weight · loss at the hidden states, [rows, width]. */
export function tokenLossGradient(
  model: LanguageModel,
  hidden: Tensor2D,
  targets: Int32Array,
  weights: Float32Array,
): Tensor2D {
  const [rows] = hidden.shape;
  const { head } = model;
  const stored = head?.transposed ?? null;
  if (isFused() && stored !== null) return fusedTokenLossBack(hidden, stored, { targets, weights, mostLogits });
  return tidy((): Tensor2D => {
    const parts = inParts(model, rows, (from, count) =>
      tidy((): Tensor2D => {
        const logits = logitsOf(model, count === rows ? hidden : rowsFrom(hidden, from, count));
        const wanted = oneHot(tensor(targets.slice(from, from + count), [count], 'int32'), logits.shape[1]);
        const atLogits = mul(sub(softmax(logits), wanted), tensor(weights.slice(from, from + count), [count, 1]));
        return sumOfProducts([backThrough(head!, atLogits as Tensor2D)]);
      }),
    );
    return parts.length === 1 ? parts[0]! : concat(parts, 0);
  });
}

export type ClassPass = {
  /** What the head reads, [sequences, width], and class scores [sequences, classes]. */
  readonly pooled: Tensor2D;
  readonly scores: Tensor2D;
  /** From the gradient at the scores to the one at the hidden states. */
  readonly back: (gradient: Tensor2D) => Tensor2D;
};

/**
 * The head of a classifier on one pass's hidden states. It reads BERT's first token, through its pooler, or a causal
 * model's last real one. Masked sums, not products, pick the token: what one sequence holds cannot reach another.
 */
export function classPass(
  model: LanguageModel,
  batch: TokenBatch,
  hidden: Tensor2D,
  head: NonNullable<AdapterOnDevice['head']>,
): ClassPass {
  const { sequences, length, real } = batch;
  const chosen = new Float32Array(sequences * length);
  for (let at = 0; at < sequences; at++)
    chosen[at * length + (model.configuration.family === 'bert' ? 0 : Math.max(0, real[at]! - 1))] = 1;
  const places = tensor(chosen, [sequences, length, 1]);
  const [, width] = hidden.shape;
  const read = sum(mul(reshape(hidden, [sequences, length, width]), places), 1) as Tensor2D;
  const { pooler } = model;
  const pooled: Tensor2D = pooler === null ? read : tanh(sumOfProducts([through(pooler, read)], pooler.bias));
  const scores: Tensor2D = add(matMul(pooled, head.kernel), head.bias);
  const back = (gradient: Tensor2D): Tensor2D =>
    tidy((): Tensor2D => {
      const atPooled: Tensor2D = matMul(gradient, head.transposed);
      const atRead: Tensor2D =
        pooler === null ? atPooled : sumOfProducts([backThrough(pooler, mul(atPooled, sub(1, square(pooled))))]);
      return reshape(mul(reshape(atRead, [sequences, 1, width]), places), [sequences * length, width]) as Tensor2D;
    });
  return { pooled, scores, back };
}

/** Softmax minus one-hot target times weight, [sequences, classes]. */
export function classGradient(scores: Tensor2D, labels: Int32Array, weights: Float32Array): Tensor2D {
  const [rows, classes] = scores.shape;
  const wanted = oneHot(tensor(labels, [rows], 'int32'), classes);
  return mul(sub(softmax(scores), wanted), tensor(weights, [rows, 1]));
}

export function classLosses(scores: Tensor2D, labels: Int32Array, weights: Float32Array): Tensor1D {
  return crossEntropy(scores, labels, weights);
}
