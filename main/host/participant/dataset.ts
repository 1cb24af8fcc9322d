// The records file that a consent binds: read once against the contract's table, refused row by row without a value in
// any message, and pinned by a salted digest that is compared before each run. Design 4, "The ledger"; design 5.

import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { InputError, RefusalError } from '../../../app/errors.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import type { Contract } from '../../../app/study/contract.ts';
import type { Tokenise } from '../../../app/training/encoder.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { printsOf } from '../../../app/training/prints.ts';
import type { Prints } from '../../../app/training/prints.ts';
import { requireAccepted, requireAgreedUnits, unitRows } from '../../../app/training/records.ts';
import type { Records } from '../../../app/training/records.ts';
import { diskError } from '../disk/disk-error.ts';
import { nodeCipher } from '../machine.ts';
import type { ReadProgress } from '../import/read-progress.ts';
import { readTable } from '../import/read-table.ts';

export type DatasetDigest = {
  readonly name: string;
  /** 16 bytes, hex: without it a guessed file could be confirmed from the log alone. */
  readonly salt: string;
  /** SHA-256 of salt ‖ bytes of the file, hex. */
  readonly digest: string;
};

export type ImportedDataset = DatasetDigest & {
  /** As training will use them. */
  readonly records: Records;
  readonly path: string;
  /** Bucket that holds the number of units (records or persons). */
  readonly count: { readonly from: number; readonly to: number };
  /** Rows that the contract's rules leave out; only whether there are any, not how many, goes to the ledger. */
  readonly dropped: number;
  /** Columns of the file that the study does not read; shown here, written nowhere. */
  readonly columnsDropped: readonly string[];
  /** What was found out about the file: format, encoding, delimiter, sheet. */
  readonly said: readonly string[];
  readonly prints: Prints;
  /** Dataset names under which the very same file was imported before. */
  readonly sameBytes: ReadonlySet<string>;
};

/** 0–9, then by the first digit: 100–199, 2000–2999. */
export function countBucket(count: number): { readonly from: number; readonly to: number } {
  if (count < 10) return { from: 0, to: 9 };
  const step = 10 ** (String(count).length - 1);
  const from = Math.floor(count / step) * step;
  return { from, to: from + step - 1 };
}

/**
 * Reads the file as training will and refuses what the contract's rules refuse.
 * @param index roster position of this institution
 * @param printKey keys the prints by which the allowance follows the persons (register.ts)
 * @throws InputError `rows-refused` (line, column, problem), `units-above-agreed`, `table-…`, `column-…`.
 */
export async function importDataset(
  contract: Contract,
  index: number,
  file: {
    readonly name: string;
    readonly path: string;
    readonly mapping?: Mapping | null;
    /** How texts become token ids; null or absent for tables. */
    readonly tokenise?: Tokenise | null;
    readonly onProgress?: ReadProgress | undefined;
  },
  entries: readonly EntryWithHash[],
  printKey: Uint8Array,
): Promise<ImportedDataset> {
  const path = resolve(file.path);
  const { table } = contract.task;
  const imported = earlierImports(entries);
  const salt = imported[0]?.salt ?? randomBytes(16).toString('hex');
  const digest = await digestOf(path, salt);
  const encoded = await readTable(path, table, {
    labels: true,
    mapping: file.mapping ?? null,
    tokenise: file.tokenise ?? null,
    onProgress: file.onProgress,
  });
  const records = requireAccepted(encoded);
  const units = unitRows(records, contract.training.unit, contract.training.person).length;
  requireAgreedUnits(units, contract.roster[index]!.nominalUnits);
  if ((await digestOf(path, salt)) !== digest)
    throw new InputError('dataset-changing', `The file ${path} changed while it was read. Try again when it rests.`);
  return {
    name: file.name,
    path,
    salt,
    digest,
    records,
    count: countBucket(units),
    dropped: encoded.dropped,
    columnsDropped: encoded.columnsDropped,
    said: encoded.said,
    prints: printsOf(nodeCipher, printKey, records),
    sameBytes: new Set(imported.filter((one) => one.digest === digest).map((one) => one.name)),
  };
}

function earlierImports(entries: readonly EntryWithHash[]): DatasetDigest[] {
  return entries
    .filter(({ entry }) => entry.kind === 'dataset-imported')
    .map(({ entry }) => {
      const body: { readonly [name: string]: unknown } = entry.body;
      return { name: String(body['dataset']), salt: String(body['salt']), digest: String(body['digest']) };
    });
}

/** The list of persons who object that the newest import is said to be without; null where nothing was said. */
export function excludedRemoved(entries: readonly EntryWithHash[], name: string): string | null {
  const found = entries.findLast(({ entry }) => entry.kind === 'dataset-imported' && entry.body['dataset'] === name);
  const body: { readonly [name: string]: unknown } = found?.entry.body ?? {};
  return typeof body['excludedRemoved'] === 'string' ? body['excludedRemoved'] : null;
}

/** The newest import of a dataset in the ledger. @throws RefusalError `dataset-not-imported`. */
export function importedDigest(entries: readonly EntryWithHash[], name: string): DatasetDigest {
  const found = earlierImports(entries).findLast((one) => one.name === name);
  if (found === undefined || wasDeleted(entries, name))
    throw new RefusalError(
      'dataset-not-imported',
      `The privacy log holds no import of the dataset "${name}". Give consent again with --data FILE.`,
    );
  return found;
}

/** Setting in the ledger entry that says that a dataset was deleted here. */
export const dataEnded = 'data-deleted';

function wasDeleted(entries: readonly EntryWithHash[], name: string): boolean {
  const last = entries.findLast(
    ({ entry }) =>
      (entry.kind === 'dataset-imported' ||
        (entry.kind === 'settings-changed' && entry.body['setting'] === dataEnded)) &&
      entry.body['dataset'] === name,
  );
  return last?.entry.kind === 'settings-changed';
}

/** @throws RefusalError `dataset-changed`; UnavailableError where the file cannot be read. */
export async function requireUnchanged(path: string, consented: DatasetDigest): Promise<void> {
  if ((await digestOf(path, consented.salt)) !== consented.digest)
    throw new RefusalError(
      'dataset-changed',
      `The file ${path} is not the one that was consented to: its content changed. Put the old file back, or give consent again with the new one. Nothing was sent.`,
    );
}

export async function digestOf(path: string, salt: string): Promise<string> {
  try {
    if (!(await stat(path)).isFile()) throw new InputError('not-a-file', `${path} is not a plain file.`);
    const hash = createHash('sha256').update(Buffer.from(salt, 'hex'));
    for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
    return hash.digest('hex');
  } catch (error) {
    throw diskError(error, `The file ${path}`);
  }
}
