// What a checkpoint's config.json (Hugging Face layout) says of a Llama, GPT-2 or BERT model, in one plain form that a
// contract can hold. Settings that change the mathematics and are not built here are refused by name, never ignored.
// Layout: transformers' LlamaConfig, GPT2Config and BertConfig. Design 5, "Tasks and models".

import { InputError } from '../../errors.ts';

export type RopeScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    };

/** What every family states. */
type Transformer = {
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly inner: number;
  readonly context: number;
  readonly normEpsilon: number;
};

export type LlamaConfiguration = Transformer & {
  readonly family: 'llama';
  readonly keyValueHeads: number;
  readonly headWidth: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | null;
  /** Whether the output matrix is the embedding. */
  readonly tied: boolean;
  readonly attentionBias: boolean;
  readonly innerBias: boolean;
};

export type Gpt2Configuration = Transformer & {
  readonly family: 'gpt2';
  readonly tied: boolean;
};

export type BertConfiguration = Transformer & {
  readonly family: 'bert';
  readonly segments: number;
};

export type LanguageConfiguration = LlamaConfiguration | Gpt2Configuration | BertConfiguration;

type Json = { readonly [name: string]: unknown };

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function unusable(why: string): InputError {
  return new InputError('checkpoint-unsupported', `config.json describes a model that cannot be used here: ${why}.`);
}

/** Reads members with their types; a missing one has the default of transformers, or is named as missing. */
class Members {
  readonly #json: Json;
  constructor(json: Json) {
    this.#json = json;
  }
  value(name: string): unknown {
    const value = Object.hasOwn(this.#json, name) ? this.#json[name] : undefined;
    return value === null ? undefined : value;
  }
  count(name: string, most: number, standard?: number): number {
    const value = this.value(name) ?? standard;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > most)
      throw unusable(`"${name}" must be a whole number from 1 to ${most}`);
    return value;
  }
  number(name: string, standard: number): number {
    const value = this.value(name) ?? standard;
    if (typeof value !== 'number' || !(value > 0 && value < 1e12)) throw unusable(`"${name}" must be a number above 0`);
    return value;
  }
  flag(name: string, standard: boolean): boolean {
    const value = this.value(name) ?? standard;
    if (typeof value !== 'boolean') throw unusable(`"${name}" must be true or false`);
    return value;
  }
  /** Refuses every value but those that are built. */
  only(name: string, allowed: readonly unknown[]): void {
    const value = this.value(name);
    if (value !== undefined && !allowed.includes(value))
      throw unusable(`"${name}" is not ${allowed.map((one) => JSON.stringify(one)).join(' or ')}`);
  }
}

const mostLayers = 1024;
const mostWidth = 2 ** 20;
const mostContext = 2 ** 24;
const mostVocabulary = 2 ** 24;

/** @throws InputError `checkpoint-unsupported`. */
export function readConfiguration(json: unknown): LanguageConfiguration {
  if (!isObject(json)) throw unusable('it is no JSON object');
  const members = new Members(json);
  const type = members.value('model_type');
  const configuration =
    type === 'llama' ? llama(members) : type === 'gpt2' ? gpt2(members) : type === 'bert' ? bert(members) : null;
  if (configuration === null) throw unusable('"model_type" is none of "llama", "gpt2", "bert"');
  if (configuration.family !== 'llama' && configuration.width % configuration.heads !== 0)
    throw unusable('the width is no multiple of the number of heads');
  return configuration;
}

function llama(members: Members): LlamaConfiguration {
  members.only('hidden_act', ['silu']);
  members.only('pretraining_tp', [1]);
  const width = members.count('hidden_size', mostWidth);
  const heads = members.count('num_attention_heads', mostWidth);
  const keyValueHeads = members.count('num_key_value_heads', mostWidth, heads);
  if (heads % keyValueHeads !== 0) throw unusable('the heads are no multiple of the key/value heads');
  const headWidth = members.count('head_dim', mostWidth, Math.max(1, Math.floor(width / heads)));
  if (headWidth % 2 !== 0) throw unusable('the width of a head is odd, which rotary positions cannot have');
  const rope = ropeOf(members);
  return {
    family: 'llama',
    vocabulary: members.count('vocab_size', mostVocabulary),
    width,
    layers: members.count('num_hidden_layers', mostLayers),
    heads,
    keyValueHeads,
    headWidth,
    inner: members.count('intermediate_size', mostWidth),
    context: members.count('max_position_embeddings', mostContext, 2048),
    normEpsilon: members.number('rms_norm_eps', 1e-6),
    ...rope,
    tied: members.flag('tie_word_embeddings', false),
    attentionBias: members.flag('attention_bias', false),
    innerBias: members.flag('mlp_bias', false),
  };
}

/** transformers 4 says `rope_theta` and `rope_scaling`, transformers 5 says `rope_parameters`. */
function ropeOf(members: Members): Pick<LlamaConfiguration, 'ropeTheta' | 'ropeScaling'> {
  const [newer, older] = [members.value('rope_parameters'), members.value('rope_scaling')];
  const said = newer ?? older ?? {};
  if (!isObject(said)) throw unusable('its rope parameters are no object');
  const rope = new Members(said);
  const ropeTheta =
    rope.value('rope_theta') === undefined ? members.number('rope_theta', 10_000) : rope.number('rope_theta', 10_000);
  if (rope.value('partial_rotary_factor') !== undefined) rope.only('partial_rotary_factor', [1]);
  const kind = rope.value('rope_type') ?? rope.value('type') ?? 'default';
  switch (kind) {
    case 'default':
      return { ropeTheta, ropeScaling: null };
    case 'linear':
      return { ropeTheta, ropeScaling: { kind: 'linear', factor: rope.number('factor', Number.NaN) } };
    case 'llama3': {
      const scaling = {
        kind: 'llama3',
        factor: rope.number('factor', Number.NaN),
        lowFrequencyFactor: rope.number('low_freq_factor', Number.NaN),
        highFrequencyFactor: rope.number('high_freq_factor', Number.NaN),
        originalContext: rope.count('original_max_position_embeddings', mostContext),
      } as const;
      if (!(scaling.lowFrequencyFactor < scaling.highFrequencyFactor))
        throw unusable('"low_freq_factor" is not below "high_freq_factor"');
      return { ropeTheta, ropeScaling: scaling };
    }
    default:
      throw unusable('its rope scaling is none of "default", "linear", "llama3"');
  }
}

function gpt2(members: Members): Gpt2Configuration {
  members.only('activation_function', ['gelu_new', 'gelu_pytorch_tanh']);
  members.only('scale_attn_weights', [true]);
  members.only('scale_attn_by_inverse_layer_idx', [false]);
  members.only('add_cross_attention', [false]);
  const width = members.count('n_embd', mostWidth, 768);
  return {
    family: 'gpt2',
    vocabulary: members.count('vocab_size', mostVocabulary, 50_257),
    width,
    layers: members.count('n_layer', mostLayers, 12),
    heads: members.count('n_head', mostWidth, 12),
    inner: members.count('n_inner', mostWidth, 4 * width),
    context: members.count('n_positions', mostContext, 1024),
    normEpsilon: members.number('layer_norm_epsilon', 1e-5),
    tied: members.flag('tie_word_embeddings', true),
  };
}

function bert(members: Members): BertConfiguration {
  members.only('hidden_act', ['gelu']);
  members.only('position_embedding_type', ['absolute']);
  members.only('is_decoder', [false]);
  return {
    family: 'bert',
    vocabulary: members.count('vocab_size', mostVocabulary, 30_522),
    width: members.count('hidden_size', mostWidth, 768),
    layers: members.count('num_hidden_layers', mostLayers, 12),
    heads: members.count('num_attention_heads', mostWidth, 12),
    inner: members.count('intermediate_size', mostWidth, 3072),
    context: members.count('max_position_embeddings', mostContext, 512),
    normEpsilon: members.number('layer_norm_eps', 1e-12),
    segments: members.count('type_vocab_size', mostVocabulary, 2),
  };
}

/** Key/value heads and width of a head, for every family. */
export function attentionShape(configuration: LanguageConfiguration): {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headWidth: number;
} {
  const { heads, width } = configuration;
  return configuration.family === 'llama' ? configuration : { heads, keyValueHeads: heads, headWidth: width / heads };
}
