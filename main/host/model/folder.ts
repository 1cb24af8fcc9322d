// An exported model: model.safetensors, task.json, contract.json, card.json, card.md in one folder, which for a language
// study is an adapter in PEFT layout as well. The card names the
// SHA-256 of the others and contract.json hashes to the study, so damage shows; a forger can make a new folder, a signature
// on it is the contract's business, not the card's. Layout of the tensors: app/training/model.ts.

import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { fromUtf8, toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { canonicalJson, parseCanonical } from '../../../app/encoding/canonical-json.ts';
import { InputError, RefusalError } from '../../../app/errors.ts';
import { hex32 } from '../../../app/study/fields.ts';
import { parseDocument } from '../../../app/study/parse.ts';
import { taskSchema } from '../../../app/study/task.ts';
import type { Task } from '../../../app/study/task.ts';
import { parameterCount, parameterTensors } from '../../../app/training/model.ts';
import { languageLayout } from '../../../app/training/language/task.ts';
import { readSafetensors, writeSafetensors } from '../../../app/training/safetensors.ts';
import type { Tensor } from '../../../app/training/safetensors.ts';
import { isLanguageTask } from '../../../app/training/types.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { adapterFiles, adapterNames } from '../checkpoint/adapter-folder.ts';
import { diskError } from '../disk/disk-error.ts';
import { readFolderPart } from '../disk/folder-part.ts';
import { nodeCipher } from '../machine.ts';
import { cardJson, cardText, modelCard, modelCardSchema } from './card.ts';
import type { ModelCard } from './card.ts';
import { requireConsistent } from './run.ts';
import type { ModelRun } from './run.ts';

const taskFileSchema = z.strictObject({
  format: z.literal('consilience/model-task/1'),
  contractHash: hex32,
  task: taskSchema,
});

const [modelName, taskName, contractName] = ['model.safetensors', 'task.json', 'contract.json'] as const;

const sha256 = (bytes: Uint8Array): string => toHex(nodeCipher.sha256(bytes));

/**
 * Writes the model into an empty or new folder. `notReleased`: the card says so in its first line.
 * @throws RefusalError `not-a-release` for a seeded run without `notReleased`; InputError `folder-not-empty`,
 * `run-inconsistent`; UnavailableError.
 */
export async function exportModel(
  run: ModelRun,
  folder: string,
  { notReleased }: { readonly notReleased: boolean },
): Promise<ModelCard> {
  requireConsistent(run);
  if (run.seeded && !notReleased)
    throw new RefusalError(
      'not-a-release',
      'This run was seeded, so nothing in it is private and it cannot be released. Export it with --not-released for your own use, or run the study without --seed.',
    );
  const { contract, contractHash, released, model } = run;
  // Without a newline, so that sha256sum on it prints the contract's hash.
  const whole = { contract: utf8(canonicalJson(contract)), contractHash, task: contract.task, model, released };
  return writeModel(folder, whole, (hashes) => modelCard(run, !notReleased, hashes));
}

/**
 * An exported model with other parameters, such as a head of one institution's own, which never leaves it.
 * @param warning first line of the card @throws as exportModel
 */
export async function writePersonalModel(
  opened: OpenedModel,
  folder: string,
  { parameters, warning }: { readonly parameters: Float32Array; readonly warning: string },
): Promise<ModelCard> {
  const { card, task, contract } = opened;
  const { contractHash } = card.study;
  const whole = { contract, contractHash, task, model: card.model.hash, released: parameters };
  return writeModel(folder, whole, (files) => {
    const limits = [warning, ...card.use.limits];
    return { ...card, released: false, warning, metrics: null, use: { ...card.use, limits }, files };
  });
}

type WholeModel = {
  /** Bytes of contract.json. */
  readonly contract: Uint8Array;
  readonly contractHash: string;
  readonly task: Task;
  /** Hash of the study's model that it comes from. */
  readonly model: string;
  readonly released: Float32Array;
};

async function writeModel(
  folder: string,
  { contract, contractHash, task, model, released }: WholeModel,
  cardOf: (hashes: { readonly [name: string]: string }) => ModelCard,
): Promise<ModelCard> {
  const tensors = new Map<string, Tensor>();
  for (const { name, shape, offset } of parameterTensors(task))
    tensors.set(name, { shape, values: released.slice(offset, offset + sizeOf(shape)) });
  const parts: { readonly [name: string]: Uint8Array } = {
    [modelName]: writeSafetensors(tensors, { contract: contractHash, model }),
    [taskName]: utf8(`${canonicalJson({ format: 'consilience/model-task/1', contractHash, task })}\n`),
    [contractName]: contract,
    ...peftFiles(task, released),
  };
  const card = cardOf(Object.fromEntries(Object.entries(parts).map(([name, bytes]) => [name, sha256(bytes)])));
  await requireEmpty(folder);
  for (const [name, bytes] of Object.entries(parts)) await writeFileAtomically(join(folder, name), bytes, 0o644);
  await writeFileAtomically(join(folder, 'card.md'), cardText(card), 0o644);
  await writeFileAtomically(join(folder, 'card.json'), cardJson(card), 0o644);
  return card;
}

/** A language study's adapter once more, in the layout that the Python world loads; nothing for tables. */
function peftFiles(task: Task, released: Float32Array): { readonly [name: string]: Uint8Array } {
  if (!isLanguageTask(task)) return {};
  return adapterFiles(task.model.checkpoint.configuration, languageLayout(task), released);
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((size, side) => size * side, 1);

async function requireEmpty(folder: string): Promise<void> {
  let names: string[];
  try {
    await mkdir(folder, { recursive: true });
    names = await readdir(folder);
  } catch (error) {
    throw diskError(error, `The folder ${folder}`);
  }
  if (names.length > 0)
    throw new InputError('folder-not-empty', `The folder ${folder} is not empty. Name a new one; nothing was written.`);
}

export type OpenedModel = {
  readonly card: ModelCard;
  readonly task: Task;
  readonly parameters: Float32Array;
  /** Bytes of contract.json. */
  readonly contract: Uint8Array;
};

/**
 * Opens an exported model and checks every hash in it before anything is used.
 * @throws InputError `model-missing`, `model-invalid`, `safetensors-malformed`; RefusalError `model-altered`.
 */
export async function openModelFolder(folder: string): Promise<OpenedModel> {
  const card = await readDocument(folder, 'card.json', modelCardSchema);
  const altered = (name: string): RefusalError =>
    new RefusalError(
      'model-altered',
      `${name} in ${folder} is not the file that card.json names: it was altered or belongs to another model. Export it again.`,
    );
  const parts = new Map<string, Uint8Array>();
  const ofAdapter = adapterNames.filter((name) => Object.hasOwn(card.files, name));
  for (const name of [modelName, taskName, contractName, ...ofAdapter]) {
    const bytes = await readPart(folder, name);
    if (card.files[name] !== sha256(bytes)) throw altered(name);
    parts.set(name, bytes);
  }
  const { contractHash } = card.study;
  const { task, contractHash: stated } = await readDocument(folder, taskName, taskFileSchema);
  if (card.files[contractName] !== contractHash) throw altered(contractName);
  const agreed = parseCanonical(parts.get(contractName)!) as { readonly task?: unknown };
  if (stated !== contractHash || canonicalJson(agreed.task ?? null) !== canonicalJson(task)) throw altered(taskName);
  const { tensors, metadata } = readSafetensors(parts.get(modelName)!);
  if (metadata['contract'] !== contractHash) throw altered(modelName);
  return { card, task, parameters: flatParameters(task, tensors), contract: parts.get(contractName)! };
}

function flatParameters(task: Task, tensors: ReadonlyMap<string, Tensor>): Float32Array {
  const wanted = parameterTensors(task);
  const out = new Float32Array(parameterCount(task));
  for (const { name, shape, offset } of wanted) {
    const tensor = tensors.get(name);
    if (tensor === undefined || tensor.shape.join() !== shape.join())
      throw new InputError('model-invalid', `${modelName} has no tensor ${name} of shape [${shape.join(', ')}].`);
    out.set(tensor.values, offset);
  }
  if (tensors.size !== wanted.length)
    throw new InputError('model-invalid', `${modelName} holds tensors that its task does not know.`);
  if (!out.every(Number.isFinite))
    throw new InputError('model-invalid', `${modelName} holds a number that is not finite.`);
  return out;
}

async function readDocument<Output>(folder: string, name: string, schema: z.ZodType<Output>): Promise<Output> {
  const text = fromUtf8(await readPart(folder, name)).replace(/\r?\n$/, '');
  return parseDocument(schema, parseCanonical(text), { code: 'model-invalid', what: `file ${name}` });
}

const readPart = (folder: string, name: string): Promise<Uint8Array> =>
  readFolderPart(folder, name, {
    code: 'model-missing',
    noSuch: 'exported model',
    advice: 'Give the folder that "model export" wrote.',
  });
