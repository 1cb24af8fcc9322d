// A mapping on disk: read from the steward, kept beside the study's consent, and held to the hash in the ledger before any
// run. Design 1, journey 2; design 4, ledger kind "mapping chosen".

import { readFile, rm } from 'node:fs/promises';
import { canonicalJson } from '../../../app/encoding/canonical-json.ts';
import { InputError, RefusalError } from '../../../app/errors.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import { mappingHash, parseMapping } from '../../../app/training/mapping.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import { nodeCipher } from '../machine.ts';

/** @throws InputError `mapping-not-json`, `mapping-malformed`, `not-text`; UnavailableError. */
export async function readMappingFile(path: string): Promise<Mapping> {
  try {
    return parseMapping(new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path)));
  } catch (error) {
    if (error instanceof TypeError) throw new InputError('not-text', `${path} is not text in UTF-8.`);
    throw diskError(error, `The file ${path}`);
  }
}

/** Null: none is kept any more. */
export async function keepMapping(path: string, mapping: Mapping | null): Promise<void> {
  try {
    if (mapping === null) await rm(path, { force: true });
    else await writeFileAtomically(path, `${canonicalJson(mapping)}\n`);
  } catch (error) {
    throw diskError(error, `The file ${path}`);
  }
}

/**
 * The mapping by which this study's newest import read the dataset; null where it read without one.
 * @throws RefusalError `mapping-changed`.
 */
export async function consentedMapping(
  path: string,
  entries: readonly EntryWithHash[],
  study: string,
  dataset: string,
): Promise<Mapping | null> {
  const imported = entries.findLast(
    ({ entry }) =>
      entry.kind === 'dataset-imported' && entry.body['study'] === study && entry.body['dataset'] === dataset,
  );
  const body: { readonly [name: string]: unknown } = imported?.entry.body ?? {};
  const wanted = body['mapping'] ?? null;
  const kept = await readMappingFile(path).catch((error: unknown) => {
    if (systemCode((error as Error).cause) === 'ENOENT') return null;
    if (error instanceof InputError) throw changed(path);
    throw error;
  });
  if ((kept === null ? null : mappingHash(nodeCipher, kept)) !== wanted) throw changed(path);
  return kept;
}

const changed = (path: string): RefusalError =>
  new RefusalError(
    'mapping-changed',
    `The column mapping ${path} is not the one that was consented to. Put it back, or give consent again with --mapping FILE. Nothing was sent.`,
  );
