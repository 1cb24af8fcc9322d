// Folders in Hugging Face layout: shards, prefixes, half precision, the pinned hash, and what is refused and why.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { InputError, RefusalError } from '../../../app/errors.ts';
import { readConfiguration } from '../../../app/training/language/configuration.ts';
import { storedTensors } from '../../../app/training/language/modules.ts';
import { writeSafetensors } from '../../../app/training/safetensors.ts';
import type { Tensor } from '../../../app/training/safetensors.ts';
import { checkpointHash, openCheckpoint, requireCheckpoint } from '../../../main/host/checkpoint/checkpoint-folder.ts';
import { shardsOf } from '../../../main/host/checkpoint/shard-index.ts';
import { wordTokenizer } from './word-tokenizer.ts';

const root = mkdtempSync(path.join(tmpdir(), 'checkpoint-'));
after(() => rmSync(root, { recursive: true, force: true }));

const config = {
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 6,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 9,
  max_position_embeddings: 16,
  tie_word_embeddings: true,
  eos_token_id: [2, 3],
};

function tensors(): Map<string, Tensor> {
  return new Map(
    storedTensors(readConfiguration(config)).map(({ name, shape }, at) => {
      const size = shape.reduce((total, side) => total * side, 1);
      return [name, { shape, values: Float32Array.from({ length: size }, (_, i) => Math.fround(at + i / 64)) }];
    }),
  );
}

let folders = 0;
function folderOf(files: { readonly [name: string]: unknown }): string {
  const folder = mkdtempSync(path.join(root, `${folders++}-`));
  const all: { readonly [name: string]: unknown } = {
    'config.json': config,
    'tokenizer.json': wordTokenizer(9),
    ...files,
  };
  for (const [name, value] of Object.entries(all))
    if (value !== null)
      writeFileSync(path.join(folder, name), value instanceof Uint8Array ? value : JSON.stringify(value));
  return folder;
}

const whole = (format: 'F32' | 'F16' | 'BF16' = 'F32'): Uint8Array => writeSafetensors(tensors(), {}, format);

function sharded(change: { readonly [name: string]: string } = {}): { readonly [name: string]: unknown } {
  const entries = [...tensors()];
  const [first, second] = [entries.slice(0, 4), entries.slice(4)];
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
  const weightMap = Object.fromEntries([first, second].flatMap((part, i) => part.map(([name]) => [name, names[i]])));
  return {
    [names[0]]: writeSafetensors(new Map(first)),
    [names[1]]: writeSafetensors(new Map(second)),
    'model.safetensors.index.json': { metadata: {}, weight_map: { ...weightMap, ...change } },
  };
}

test('one file, shards and a bare model hold the same tensors', async () => {
  const bare = new Map([...tensors()].map(([name, tensor]) => [name.replace(/^model\./, ''), tensor]));
  for (const files of [{ 'model.safetensors': whole() }, sharded(), { 'model.safetensors': writeSafetensors(bare) }]) {
    const checkpoint = await openCheckpoint(folderOf(files));
    for (const [name, { shape, values }] of tensors()) {
      assert.deepEqual(checkpoint.shapeOf(name), shape);
      assert.deepEqual((await checkpoint.read(name)).values, values);
    }
    assert.deepEqual([...checkpoint.endTokens], [2, 3]);
    await checkpoint.close();
  }
});

test('half precision is read to its own precision', async () => {
  for (const [format, error] of [
    ['F16', 2 ** -11],
    ['BF16', 2 ** -8],
  ] as const) {
    const checkpoint = await openCheckpoint(folderOf({ 'model.safetensors': whole(format) }));
    for (const [name, { values }] of tensors()) {
      const read = await checkpoint.read(name);
      for (const [i, value] of values.entries())
        assert.ok(Math.abs(read.values[i]! - value) <= error * Math.abs(value));
    }
    await checkpoint.close();
  }
});

test('the hash changes with every file that matters, and with no other', async () => {
  const folder = folderOf({ 'model.safetensors': whole() });
  const hash = await checkpointHash(folder);
  await requireCheckpoint(folder, hash);
  const copy = path.join(root, 'copy');
  cpSync(folder, copy, { recursive: true });
  writeFileSync(path.join(copy, 'README.md'), 'more');
  assert.equal(await checkpointHash(copy), hash);
  for (const name of ['config.json', 'tokenizer.json', 'model.safetensors']) {
    const own = path.join(copy, name);
    const before = readFileSync(own);
    writeFileSync(own, Buffer.concat([before, Buffer.from(' ')]));
    assert.notEqual(await checkpointHash(copy), hash, name);
    await assert.rejects(requireCheckpoint(copy, hash), RefusalError);
    writeFileSync(own, before);
  }
  const shards = folderOf(sharded());
  const shardHash = await checkpointHash(shards);
  writeFileSync(path.join(shards, 'model-00002-of-00002.safetensors'), whole());
  assert.notEqual(await checkpointHash(shards), shardHash);
});

const refused: readonly (readonly [string, { readonly [name: string]: unknown }, string, RegExp])[] = [
  ['no weights', {}, 'checkpoint-missing', /no model\.safetensors/],
  ['no tokenizer', { 'tokenizer.json': null }, 'checkpoint-missing', /no tokenizer\.json/],
  ['config no JSON', { 'config.json': Buffer.from('{') }, 'checkpoint-invalid', /config\.json/],
  ['another family', { 'config.json': { ...config, model_type: 'mamba' } }, 'checkpoint-unsupported', /model_type/],
  ['another activation', { 'config.json': { ...config, hidden_act: 'gelu' } }, 'checkpoint-unsupported', /hidden_act/],
  [
    'another rope',
    { 'config.json': { ...config, rope_scaling: { rope_type: 'yarn', factor: 2 } } },
    'checkpoint-unsupported',
    /rope scaling/,
  ],
  ['a huge layer count', { 'config.json': { ...config, num_hidden_layers: 1e9 } }, 'checkpoint-unsupported', /layers/],
  ['a tokenizer of no kind', { 'tokenizer.json': { model: { type: 'X' } } }, 'tokenizer-unusable', /known kind/],
  ['a broken file', { 'model.safetensors': whole().subarray(0, 500) }, 'safetensors-malformed', /header|outside/],
  ['a path as shard', sharded({ 'model.norm.weight': '../x.safetensors' }), 'checkpoint-invalid', /plain file name/],
  [
    'an index that lies',
    sharded({ 'model.extra.weight': 'model-00001-of-00002.safetensors' }),
    'checkpoint-invalid',
    /index says/,
  ],
];

for (const [name, files, code, reason] of refused)
  test(`refused: ${name}`, async () => {
    await assert.rejects(
      openCheckpoint(
        folderOf({ ...(code === 'checkpoint-missing' ? {} : { 'model.safetensors': whole() }), ...files }),
      ),
      (error: unknown) => error instanceof InputError && error.code === code && reason.test(error.message),
    );
  });

test('an index without shards is refused', () => {
  for (const index of [null, [], {}, { weight_map: [] }, { weight_map: {} }, { weight_map: { a: 1 } }])
    assert.throws(() => shardsOf(index), InputError);
});
