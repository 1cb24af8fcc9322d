// Helper threads: real ones, the same bits with none, one and two of them and with one that is lost, on wasm.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { sumOfBlocks } from '../../../app/training/blocks.ts';
import type { BlockSum } from '../../../app/training/blocks.ts';
import { clippedGradientSum } from '../../../app/training/clipped-sum.ts';
import { initialAdapter } from '../../../app/training/language/adapter.ts';
import { architectureOf, initialParameters } from '../../../app/training/model.ts';
import type { Records } from '../../../app/training/records.ts';
import { isLanguageTask } from '../../../app/training/types.ts';
import { readTable } from '../../../main/host/import/read-table.ts';
import { blockGradient, blockUnits } from '../../../main/trainer/block-gradient.ts';
import { candidates } from '../../../main/trainer/candidates.ts';
import { helperMemory, helpersFor } from '../../../main/trainer/helper-count.ts';
import type { HelperWork } from '../../../main/trainer/helper-count.ts';
import { Helpers } from '../../../main/trainer/helpers.ts';
import { openLanguage } from '../../../main/trainer/language.ts';
import { tinyConfiguration, tinyNotes, tinyTask, writeTinyCheckpoint } from '../checkpoint/tiny-checkpoint.ts';
import { studyContract } from './synthetic.ts';

const { task, training } = await studyContract('heart-mlp');
const architecture = architectureOf(task);
const parameters = initialParameters(task);
const rows = 300;
const width = architecture.layers[0]!.inputs;
const records: Records = {
  rows,
  width,
  features: Float32Array.from({ length: rows * width }, (_, i) => ((i * 7919) % 211) / 105.5 - 1),
  labels: Float32Array.from({ length: rows }, (_, row) => row % 2),
  persons: null,
};
const units = Array.from({ length: rows }, (_, row) => [row]);
const setup = { task, records, units, person: null, clip: training.clippingNorm, counted: true };
const length = parameters.length + 1;
const slots = Int32Array.from({ length: rows }, (_, slot) => (slot % 7 === 0 ? -1 : slot));

test('none, one and two threads give the same bits, and so does one that is lost on the way', async (context) => {
  await candidates.wasm.start();
  const helpers = new Helpers('wasm');
  context.after(() => helpers.close());
  const own = (some: Int32Array, at: Float32Array) =>
    clippedGradientSum({
      architecture,
      records,
      units,
      person: null,
      clip: setup.clip,
      counted: true,
      slots: some,
      parameters: at,
    });
  const sumWith = (count: number) =>
    sumOfBlocks({ parameters, length, slots, block: 32, own, helpers: helpers.prepared(count, setup) });
  const alone = await sumWith(0);
  assert.ok(alone.some((value) => value !== 0));
  const helped: number[] = [];
  for (const count of [1, 2]) {
    const [first, ...rest] = helpers.prepared(count, setup);
    const counted = async (some: Int32Array, at: Float32Array) => {
      const sum = await first!(some, at);
      helped.push(some.length);
      return sum;
    };
    // Enough rounds that a thread is ready and takes its share.
    do
      assert.deepEqual(
        await sumOfBlocks({ parameters, length, slots, block: 32, own, helpers: [counted, ...rest] }),
        alone,
      );
    while (helped.length === 0);
  }
  const lost = sumWith(2);
  await helpers.close();
  assert.deepEqual(await lost, alone);
});

test('texts too: each thread opens the checkpoint itself, and what it cannot open the trainer computes', async (context) => {
  await candidates.wasm.start();
  const folder = mkdtempSync(path.join(tmpdir(), 'helpers-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const texts = tinyTask(await writeTinyCheckpoint(folder), 'causal-lm', { pieces: 2 });
  assert.ok(isLanguageTask(texts));
  const language = await openLanguage(texts, folder);
  context.after(() => language.model.dispose());
  const helpers = new Helpers('wasm');
  context.after(() => helpers.close());
  const file = path.join(folder, 'notes.csv');
  writeFileSync(file, tinyNotes(0));
  const notes = await readTable(file, texts.table, { labels: true, tokenise: language.tokenise });
  const textSetup = {
    task: texts,
    records: notes,
    units: Array.from({ length: notes.rows }, (_, row) => [row]),
    person: null,
    clip: 0.5,
    counted: true,
  };
  const at = initialAdapter(language.layout).map((value, i) => value + 0.1 * Math.sin(i));
  const own = blockGradient(textSetup, language);
  const some = Int32Array.from({ length: 2 * notes.rows }, (_, slot) => (slot % 5 === 0 ? -1 : slot % notes.rows));
  const sumWith = (helping: readonly BlockSum[]) =>
    sumOfBlocks({ parameters: at, length: at.length + 1, slots: some, block: 2, own, helpers: helping });
  const alone = await sumWith([]);
  assert.ok(alone.some((value) => value !== 0));
  const [helper, second] = helpers.prepared(2, { ...textSetup, checkpointFolder: folder });
  // The thread by itself, so that it surely was asked.
  assert.deepEqual(await helper!(some.slice(1, 3), at), await own(some.slice(1, 3), at));
  assert.deepEqual(await sumWith([helper!, second!]), alone);
  const [lost] = helpers.prepared(1, { ...textSetup, checkpointFolder: path.join(folder, 'nowhere') });
  await assert.rejects(lost!(some, at));
  assert.deepEqual(await sumWith([lost!]), alone);
  // A checkpoint that is not the one of the terms is none either.
  writeFileSync(path.join(folder, 'config.json'), '{}');
  const [late] = helpers.prepared(1, { ...textSetup, checkpointFolder: `${folder}/.` });
  await assert.rejects(late!(some, at));
});

test('helpers are for wasm, for work that is worth them, and never more than blocks', () => {
  const large = { parameters: 1_000_000, slots: 1024, blocks: 4, steps: 1 };
  const cores = (count: number) => ({ cores: count, memory: 0 });
  assert.equal(helpersFor('wasm', large, cores(8)), 3);
  assert.equal(helpersFor('wasm', large, cores(2)), 1);
  assert.equal(helpersFor('wasm', large, cores(1)), 0);
  assert.equal(helpersFor('tfjs-node', large, cores(8)), 0);
  assert.equal(helpersFor('wasm', { ...large, parameters: 16 }, cores(8)), 0);
});

test('helpers of a language task are no more than fit beside the trainer', () => {
  const configuration = {
    ...tinyConfiguration,
    vocabulary: 32_000,
    width: 768,
    layers: 12,
    heads: 12,
    keyValueHeads: 12,
    headWidth: 64,
    inner: 2048,
  };
  const each = helperMemory(configuration);
  // 134 million numbers, and once more those of the embedding; the rest is a thread and a pass.
  assert.ok(each > 4 * (134e6 + 24e6) && each < 2e9, String(each));
  const work = { parameters: 1e6, slots: 16, blocks: 16, steps: 1, language: { configuration, unitTokens: 128 } };
  const count = (memory: number, change: Partial<HelperWork> = {}) =>
    helpersFor('wasm', { ...work, ...change }, { cores: 4, memory });
  assert.equal(count(64e9), 3);
  assert.equal(count(2 * each), 1);
  assert.equal(count(2 * each - 1), 0);
  assert.equal(count(64e9, { slots: 2 }), 0, 'too little to do');
  const wide = { ...configuration, width: 2048, layers: 22, inner: 5632 };
  assert.equal(count(64e9, { language: { configuration: wide, unitTokens: 128 } }), 0, 'more than wasm addresses');
});

test('a block of texts has 512 tokens at most, whatever the microbatch; of rows it is the microbatch', () => {
  assert.equal(blockUnits({ units: 16 }, null), 16);
  assert.equal(blockUnits({ units: 16 }, 128), 4);
  assert.equal(blockUnits({ units: 2 }, 128), 2);
  assert.equal(blockUnits({ units: 16 }, 1000), 1);
});
