// Llama, GPT-2 and BERT on tfjs-core: frozen weights on the device (joined where maps share an input, with their transposes
// where products need them), and one pass that gives the hidden states and the way back. The way back is explicit; at each
// adapted map it hands over the saved input and the gradient at the output, of which per-example gradients are small
// products (design 5).

import { add, concat, dispose, slice, tensor, tidy, transpose } from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { Tensor as StoredValues } from '../safetensors.ts';
import type { AdapterOnDevice, GroupAdapter } from './adapter.ts';
import { attendOf } from './attend.ts';
import type { Attend, Cache, TokenBatch } from './attend.ts';
import type { LanguageConfiguration } from './configuration.ts';
import { isFused } from './fused.ts';
import { blockGroups, normPaths, outputMatrix, requireStored } from './modules.ts';
import type { LinearGroup } from './modules.ts';
import { gatedUnit, gelu, geluTanh, layerNorm, rmsNorm, ropeTable } from './operations.ts';
import type { Back, RopeTable, Traced } from './operations.ts';
import { backThrough, sumOfProducts, through } from './products.ts';
import type { Frozen } from './products.ts';

/** [in, Σ out] and [Σ out, in]: both for training by plain products, else one of the two. */
type Linear = Frozen & {
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
  /** Takes a matrix as it is stored, `plain` as [in, out]; keeps it so, turned, or both. */
  const frozen = (stored: Tensor2D, plain: boolean): Frozen => {
    // Products that take it as it lies need one: for training as it came, for inference [out, in], which is read row by row.
    // Others need [in, out], and for training both.
    const asStored = training || plain !== isFused();
    const turned = asStored && (isFused() || !training) ? null : held2d(transpose(stored));
    if (asStored) held.push(stored);
    else stored.dispose();
    const kept = asStored ? stored : null;
    return plain ? { weight: kept, transposed: turned } : { weight: turned, transposed: kept };
  };
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
    const bias = biases.length === 0 ? null : held2d(tidy(() => concat(biases, 1)));
    dispose(biases);
    return {
      ...frozen(joined, family === 'gpt2'),
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
    head = { ...frozen(tensor(values, [vocabulary, width]), false), bias: null, outputs: [vocabulary] };
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
  const { cache, onTrace } = options;
  const past = cache?.[0]?.keys.shape[0] ?? 0;
  const attend = attendOf(model, batch, past, cache);
  let current = embedded(model, batch, past);
  const backs: Back[] = [];
  for (const [layer, block] of model.blocks.entries()) {
    const run = (x: Tensor2D): Traced => blockPass(model, block, layer, x, attend, options);
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
  attentionOf: Attend,
  options: PassOptions,
): Traced {
  const { family } = model.configuration;
  const linear = (place: 0 | 1 | 2 | 3, input: Tensor2D): Traced =>
    linearPass(block.groups[place], input, options.adapter?.groups[4 * layer + place] ?? null, options.onTrace);
  const activation = family === 'llama' ? gatedUnit : family === 'gpt2' ? geluTanh : gelu;
  const attend = (input: Tensor2D): Traced => {
    const [qkv, backProjected] = linear(0, input);
    const [mixed, backMixed] = attentionOf(qkv, layer);
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
  frozen: Linear,
  x: Tensor2D,
  adapter: GroupAdapter | null,
  onTrace: PassOptions['onTrace'],
): Traced {
  const low =
    adapter === null ? null : sumOfProducts([{ left: x, right: adapter.down, turned: true, scale: adapter.scale }]);
  const output = sumOfProducts(
    adapter === null ? [through(frozen, x)] : [through(frozen, x), { left: low!, right: adapter.up }],
    frozen.bias,
  );
  const back: Back = (gradient) =>
    tidy((): Tensor2D => {
      if (adapter === null) return sumOfProducts([backThrough(frozen, gradient)]);
      const { down, up, scale } = adapter;
      const lowGradient = sumOfProducts([{ left: gradient, right: up, turned: true, scale }]);
      onTrace?.({ group: adapter, inputs: x, low: low!, lowGradient, outputGradient: gradient });
      return sumOfProducts([backThrough(frozen, gradient), { left: lowGradient, right: down }]);
    });
  return [output, back];
}

/** Logits [rows, vocabulary] of hidden states [rows, width] of a causal model. */
export function logitsOf(model: LanguageModel, hidden: Tensor2D): Tensor2D {
  if (model.head === null) throw new TypeError('model must have an output matrix: this one names no next token');
  return sumOfProducts([through(model.head, hidden)]);
}

/** Rows [from, from + count) of a matrix. */
export function rowsFrom(matrix: Tensor2D, from: number, count: number): Tensor2D {
  return slice(matrix, [from, 0], [count, -1]);
}
