// A small Llama checkpoint that a test makes, texts for it, and study tasks that adapt it.

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Task } from '../../../app/study/task.ts';
import { readConfiguration } from '../../../app/training/language/configuration.ts';
import { storedTensors } from '../../../app/training/language/modules.ts';
import { writeSafetensors } from '../../../app/training/safetensors.ts';
import { splitMix64 } from '../../../app/training/split-mix.ts';
import { checkpointHash } from '../../../main/host/checkpoint/checkpoint-folder.ts';
import { wordTokenizer } from './word-tokenizer.ts';

const config = {
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 12,
  max_position_embeddings: 16,
  tie_word_embeddings: true,
};
export const tinyConfiguration = readConfiguration(config);

/** Writes the checkpoint, whose weights follow from `seed`, and gives its hash. */
export async function writeTinyCheckpoint(folder: string, seed = 3): Promise<string> {
  const next = splitMix64(seed);
  const tensors = storedTensors(tinyConfiguration).map(({ name, shape }) => {
    const size = shape.reduce((total, side) => total * side, 1);
    const centre = name.includes('norm') ? 1 : 0;
    return [
      name,
      { shape, values: Float32Array.from({ length: size }, () => centre + 0.4 * (2 * next() - 1)) },
    ] as const;
  });
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
  await writeFile(path.join(folder, 'tokenizer.json'), JSON.stringify(wordTokenizer(12)));
  await writeFile(path.join(folder, 'model.safetensors'), writeSafetensors(new Map(tensors)));
  return checkpointHash(folder);
}

/** 24 rows of a site: words rise by one in texts of the class "up" and fall by one in those of "down". */
export function tinyNotes(site: number): string {
  const lines = Array.from({ length: 24 }, (_, row) => {
    const up = (row + site) % 2 === 0;
    const words = Array.from({ length: 5 }, (_, i) => `w${2 + ((site + 3 * row + (up ? i : 20 - i)) % 10)}`);
    return `p${Math.floor(row / 2)},${words.join(' ')},${up ? 'up' : 'down'}`;
  });
  return ['who,note,kind', ...lines].join('\n');
}

export const tinyModel = (hash: string): Task['model'] => ({
  kind: 'adapted-checkpoint',
  checkpoint: { hash, configuration: tinyConfiguration, source: 'tiny-words, revision 3, by the lead' },
  adapter: {
    kind: 'lora',
    rank: 2,
    alpha: 4,
    targets: ['q_proj', 'v_proj', 'up_proj', 'down_proj'],
    freezeA: false,
    seed: 1,
  },
});

export function tinyTask(
  hash: string,
  kind: 'causal-lm' | 'text-classification',
  change: { readonly pieces?: number; readonly person?: boolean } = {},
): Task {
  const tokens = change.pieces === undefined ? 8 : 3;
  return {
    kind,
    table: {
      format: 'csv',
      columnNames: null,
      missingTokens: [],
      features: [{ kind: 'text', column: 'note', tokens, pieces: change.pieces ?? 1, whenMissing: { rule: 'refuse' } }],
      label: kind === 'causal-lm' ? { kind: 'none' } : { kind: 'classes', column: 'kind', classes: ['up', 'down'] },
      personColumn: change.person === true ? 'who' : null,
    },
    model: tinyModel(hash),
  };
}
