// A model in Hugging Face layout: config.json, tokenizer.json, and model.safetensors or its shards with their index. The
// folder's hash is what a contract pins: SHA-256 over the names and SHA-256 of exactly these files, so that what
// everybody trains from and how text becomes tokens are agreed.

import { join } from 'node:path';
import { fromUtf8, toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../app/encoding/canonical-json.ts';
import { InputError, RefusalError, UnavailableError } from '../../../app/errors.ts';
import { readConfiguration } from '../../../app/training/language/configuration.ts';
import type { LanguageConfiguration } from '../../../app/training/language/configuration.ts';
import { optionalPrefix } from '../../../app/training/language/modules.ts';
import type { TensorSource } from '../../../app/training/language/model.ts';
import type { Tensor, TensorPlace } from '../../../app/training/safetensors.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import { sha256OfFile } from '../disk/file-hash.ts';
import { readFolderPart } from '../disk/folder-part.ts';
import { nodeCipher } from '../machine.ts';
import { openSafetensorsFile } from './safetensors-file.ts';
import type { SafetensorsFile } from './safetensors-file.ts';
import { shardsOf } from './shard-index.ts';
import { openTokenizer } from './tokenizer.ts';
import type { TextTokenizer } from './tokenizer.ts';

export type CheckpointFolder = TensorSource & {
  readonly folder: string;
  readonly configuration: LanguageConfiguration;
  readonly tokenizer: TextTokenizer;
  /** Ends a generated text: config.json's `eos_token_id`. */
  readonly endTokens: ReadonlySet<number>;
  close(): Promise<void>;
};

const missing = {
  code: 'checkpoint-missing',
  noSuch: 'model in Hugging Face layout',
  advice: 'Give the folder that holds config.json, tokenizer.json and model.safetensors.',
};

/**
 * @throws InputError `checkpoint-missing`, `checkpoint-unsupported`, `checkpoint-invalid`, `safetensors-malformed`,
 * `tokenizer-unusable`; UnavailableError.
 */
export async function openCheckpoint(folder: string): Promise<CheckpointFolder> {
  const config = await jsonPart(folder, 'config.json');
  const configuration = readConfiguration(config);
  const settings = await jsonPart(folder, 'tokenizer_config.json', {});
  const tokenizer = openTokenizer(await jsonPart(folder, 'tokenizer.json'), settings, configuration.vocabulary);
  const files: SafetensorsFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file.close();
  };
  try {
    const where = new Map<string, { readonly file: SafetensorsFile; readonly place: TensorPlace }>();
    for (const { name, tensors } of await weightFiles(folder)) {
      const file = await openSafetensorsFile(join(folder, name)).catch((error: unknown) => {
        throw error instanceof UnavailableError && systemCode(error.cause) === 'ENOENT'
          ? new InputError(missing.code, `${folder} is no ${missing.noSuch}: it has no ${name}. ${missing.advice}`)
          : error;
      });
      files.push(file);
      for (const place of file.places) {
        if (tensors !== null && !tensors.has(place.name)) continue;
        where.set(place.name, { file, place });
      }
      for (const tensor of tensors ?? [])
        if (!where.has(tensor))
          throw new InputError('checkpoint-invalid', `${name} has no tensor ${tensor}, which the index says it has.`);
    }
    const prefix = optionalPrefix[configuration.family];
    // A bare model is stored without the prefix of the model with its head.
    const find = (name: string) =>
      where.get(name) ?? (name.startsWith(prefix) ? where.get(name.slice(prefix.length)) : undefined);
    return {
      folder,
      configuration,
      tokenizer,
      endTokens: endTokensOf(config),
      shapeOf: (name) => find(name)?.place.shape,
      async read(name): Promise<Tensor> {
        const found = find(name);
        if (found === undefined) throw new RangeError(`name must be a tensor of the checkpoint, not ${name}`);
        return found.file.read(found.place);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Names of the files that make up the folder's hash, in order. @throws as openCheckpoint. */
export async function checkpointFiles(folder: string): Promise<readonly string[]> {
  const names = ['config.json', 'tokenizer.json'];
  const weights = await weightFiles(folder);
  names.push(...weights.map(({ name }) => name));
  if (weights.some(({ tensors }) => tensors !== null)) names.push(indexName);
  return names.sort();
}

export type CheckpointPart = { readonly name: string; readonly sha256: string };

/** Reads every byte of the files once. @throws as openCheckpoint. */
export async function checkpointParts(folder: string): Promise<readonly CheckpointPart[]> {
  const parts: CheckpointPart[] = [];
  for (const name of await checkpointFiles(folder)) parts.push({ name, sha256: await fileHash(join(folder, name)) });
  return parts;
}

/** Lower-case hex. */
export const hashOfParts = (parts: readonly CheckpointPart[]): string =>
  toHex(nodeCipher.sha256(utf8('consilience/checkpoint/1\0'), canonicalBytes(parts)));

/** Lower-case hex. @throws as openCheckpoint. */
export const checkpointHash = async (folder: string): Promise<string> => hashOfParts(await checkpointParts(folder));

/** @throws RefusalError `checkpoint-differs` unless the folder is the one that the contract pins. */
export async function requireCheckpoint(folder: string, hash: string): Promise<void> {
  const own = await checkpointHash(folder);
  if (own !== hash)
    throw new RefusalError(
      'checkpoint-differs',
      `The model in ${folder} is not the one that the study terms name (its hash begins ${own.slice(0, 12)}, theirs ${hash.slice(0, 12)}). Give the folder that the lead trains from, file for file.`,
    );
}

const indexName = 'model.safetensors.index.json';

/** One file with everything, or the shards that the index names with the tensors of each. */
async function weightFiles(
  folder: string,
): Promise<readonly { readonly name: string; readonly tensors: ReadonlySet<string> | null }[]> {
  const index = await jsonPart(folder, indexName, null);
  return index === null ? [{ name: 'model.safetensors', tensors: null }] : shardsOf(index);
}

async function jsonPart(folder: string, name: string, otherwise?: unknown): Promise<unknown> {
  let bytes: Uint8Array;
  try {
    bytes = await readFolderPart(folder, name, missing);
  } catch (error) {
    if (otherwise !== undefined && error instanceof InputError) return otherwise;
    throw error;
  }
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch {
    throw new InputError('checkpoint-invalid', `${name} in ${folder} is not JSON. Get the model again.`);
  }
}

function endTokensOf(config: unknown): ReadonlySet<number> {
  const stated = (config as { readonly eos_token_id?: unknown }).eos_token_id;
  const all = Array.isArray(stated) ? stated : [stated];
  return new Set(all.filter((id): id is number => typeof id === 'number' && Number.isSafeInteger(id)));
}

async function fileHash(path: string): Promise<string> {
  try {
    return await sha256OfFile(path);
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'ENOENT')
      throw new InputError(missing.code, `${path} is not there. ${missing.advice}`);
    throw diskError(error, `The file ${path}`);
  }
}
