// What the speed of training is measured on: a Llama of about 10M parameters with fixed weights, written as a checkpoint,
// rank 8 on every linear map, and 16 sequences of 128 tokens. Issue 7, "Numbers".

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readConfiguration } from '../../app/training/language/configuration.ts';
import { baseParameterCount, possibleTargets, storedTensors } from '../../app/training/language/modules.ts';
import type { Records } from '../../app/training/records.ts';
import { writeSafetensors } from '../../app/training/safetensors.ts';
import type { LanguageTask } from '../../app/training/types.ts';
import { checkpointHash } from '../../main/host/checkpoint/checkpoint-folder.ts';
import { wordTokenizer } from '../main/checkpoint/word-tokenizer.ts';

const config = {
  model_type: 'llama',
  hidden_size: 320,
  intermediate_size: 864,
  num_hidden_layers: 6,
  num_attention_heads: 5,
  num_key_value_heads: 5,
  head_dim: 64,
  vocab_size: 4096,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_word_embeddings: true,
};
const configuration = readConfiguration(config);
export const [sequences, tokens] = [16, 128];

/** Fixed numbers of about the size of a trained model's. */
export const numbers = (length: number, scale: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => scale * (((i * 7919) % 211) / 105.5 - 1));

export const speedParameters = baseParameterCount(configuration);

/**
 * Float operations of a step without clipping: for each weight and token 2 forward and 2 on the way back to the inputs, and
 * attention's products, of all pairs of tokens. Those of the adapter are not counted.
 */
export function stepOperations(): number {
  const { num_hidden_layers: layers, num_attention_heads: heads, head_dim: headWidth } = config;
  return sequences * tokens * (4 * speedParameters + layers * 12 * tokens * heads * headWidth);
}

export const speedRecords: Records = {
  rows: sequences,
  width: tokens,
  features: Float32Array.from({ length: sequences * tokens }, (_, i) => (i * 104_729) % config.vocab_size),
  labels: new Float32Array(sequences),
  persons: null,
};

/** Writes the checkpoint to a fresh folder and gives the task that adapts it. */
export async function withSpeedModel<T>(work: (task: LanguageTask, folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), 'training-speed-'));
  try {
    const tensors = storedTensors(configuration).map(({ name, shape }) => {
      const size = shape.reduce((product, side) => product * side, 1);
      const values = name.includes('norm') ? new Float32Array(size).fill(1) : numbers(size, 0.05);
      return [name, { shape, values }] as const;
    });
    await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
    await writeFile(path.join(folder, 'tokenizer.json'), JSON.stringify(wordTokenizer(config.vocab_size)));
    await writeFile(path.join(folder, 'model.safetensors'), writeSafetensors(new Map(tensors)));
    return await work(taskOf(await checkpointHash(folder)), folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const taskOf = (hash: string): LanguageTask => ({
  kind: 'causal-lm',
  table: {
    format: 'csv',
    columnNames: null,
    missingTokens: [],
    features: [{ kind: 'text', column: 'text', tokens, pieces: 1, whenMissing: { rule: 'refuse' } }],
    label: { kind: 'none' },
    personColumn: null,
  },
  model: {
    kind: 'adapted-checkpoint',
    checkpoint: { hash, configuration },
    adapter: {
      kind: 'lora',
      rank: 8,
      alpha: 16,
      targets: possibleTargets(configuration),
      freezeA: false,
      seed: 1,
    },
  },
});
