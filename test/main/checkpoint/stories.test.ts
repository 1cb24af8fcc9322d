// The small real model against PyTorch and transformers: ids, loss, logits and greedy text (../shared/models/README.md),
// by the command and by the forward pass itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memory, tidy } from '@tensorflow/tfjs-core';
import { forwardPass, loadLanguageModel, logitsOf, rowsFrom } from '../../../app/training/language/model.ts';
import { generate } from '../../../app/training/language/generate.ts';
import { modelCommand } from '../../../main/cli/model.ts';
import { runCommand } from '../../../main/cli/command.ts';
import { openCheckpoint } from '../../../main/host/checkpoint/checkpoint-folder.ts';
import { systemRandom } from '../../../main/host/machine.ts';
import { chooseBackend } from '../../../main/trainer/candidates.ts';
import { storiesFolder, storiesMissing } from './stories.ts';

const text = 'Lily and Tom went to the park. They saw a big red ball.';
const ids = [
  1, 317, 269, 274, 287, 263, 377, 267, 265, 282, 295, 433, 426, 342, 394, 261, 370, 352, 266, 268, 388, 426,
];
const loss = 0.94642365;
const firstLogits = [-6.56131792, 2.82024121, -6.56294632, -6.56046963, -6.56161547];
const continuation =
  ', there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.';

async function told(...args: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
  let printed = '';
  const add = (part: string): void => {
    printed += part;
  };
  return { code: await runCommand(modelCommand, args, add, add), text: printed };
}

test('inspect says what the model is, and ids and loss of a text', { skip: storiesMissing }, async () => {
  const { code, text: printed } = await told('inspect', storiesFolder, '--text', text, '--json');
  assert.equal(code, 0);
  const report = JSON.parse(printed) as {
    architecture: { family: string };
    parameters: number;
    hash: string;
    tokenizer: { kind: string };
    ids: number[];
    loss: number;
  };
  assert.deepEqual(report.ids, ids);
  assert.ok(Math.abs(report.loss - loss) < 1e-5, String(report.loss));
  assert.equal(report.architecture.family, 'llama');
  assert.equal(report.parameters, 260_032);
  assert.match(report.hash, /^[0-9a-f]{64}$/);
  assert.equal(report.tokenizer.kind, 'BPE');
  assert.match((await told('inspect', storiesFolder)).text, /llama model of 260032 parameters/);
});

test('logits are those of transformers', { skip: storiesMissing }, async () => {
  await chooseBackend();
  const checkpoint = await openCheckpoint(storiesFolder);
  const model = await loadLanguageModel(checkpoint.configuration, checkpoint, { training: false });
  const logits = tidy(() => {
    const batch = { sequences: 1, length: ids.length, ids: Int32Array.from(ids), real: Int32Array.of(ids.length) };
    return logitsOf(model, rowsFrom(forwardPass(model, batch).hidden, ids.length - 1, 1));
  });
  const values = await logits.data();
  for (const [i, expected] of firstLogits.entries()) assert.ok(Math.abs(values[i]! - expected) < 1e-4);
  logits.dispose();
  // Sampling among one is greedy, and the cache is given back.
  const before = memory().numTensors;
  const begin = { prompt: ids.slice(0, 5), most: 8, ends: checkpoint.endTokens };
  const greedy = await generate(model, { ...begin, choice: { kind: 'greedy' } });
  const sampled = await generate(model, {
    ...begin,
    choice: { kind: 'sampled', temperature: 1, among: 1, random: systemRandom },
  });
  assert.deepEqual(sampled, greedy);
  assert.equal(memory().numTensors, before);
  model.dispose();
  await checkpoint.close();
});

test('generate continues greedily as transformers does', { skip: storiesMissing }, async () => {
  const { code, text: printed } = await told(
    'generate',
    storiesFolder,
    '--prompt',
    'Once upon a time',
    '--tokens',
    '62',
    '--json',
  );
  assert.equal(code, 0);
  const { text: added } = JSON.parse(printed) as { text: string };
  assert.ok(added.startsWith(continuation), added);
  const sampled = await told('generate', storiesFolder, '--prompt', 'Once', '--tokens', '3', '--temperature', '0.8');
  assert.equal(sampled.code, 0);
});

test('bad input is said plainly', { skip: storiesMissing }, async () => {
  for (const [args, code, reason] of [
    [['inspect'], 2, /CHECKPOINT_DIR/],
    [['inspect', '/nowhere'], 1, /no model in Hugging Face layout/],
    [['generate', storiesFolder], 2, /--prompt/],
    [['generate', storiesFolder, '--prompt', 'a', '--among', '3'], 2, /--temperature/],
    [['generate', storiesFolder, '--prompt', 'a', '--adapter', storiesFolder], 1, /no adapter in PEFT layout/],
    [['inspect', storiesFolder, '--text', 'a b '.repeat(600)], 1, /tokens; this model reads 512/],
  ] as const) {
    const answer = await told(...args);
    assert.equal(answer.code, code);
    assert.match(answer.text, reason);
  }
});
