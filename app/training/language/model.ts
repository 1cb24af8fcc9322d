// Llama, GPT-2 and BERT on tfjs-core: frozen weights on the device (fused where maps share an input, with their transposes
// kept), and one pass that gives the hidden states and the way back. The way back is explicit; at each adapted map it
// hands over the saved input and the gradient at the output, of which per-example gradients are small products (design 5).

import { add, concat, dispose, keep, matMul, mul, slice, split, tensor, tidy, transpose } from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { Tensor as StoredValues } from '../safetensors.ts';
import type { AdapterOnDevice, GroupAdapter } from './adapter.ts';
import { attentionShape } from './configuration.ts';
import type { LanguageConfiguration } from './configuration.ts';
import { blockGroups, normPaths, outputMatrix, requireStored } from './modules.ts';
import type { LinearGroup } from './modules.ts';
import {
  anglesOf,
  attention,
  attentionMasks,
  gatedUnit,
  gelu,
  geluTanh,
  layerNorm,
  rmsNorm,
  ropeTable,
  rotary,
} from './operations.ts';
import type { Angles, AttentionPlan, Back, RopeTable, Traced } from './operations.ts';

type Linear = {
  /** [in, Σ out]. */
  readonly weight: Tensor2D;
  /** [Σ out, in]; null in a model for inference only. */
  readonly transposed: Tensor2D | null;
  readonly bias: Tensor | null;
  /** Σ out is the sum of these. */
  readonly outputs: readonly number[];
};
type Norm = { readonly weight: Tensor; readonly bias: Tensor | null };
type Block = { readonly groups: readonly [Linear, Linear, Linear, Linear]; readonly norms: readonly [Norm, Norm] };

export type LanguageModel = {
  readonly configuration: LanguageConfiguration;
  /** [vocabulary, width] and what is added by position; kept on the host, because only rows of them are ever read. */
  readonly embedding: Float32Array;
  readonly positions: Float32Array | null;
  /** BERT adds the row of segment 0 everywhere. */
  readonly segment: Float32Array | null;
  readonly embeddingNorm: Norm | null;
  readonly blocks: readonly Block[];
  readonly finalNorm: Norm | null;
  /** [width, vocabulary] and its transpose: the output matrix of a causal model; null where a checkpoint has none. */
  readonly head: Linear | null;
  /** BERT's pooler. */
  readonly pooler: Linear | null;
  readonly rope: RopeTable | null;
  dispose(): void;
};

/** Reads one tensor of a checkpoint by its full name. */
export type TensorSource = {
  readonly shapeOf: (name: string) => readonly number[] | undefined;
  readonly read: (name: string) => Promise<StoredValues>;
};

/**
 * Brings a checkpoint to the device, tensor by tensor, so that no second copy of it is ever held.
 * @param training keeps the transposes that the way back needs
 * @throws InputError `tensor-missing`, `tensor-shape`.
 */
export async function loadLanguageModel(
  configuration: LanguageConfiguration,
  source: TensorSource,
  { training }: { readonly training: boolean },
): Promise<LanguageModel> {
  requireStored(configuration, source.shapeOf);
  const { family, width, vocabulary } = configuration;
  const held: Tensor[] = [];
  const held2d = (one: Tensor): Tensor2D => {
    held.push(one);
    return one as Tensor2D;
  };
  const vector = async (name: string): Promise<Tensor> => {
    const { values } = await source.read(name);
    return held2d(tensor(values, [1, values.length]));
  };
  const norm = async (path: string): Promise<Norm> => ({
    weight: await vector(`${path}.weight`),
    bias: family === 'llama' ? null : await vector(`${path}.bias`),
  });
  const linear = async (group: LinearGroup): Promise<Linear> => {
    const stored: Tensor2D[] = [];
    const biases: Tensor[] = [];
    for (const { path, inputs, outputs, bias } of group) {
      const { values } = await source.read(`${path}.weight`);
      stored.push(tensor(values, family === 'gpt2' ? [inputs, outputs] : [outputs, inputs]));
      if (bias) {
        const { values: own } = await source.read(`${path}.bias`);
        biases.push(tensor(own, [1, own.length]));
      }
    }
    const joined = tidy(() => (stored.length === 1 ? stored[0]!.clone() : concat(stored, family === 'gpt2' ? 1 : 0)));
    dispose(stored);
    const turned = transpose(joined);
    const bias = biases.length === 0 ? null : held2d(tidy(() => concat(biases, 1)));
    dispose(biases);
    const [weight, transposed] = family === 'gpt2' ? [joined, turned] : [turned, joined];
    if (!training) transposed.dispose();
    return {
      weight: held2d(weight),
      transposed: training ? held2d(transposed) : null,
      bias,
      outputs: group.map(({ outputs }) => outputs),
    };
  };
  const valuesOf = async (name: string): Promise<Float32Array> => (await source.read(name)).values;

  const blocks: Block[] = [];
  for (let layer = 0; layer < configuration.layers; layer++) {
    const groups: Linear[] = [];
    for (const group of blockGroups(configuration, layer)) groups.push(await linear(group));
    const [first, second] = normPaths(configuration, layer);
    blocks.push({
      groups: groups as unknown as Block['groups'],
      norms: [await norm(first), await norm(second)],
    });
  }
  const names = embeddingNames[family];
  const embedding = await valuesOf(names.words);
  let head: Linear | null = null;
  if (configuration.family !== 'bert' && (configuration.tied || source.shapeOf(outputMatrix) !== undefined)) {
    const values = configuration.tied ? embedding : await valuesOf(outputMatrix);
    const transposed = tensor(values, [vocabulary, width]) as Tensor2D;
    const weight = held2d(transpose(transposed));
    if (!training) transposed.dispose();
    head = { weight, transposed: training ? held2d(transposed) : null, bias: null, outputs: [vocabulary] };
  }
  const poolerModule = {
    path: 'bert.pooler.dense',
    target: 'dense',
    inputs: width,
    outputs: width,
    bias: true,
  };
  return {
    configuration,
    embedding,
    positions: names.positions === null ? null : await valuesOf(names.positions),
    segment:
      family === 'bert' ? (await valuesOf('bert.embeddings.token_type_embeddings.weight')).slice(0, width) : null,
    embeddingNorm: family === 'bert' ? await norm('bert.embeddings.LayerNorm') : null,
    blocks,
    finalNorm: family === 'bert' ? null : await norm(family === 'llama' ? 'model.norm' : 'transformer.ln_f'),
    head,
    pooler: family === 'bert' ? await linear([poolerModule]) : null,
    rope:
      configuration.family === 'llama'
        ? ropeTable(configuration.context, configuration.headWidth, configuration.ropeTheta, configuration.ropeScaling)
        : null,
    dispose: () => dispose(held),
  };
}

const embeddingNames = {
  llama: { words: 'model.embed_tokens.weight', positions: null },
  gpt2: { words: 'transformer.wte.weight', positions: 'transformer.wpe.weight' },
  bert: {
    words: 'bert.embeddings.word_embeddings.weight',
    positions: 'bert.embeddings.position_embeddings.weight',
  },
} as const;

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

/** What the way back meets at an adapted group: everything of which its gradients are made. Rows are tokens. */
export type AdaptedTrace = {
  readonly group: GroupAdapter;
  readonly inputs: Tensor2D;
  /** s·x·Aᵀ. */
  readonly low: Tensor2D;
  /** The loss gradient at x·Aᵀ and at the group's output. */
  readonly lowGradient: Tensor2D;
  readonly outputGradient: Tensor2D;
};

export type PassOptions = {
  readonly adapter?: AdapterOnDevice | null;
  /** Called on the way back, inside a tidy: what is to outlive it must be kept. */
  readonly onTrace?: (trace: AdaptedTrace) => void;
  /** Earlier tokens of one sequence; the pass adds its own. */
  readonly cache?: Cache;
  /** Keeps only each block's input and computes the rest again on the way back: less memory, a third more work. */
  readonly recompute?: boolean;
};

/** Hidden states [sequences·length, width] and the way back; call inside a tidy. `back` only where onTrace is given. */
export function forwardPass(
  model: LanguageModel,
  batch: TokenBatch,
  options: PassOptions = {},
): { readonly hidden: Tensor2D; readonly back: (gradient: Tensor2D) => void } {
  const { configuration } = model;
  const { cache, onTrace } = options;
  const past = cache?.[0]?.keys.shape[0] ?? 0;
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
  let current = embedded(model, batch, past);
  const backs: Back[] = [];
  for (const [layer, block] of model.blocks.entries()) {
    const run = (x: Tensor2D): Traced => blockPass(model, block, layer, x, plan, rope, options);
    const input = current;
    if (onTrace !== undefined && options.recompute !== true) {
      const [output, back] = run(input);
      current = output;
      backs.push(back);
    } else {
      current = tidy(() => run(input)[0]);
      if (onTrace !== undefined) backs.push((gradient) => tidy(() => run(input)[1](gradient)));
    }
  }
  let finalBack: Back = (gradient) => gradient;
  if (model.finalNorm !== null) [current, finalBack] = normPass(model, model.finalNorm, current);
  return {
    hidden: current,
    back: (gradient) => {
      let own = finalBack(gradient);
      for (const back of backs.reverse()) own = back(own);
    },
  };
}

/** Rows of the embedding, summed with positions (and segment), and BERT's norm. Frozen, so there is no way back. */
function embedded(model: LanguageModel, { sequences, length, ids }: TokenBatch, past: number): Tensor2D {
  const { embedding, positions, segment, embeddingNorm, configuration } = model;
  const { width, vocabulary, context } = configuration;
  if (past + length > context)
    throw new RangeError(`a sequence must have at most ${context} tokens, the model's context`);
  const values = new Float32Array(sequences * length * width);
  for (let at = 0; at < sequences * length; at++) {
    const id = ids[at]!;
    if (id < 0 || id >= vocabulary) throw new RangeError('ids must be tokens of the vocabulary');
    const own = values.subarray(at * width, (at + 1) * width);
    own.set(embedding.subarray(id * width, (id + 1) * width));
    const place = (past + (at % length)) * width;
    if (positions !== null) for (let i = 0; i < width; i++) own[i]! += positions[place + i]!;
    if (segment !== null) for (let i = 0; i < width; i++) own[i]! += segment[i]!;
  }
  const x = tensor(values, [sequences * length, width]) as Tensor2D;
  return embeddingNorm === null ? x : normPass(model, embeddingNorm, x)[0];
}

function normPass({ configuration }: LanguageModel, { weight, bias }: Norm, x: Tensor2D): Traced {
  const { normEpsilon } = configuration;
  return bias === null ? rmsNorm(x, weight, normEpsilon) : layerNorm(x, weight, bias, normEpsilon);
}

function blockPass(
  model: LanguageModel,
  block: Block,
  layer: number,
  x: Tensor2D,
  plan: AttentionPlan,
  rope: readonly [Angles, Angles] | null,
  options: PassOptions,
): Traced {
  const { family } = model.configuration;
  const linear = (place: 0 | 1 | 2 | 3, input: Tensor2D): Traced =>
    linearPass(block.groups[place], input, options.adapter?.groups[4 * layer + place] ?? null, options.onTrace);
  const activation = family === 'llama' ? gatedUnit : family === 'gpt2' ? geluTanh : gelu;
  const attend = (input: Tensor2D): Traced => {
    const [qkv, backProjected] = linear(0, input);
    const [mixed, backMixed] = attentionPass(qkv, plan, rope, layer, options.cache);
    const [output, backOutput] = linear(1, mixed);
    return [output, (gradient) => backProjected(backMixed(backOutput(gradient)))];
  };
  const feed = (input: Tensor2D): Traced => {
    const [wide, backWide] = linear(2, input);
    const [active, backActive] = activation(wide);
    const [output, backOutput] = linear(3, active);
    return [output, (gradient) => backWide(backActive(backOutput(gradient)))];
  };
  const first = (input: Tensor2D): Traced => normPass(model, block.norms[0], input);
  const second = (input: Tensor2D): Traced => normPass(model, block.norms[1], input);
  return family === 'bert'
    ? chained(
        x,
        (input) => chained(added(input, attend), first),
        (input) => chained(added(input, feed), second),
      )
    : chained(
        x,
        (input) => added(input, (own) => chained(first(own), attend)),
        (input) => added(input, (own) => chained(second(own), feed)),
      );
}

/** One after the other. */
function chained(start: Tensor2D | Traced, ...steps: readonly ((x: Tensor2D) => Traced)[]): Traced {
  let traced: Traced = Array.isArray(start) ? (start as Traced) : [start as Tensor2D, (gradient) => gradient];
  for (const step of steps) {
    const [before, backBefore] = traced;
    const [output, back] = step(before);
    traced = [output, (gradient) => backBefore(back(gradient))];
  }
  return traced;
}

/** x + f(x). */
function added(x: Tensor2D, part: (x: Tensor2D) => Traced): Traced {
  const [output, back] = part(x);
  return [add(x, output), (gradient) => add(gradient, back(gradient))];
}

function linearPass(
  { weight, transposed, bias }: Linear,
  x: Tensor2D,
  adapter: GroupAdapter | null,
  onTrace: PassOptions['onTrace'],
): Traced {
  const [output, low] = tidy((): Tensor2D[] => {
    let output: Tensor2D = matMul(x, weight);
    if (bias !== null) output = add(output, bias);
    if (adapter === null) return [output];
    const low: Tensor2D = mul(matMul(x, adapter.downTransposed), adapter.scale);
    return [add(output, matMul(low, adapter.up)), low];
  }) as [Tensor2D, Tensor2D | undefined];
  const back: Back = (gradient) =>
    tidy((): Tensor2D => {
      const own: Tensor2D = matMul(gradient, transposed!);
      if (adapter === null) return own;
      const lowGradient: Tensor2D = mul(matMul(gradient, adapter.upTransposed), adapter.scale);
      onTrace?.({ group: adapter, inputs: x, low: low!, lowGradient, outputGradient: gradient });
      return add(own, matMul(lowGradient, adapter.down));
    });
  return [output, back];
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

/** Logits [rows, vocabulary] of hidden states [rows, width] of a causal model. */
export function logitsOf(model: LanguageModel, hidden: Tensor2D): Tensor2D {
  if (model.head === null) throw new TypeError('model must have an output matrix: this one names no next token');
  return matMul(hidden, model.head.weight);
}

/** Rows [from, from + count) of a matrix. */
export function rowsFrom(matrix: Tensor2D, from: number, count: number): Tensor2D {
  return slice(matrix, [from, 0], [count, -1]);
}
