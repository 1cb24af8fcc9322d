// Which matrices a model has, by the names that Hugging Face gives them: what a checkpoint must hold, which linear maps
// an adapter may stand beside, and how many parameters there are. Llama and BERT store a linear map as [out, in], GPT-2's
// Conv1D as [in, out].

import { InputError } from '../../errors.ts';
import type { LanguageConfiguration } from './configuration.ts';

/** One linear map of a block. */
export type LinearModule = {
  /** Path in the model, such as `model.layers.0.self_attn.q_proj`. */
  readonly path: string;
  /** Last part of the path, by which adapters name their targets. */
  readonly target: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly bias: boolean;
};

/** Linear maps that share one input and are computed as one. */
export type LinearGroup = readonly LinearModule[];

/** What a checkpoint must hold, by name and shape as stored. */
export type StoredTensor = { readonly name: string; readonly shape: readonly number[] };

/** The groups of block `layer`, in the order in which a forward pass meets them. */
export function blockGroups(configuration: LanguageConfiguration, layer: number): LinearGroup[] {
  const { width, inner } = configuration;
  switch (configuration.family) {
    case 'llama': {
      const { heads, keyValueHeads, headWidth, attentionBias, innerBias } = configuration;
      const own = `model.layers.${layer}`;
      const attention = (name: string, inputs: number, outputs: number): LinearModule =>
        module(`${own}.self_attn.${name}`, inputs, outputs, attentionBias);
      const feed = (name: string, inputs: number, outputs: number): LinearModule =>
        module(`${own}.mlp.${name}`, inputs, outputs, innerBias);
      return [
        [
          attention('q_proj', width, heads * headWidth),
          attention('k_proj', width, keyValueHeads * headWidth),
          attention('v_proj', width, keyValueHeads * headWidth),
        ],
        [attention('o_proj', heads * headWidth, width)],
        [feed('gate_proj', width, inner), feed('up_proj', width, inner)],
        [feed('down_proj', inner, width)],
      ];
    }
    case 'gpt2': {
      const own = `transformer.h.${layer}`;
      return [
        [module(`${own}.attn.c_attn`, width, 3 * width, true)],
        [module(`${own}.attn.c_proj`, width, width, true)],
        [module(`${own}.mlp.c_fc`, width, inner, true)],
        [module(`${own}.mlp.c_proj`, inner, width, true)],
      ];
    }
    case 'bert': {
      const own = `bert.encoder.layer.${layer}`;
      return [
        ['query', 'key', 'value'].map((name) => module(`${own}.attention.self.${name}`, width, width, true)),
        [module(`${own}.attention.output.dense`, width, width, true)],
        [module(`${own}.intermediate.dense`, width, inner, true)],
        [module(`${own}.output.dense`, inner, width, true)],
      ];
    }
  }
}

function module(path: string, inputs: number, outputs: number, bias: boolean): LinearModule {
  return { path, target: path.slice(path.lastIndexOf('.') + 1), inputs, outputs, bias };
}

export function allGroups(configuration: LanguageConfiguration): LinearGroup[] {
  return Array.from({ length: configuration.layers }, (_, layer) => blockGroups(configuration, layer)).flat();
}

/** Names of targets, each once, in the order of a block. */
export function possibleTargets(configuration: LanguageConfiguration): string[] {
  return [...new Set(blockGroups(configuration, 0).flatMap((group) => group.map(({ target }) => target)))];
}

/** Everything that a forward pass reads, embedding first. The output matrix only where it is no copy of it. */
export function storedTensors(configuration: LanguageConfiguration): StoredTensor[] {
  const { vocabulary, width, context, family } = configuration;
  const linear = allGroups(configuration).flatMap((group) =>
    group.flatMap(({ path, inputs, outputs, bias }) => [
      { name: `${path}.weight`, shape: family === 'gpt2' ? [inputs, outputs] : [outputs, inputs] },
      ...(bias ? [{ name: `${path}.bias`, shape: [outputs] }] : []),
    ]),
  );
  const norm = (path: string, bias: boolean): StoredTensor[] => [
    { name: `${path}.weight`, shape: [width] },
    ...(bias ? [{ name: `${path}.bias`, shape: [width] }] : []),
  ];
  const norms = Array.from({ length: configuration.layers }, (_, layer) =>
    normPaths(configuration, layer).flatMap((path) => norm(path, family !== 'llama')),
  ).flat();
  switch (configuration.family) {
    case 'llama':
      return [
        { name: 'model.embed_tokens.weight', shape: [vocabulary, width] },
        ...linear,
        ...norms,
        ...norm('model.norm', false),
        ...(configuration.tied ? [] : [{ name: outputMatrix, shape: [vocabulary, width] }]),
      ];
    case 'gpt2':
      return [
        { name: 'transformer.wte.weight', shape: [vocabulary, width] },
        { name: 'transformer.wpe.weight', shape: [context, width] },
        ...linear,
        ...norms,
        ...norm('transformer.ln_f', true),
        ...(configuration.tied ? [] : [{ name: outputMatrix, shape: [vocabulary, width] }]),
      ];
    case 'bert':
      return [
        { name: 'bert.embeddings.word_embeddings.weight', shape: [vocabulary, width] },
        { name: 'bert.embeddings.position_embeddings.weight', shape: [context, width] },
        { name: 'bert.embeddings.token_type_embeddings.weight', shape: [configuration.segments, width] },
        ...norm('bert.embeddings.LayerNorm', true),
        ...linear,
        ...norms,
        { name: 'bert.pooler.dense.weight', shape: [width, width] },
        { name: 'bert.pooler.dense.bias', shape: [width] },
      ];
  }
}

/** The two norms of a block, in the order of their use. */
export function normPaths({ family }: LanguageConfiguration, layer: number): [string, string] {
  switch (family) {
    case 'llama':
      return [`model.layers.${layer}.input_layernorm`, `model.layers.${layer}.post_attention_layernorm`];
    case 'gpt2':
      return [`transformer.h.${layer}.ln_1`, `transformer.h.${layer}.ln_2`];
    case 'bert':
      return [`bert.encoder.layer.${layer}.attention.output.LayerNorm`, `bert.encoder.layer.${layer}.output.LayerNorm`];
  }
}

/** Where it is no copy of the embedding. */
export const outputMatrix = 'lm_head.weight';

/** Bare models are saved without this prefix. */
export const optionalPrefix = { llama: 'model.', gpt2: 'transformer.', bert: 'bert.' } as const;

/** Numbers in a model, the output matrix counted once where it is tied. */
export function baseParameterCount(configuration: LanguageConfiguration): number {
  return storedTensors(configuration).reduce(
    (total, { shape }) => total + shape.reduce((size, side) => size * side, 1),
    0,
  );
}

/** @throws InputError `tensor-missing`, `tensor-shape` where a checkpoint does not fit its configuration. */
export function requireStored(
  configuration: LanguageConfiguration,
  shapeOf: (name: string) => readonly number[] | undefined,
): void {
  for (const { name, shape } of storedTensors(configuration)) {
    const found = shapeOf(name);
    // A model saved as a classifier has no output matrix, and needs none.
    if (found === undefined && name === outputMatrix) continue;
    if (found === undefined)
      throw new InputError('tensor-missing', `The checkpoint has no tensor ${name}, which its config.json calls for.`);
    if (found.join() !== shape.join())
      throw new InputError(
        'tensor-shape',
        `The checkpoint's ${name} has the shape [${found.join(', ')}] where its config.json says [${shape.join(', ')}].`,
      );
  }
}
