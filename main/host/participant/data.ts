// What an institution's data stand at: every lineage with what its studies used of it; and the end of a dataset here. The
// log, what was used, and the register's prints outlive the data: whoever comes back is known. Design 4, "The ledger".

import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../../app/errors.ts';
import { hostActor } from '../../../app/ledger/entry.ts';
import type { Actor } from '../../../app/ledger/entry.ts';
import { budgetReadings } from '../../../app/privacy/budget.ts';
import type { Reading } from '../../../app/privacy/budget.ts';
import { dataEnded } from './dataset.ts';
import { knownLineages } from '../records/dataset-lineage.ts';
import { syncFolder } from '../disk/atomic-file.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { budgetOf } from './ceilings.ts';
import { openHome, readTextIfThere, studyPaths } from './home.ts';
import { recordedLedger } from '../ledger/recorded-ledger.ts';
import { destroyRecords, recordsPointer } from '../records/records-copies.ts';
import { openRegister } from '../records/register.ts';

export type DataLineage = {
  /** Names under which the same persons were imported; one allowance counts for all. */
  readonly datasets: readonly string[];
  readonly unit: 'person' | 'record';
  readonly readings: readonly Reading[];
};

/** @throws RefusalError of keys, ledger and register; UnavailableError. */
export async function listData(home: string, keys: KeySourceOptions): Promise<readonly DataLineage[]> {
  const opened = await openHome(home, keys);
  try {
    await openRegister({ home, keystore: opened.keystore, entries: opened.entries });
    const readings = budgetReadings(budgetOf(opened.entries));
    return knownLineages(opened.entries).map(({ datasets, persons }) => ({
      datasets,
      unit: persons ? ('person' as const) : ('record' as const),
      readings: readings.filter(
        ({ ceiling }) =>
          ceiling.kind === 'dataset' && ceiling.datasets?.some((name) => datasets.includes(name)) === true,
      ),
    }));
  } finally {
    await opened.close();
  }
}

export type DataDeleted = {
  readonly dataset: string;
  /** The records file, which only its owner removes. */
  readonly files: readonly string[];
  /** Contract hashes of the studies that can no longer train with it. */
  readonly studies: readonly string[];
};

/**
 * Destroys the encrypted copies of a dataset with their keys, forgets where its file lies, and refuses to use it until it
 * is imported again. In the name of `actor`; the file itself is its owner's and is not touched.
 * @throws InputError `dataset-unknown`; RefusalError `in-use` while a participant runs here, and those of the register.
 */
export async function deleteData(
  home: string,
  keys: KeySourceOptions,
  dataset: string,
  actor: Actor = hostActor,
): Promise<DataDeleted> {
  const opened = await openHome(home, keys);
  try {
    const { writer, entries } = recordedLedger(opened, actor);
    await openRegister({ home, keystore: opened.keystore, entries });
    if (!knownLineages(entries).some((one) => one.datasets.includes(dataset)))
      throw new InputError('dataset-unknown', `No dataset "${dataset}" was imported in ${home}.`);
    // The log first: a crash then leaves a path that nothing reads any more.
    await writer.append('settings-changed', { setting: dataEnded, dataset });
    await opened.ledger.checkpoint();
    const [files, studies] = [new Set<string>(), [] as string[]];
    for (const study of await studiesIn(home)) {
      const { dataset: pointer, mapping, folder } = studyPaths(home, study);
      const text = await readTextIfThere(pointer);
      const known: unknown = text === null ? null : JSON.parse(text);
      if (typeof known !== 'object' || known === null || !('name' in known) || known.name !== dataset) continue;
      if ('path' in known && typeof known.path === 'string') files.add(known.path);
      studies.push(study);
      const copy = (await recordsPointer(home, study))?.copy ?? null;
      if (copy !== null) await destroyRecords(home, copy);
      for (const path of [pointer, mapping]) await unlink(path).catch(ignoreAbsent);
      await syncFolder(folder);
    }
    return { dataset, files: [...files], studies };
  } finally {
    await opened.close();
  }
}

async function studiesIn(home: string): Promise<string[]> {
  try {
    return (await readdir(join(home, 'studies'))).filter((name) => /^[0-9a-f]{64}$/.test(name));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw diskError(error, `The folder ${join(home, 'studies')}`);
  }
}

function ignoreAbsent(error: unknown): void {
  if (systemCode(error) !== 'ENOENT') throw error;
}
