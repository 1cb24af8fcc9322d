// `consilience model inspect | generate`: what a checkpoint in Hugging Face layout is, with the hash that a contract pins,
// and a text from it, with or without an adapter. Nothing is sent anywhere.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { tidy } from '@tensorflow/tfjs-core';
import { InputError } from '../../app/errors.ts';
import type { AdapterOnDevice } from '../../app/training/language/adapter.ts';
import { generate } from '../../app/training/language/generate.ts';
import type { Choice } from '../../app/training/language/generate.ts';
import { nextTokens, tokenLosses } from '../../app/training/language/loss.ts';
import { forwardPass, loadLanguageModel } from '../../app/training/language/model.ts';
import type { LanguageModel } from '../../app/training/language/model.ts';
import { baseParameterCount } from '../../app/training/language/modules.ts';
import { checkpointHash, openCheckpoint } from '../host/checkpoint/checkpoint-folder.ts';
import type { CheckpointFolder } from '../host/checkpoint/checkpoint-folder.ts';
import { requireTaskCheckpoint } from '../host/checkpoint/task-checkpoint.ts';
import { openAdapter } from '../host/checkpoint/adapter-folder.ts';
import { openModelFolder } from '../host/model/folder.ts';
import { systemRandom } from '../host/machine.ts';
import { chooseBackend } from '../trainer/candidates.ts';
import { numberOption, requiredOption, stringOption, UsageError } from './command.ts';
import type { Command, Invocation } from './command.ts';

export const languageOptions: Command['options'] = {
  text: { type: 'string', value: 'TEXT', help: 'inspect: its token ids, and the loss on it.' },
  prompt: { type: 'string', value: 'TEXT', help: 'generate: what the text begins with.' },
  adapter: { type: 'string', value: 'DIR', help: 'An adapter in PEFT layout to use beside the checkpoint.' },
  tokens: { type: 'string', value: 'N', help: 'generate: tokens to add at most; 50 unless said.' },
  temperature: { type: 'string', value: 'T', help: 'generate: samples instead of taking the likeliest token.' },
  among: { type: 'string', value: 'N', help: 'generate: samples among the N likeliest tokens; 40 unless said.' },
};

type Opened = {
  readonly checkpoint: CheckpointFolder;
  readonly model: LanguageModel;
  readonly adapter: AdapterOnDevice | null;
};

async function withModel<Result>(
  rest: readonly string[],
  { options }: Invocation,
  action: 'inspect' | 'generate',
  use: (opened: Opened) => Promise<Result>,
): Promise<Result> {
  const [folder, ...others] = rest;
  if (folder === undefined || others.length > 0)
    throw new UsageError(`Say which checkpoint: model ${action} CHECKPOINT_DIR …`);
  const checkpoint = await openCheckpoint(folder);
  try {
    await chooseBackend();
    const model = await loadLanguageModel(checkpoint.configuration, checkpoint, { training: false });
    const adapterFolder = stringOption(options, 'adapter');
    // A study's export says beside which checkpoint it was trained; an adapter from elsewhere does not.
    if (adapterFolder !== undefined && existsSync(join(adapterFolder, 'card.json')))
      await requireTaskCheckpoint((await openModelFolder(adapterFolder)).task, folder);
    const adapter =
      adapterFolder === undefined ? null : (await openAdapter(adapterFolder, checkpoint.configuration)).onDevice();
    try {
      return await use({ checkpoint, model, adapter });
    } finally {
      adapter?.dispose();
      model.dispose();
    }
  } finally {
    await checkpoint.close();
  }
}

export async function inspected(rest: readonly string[], invocation: Invocation): Promise<0> {
  const { options, json, out } = invocation;
  const text = stringOption(options, 'text') ?? null;
  await withModel(rest, invocation, 'inspect', async ({ checkpoint, model, adapter }) => {
    const { configuration, tokenizer, folder } = checkpoint;
    const ids = text === null ? null : tokenizer.encode(text);
    const report = {
      architecture: configuration,
      parameters: baseParameterCount(configuration),
      hash: await checkpointHash(folder),
      tokenizer: { kind: tokenizer.kind, vocabulary: tokenizer.vocabulary },
      ids,
      loss: ids === null ? null : await lossOn(model, adapter, ids),
    };
    if (json) {
      out(`${JSON.stringify(report)}\n`);
      return;
    }
    const { family, layers, width, vocabulary, context } = configuration;
    const lines = [
      `A ${family} model of ${report.parameters} parameters: ${layers} layers of width ${width}, vocabulary ${vocabulary}, context ${context}.`,
      `Hash of the folder, as study terms pin it: ${report.hash}`,
      `Tokenizer: ${tokenizer.kind}, ${tokenizer.vocabulary} tokens.`,
    ];
    if (ids !== null) lines.push(`Ids: ${ids.join(' ')}`);
    if (report.loss !== null) lines.push(`Mean loss of the next token: ${report.loss.toPrecision(8)}`);
    out([...lines, ''].join('\n'));
  });
  return 0;
}

/** Mean over the tokens that have a next one; null for an encoder, or fewer than two tokens. */
async function lossOn(model: LanguageModel, adapter: AdapterOnDevice | null, ids: number[]): Promise<number | null> {
  if (model.head === null || ids.length < 2) return null;
  if (ids.length > model.configuration.context)
    throw new InputError(
      'text-too-long',
      `The text has ${ids.length} tokens; this model reads ${model.configuration.context} at most. Give a shorter one.`,
    );
  const batch = { sequences: 1, length: ids.length, ids: Int32Array.from(ids), real: Int32Array.of(ids.length) };
  const losses = tidy(() => {
    const { targets, follows } = nextTokens(batch);
    return tokenLosses(model, forwardPass(model, batch, { adapter }).hidden, targets, follows);
  });
  const values = await losses.data<'float32'>();
  losses.dispose();
  return values.reduce((total, value) => total + value, 0) / (ids.length - 1);
}

export async function generated(rest: readonly string[], invocation: Invocation): Promise<0> {
  const { options, json, out } = invocation;
  const prompt = requiredOption(options, 'prompt');
  const most = numberOption(options, 'tokens', { least: 1, most: 100_000, whole: true }) ?? 50;
  const temperature = numberOption(options, 'temperature', { least: 0, most: 100, aboveLeast: true });
  const among = numberOption(options, 'among', { least: 1, most: 1_000_000, whole: true });
  if (among !== undefined && temperature === undefined) throw new UsageError('--among needs --temperature.');
  const choice: Choice =
    temperature === undefined
      ? { kind: 'greedy' }
      : { kind: 'sampled', temperature, among: among ?? 40, random: systemRandom };
  await withModel(rest, invocation, 'generate', async ({ checkpoint, model, adapter }) => {
    const { tokenizer, endTokens, configuration } = checkpoint;
    if (model.head === null)
      throw new InputError(
        'model-no-generator',
        'This model reads texts but cannot continue them: it has no output matrix.',
      );
    // A closing special token would end the text before it begins.
    const ids = [...tokenizer.before, ...tokenizer.encode(prompt, { plain: true })];
    if (ids.length === 0)
      throw new InputError('prompt-empty', 'The prompt has no token to begin with. Give some text.');
    if (ids.length > configuration.context)
      throw new InputError(
        'text-too-long',
        `The prompt has ${ids.length} tokens; this model reads ${configuration.context} at most. Give a shorter one.`,
      );
    const added = await generate(model, { prompt: ids, most, ends: endTokens, choice, adapter });
    const text = tokenizer.decode(added);
    out(json ? `${JSON.stringify({ prompt, ids, added, text })}\n` : `${text}\n`);
  });
  return 0;
}
