// How attention of one pass goes: by one kernel each way where the backend has it (fused.ts), else by single ones, and with a
// cache of keys and values where text is continued.

import { concat, dispose, keep, split, tensor, tidy } from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { attentionShape } from './configuration.ts';
import type { LanguageConfiguration } from './configuration.ts';
import { fusedAttention, fusedAttentionBack, isFused } from './fused.ts';
import type { FusedAttentionShape } from './fused.ts';
import { anglesOf, attention, attentionMasks, rotary } from './operations.ts';
import type { Angles, AttentionPlan, Back, RopeTable, Traced } from './operations.ts';

/** Sequences of one length, padded at the end. */
export type TokenBatch = {
  readonly sequences: number;
  readonly length: number;
  /** sequences × length ids; what stands in padding does not matter. */
  readonly ids: Int32Array;
  /** Real tokens of each sequence. */
  readonly real: Int32Array;
};

/** Keys and values of the tokens so far, one pair a block: [tokens, keyValueHeads·headWidth], rotated. */
export type Cache = { readonly keys: Tensor2D; readonly values: Tensor2D }[];

export type AttendingModel = { readonly configuration: LanguageConfiguration; readonly rope: RopeTable | null };

/** From q, k and v side by side, and the layer, to what is mixed of them. */
export type Attend = (qkv: Tensor2D, layer: number) => Traced;

/** By one kernel each way where the backend has it and the heads fit it. */
export function attendOf(model: AttendingModel, batch: TokenBatch, past: number, cache: Cache | undefined): Attend {
  const fits = cache === undefined && attentionShape(model.configuration).headWidth % 8 === 0;
  return fits && isFused() ? fusedAttend(model, batch) : plainAttend(model, batch, past, cache);
}

function fusedAttend({ configuration, rope }: AttendingModel, { sequences, length, real }: TokenBatch): Attend {
  const { heads, keyValueHeads, headWidth } = attentionShape(configuration);
  const shape: FusedAttentionShape = {
    sequences,
    length,
    heads,
    keyValueHeads,
    headWidth,
    real: configuration.family === 'bert' ? real : null,
  };
  const table = (values: Float32Array): Tensor =>
    tensor(values.slice(0, (length * headWidth) / 2), [length, headWidth / 2]);
  const rotation = rope === null ? null : { cos: table(rope.cos), sin: table(rope.sin) };
  return (qkv) => {
    const [output, weights] = fusedAttention(qkv, rotation, shape);
    return [output, (gradient) => fusedAttentionBack(qkv, rotation, weights, gradient, shape)];
  };
}

/** By single kernels, and with the keys and values of earlier tokens. */
function plainAttend(model: AttendingModel, batch: TokenBatch, past: number, cache: Cache | undefined): Attend {
  const { configuration } = model;
  const shape = attentionShape(configuration);
  const outline = {
    sequences: batch.sequences,
    queries: batch.length,
    keys: past + batch.length,
    heads: shape.heads,
    keyValueHeads: shape.keyValueHeads,
    headWidth: shape.headWidth,
  };
  const masks = attentionMasks(outline, configuration.family === 'bert' ? { real: batch.real } : { causalFrom: past });
  const plan: AttentionPlan = { ...outline, masks };
  const rope =
    model.rope === null
      ? null
      : ([shape.heads, shape.keyValueHeads].map((heads) => anglesOf(model.rope!, past, batch.length, heads)) as [
          Angles,
          Angles,
        ]);
  return (qkv, layer) => attentionPass(qkv, plan, rope, layer, cache);
}

function attentionPass(
  qkv: Tensor2D,
  plan: AttentionPlan,
  rope: readonly [Angles, Angles] | null,
  layer: number,
  cache: Cache | undefined,
): Traced {
  const { heads, keyValueHeads, headWidth } = plan;
  const sizes = [heads * headWidth, keyValueHeads * headWidth, keyValueHeads * headWidth];
  let [q, k, v] = split(qkv, sizes, 1) as [Tensor2D, Tensor2D, Tensor2D];
  let [backQuery, backKey]: [Back, Back] = [(gradient) => gradient, (gradient) => gradient];
  if (rope !== null) {
    [q, backQuery] = rotary(q, rope[0]);
    [k, backKey] = rotary(k, rope[1]);
  }
  if (cache !== undefined) {
    const past = cache[layer];
    if (past !== undefined) [k, v] = [concat([past.keys, k], 0), concat([past.values, v], 0)];
    cache[layer] = { keys: keep(k.clone()), values: keep(v.clone()) };
    if (past !== undefined) dispose([past.keys, past.values]);
  }
  const [output, back] = attention(q, k, v, plan);
  return [
    output,
    (gradient) =>
      tidy(() => {
        const [atQuery, atKey, atValue] = back(gradient);
        return concat([backQuery(atQuery), backKey(atKey), atValue], 1);
      }),
  ];
}
