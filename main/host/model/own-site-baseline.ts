// What the institution's own records would give alone, beside the joint model, measured in a trainer of its own. Where a
// consent kept an encrypted copy of these very records, the copy is read and not the file, which may be gone by then.
// Design 1, journey 2 ("what joining may bring").

import { resolve } from 'node:path';
import type { Metrics } from '../../../app/training/evaluate.ts';
import { mappingHash } from '../../../app/training/mapping.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { Trainer } from '../../trainer/client.ts';
import type { OwnSiteWork } from '../../trainer/messages.ts';
import { ledgerView } from '../bridge/ledger-view.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { nodeCipher } from '../machine.ts';
import { openExistingKeys } from '../participant/home.ts';
import type { CopyToRead } from '../records/records-copy-file.ts';
import { openRecords, recordsPointer } from '../records/records-copies.ts';

export type BaselineAsked = {
  /** Hash of the study's terms. */
  readonly study: string;
  readonly task: OwnSiteWork['task'];
  readonly path: string;
  readonly mapping: Mapping | null;
  /** null: some of the own rows are held out. */
  readonly testPath: string | null;
  /** The joint model's released parameters; null before there are any. */
  readonly joint: Float32Array | null;
};

/** @throws UnavailableError of the trainer; InputError of reading; RefusalError `records-gone`, `records-altered`. */
export async function measureBaseline(
  { home, keys }: { readonly home: string; readonly keys: KeySourceOptions },
  { study, task, path, mapping, testPath, joint }: BaselineAsked,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (done: number, total: number) => void },
): Promise<{ readonly own: Metrics; readonly joint: Metrics | null }> {
  const copy = await copyOfThese(home, keys, { study, path, mapping });
  const trainer = new Trainer();
  try {
    const measured = await trainer.run(
      { kind: 'own-site', task, recordsFile: path, copy, mapping, testFile: testPath, joint },
      { signal, onProgress },
    );
    return { own: measured.metrics, joint: measured.joint };
  } finally {
    copy?.key.fill(0);
    await trainer.close();
  }
}

/** null where no consent to this study kept one of this file, read in this way: then the file itself is meant. */
async function copyOfThese(
  home: string,
  keys: KeySourceOptions,
  { study, path, mapping }: Pick<BaselineAsked, 'study' | 'path' | 'mapping'>,
): Promise<CopyToRead | null> {
  const pointer = await recordsPointer(home, study);
  if (pointer === null || pointer.copy === null || pointer.path !== resolve(path)) return null;
  const log = ledgerView(home);
  await log.refresh();
  const imported = log.ofKind('dataset-imported').findLast(({ entry }) => entry.body['study'] === study);
  const body: { readonly [name: string]: unknown } = imported?.entry.body ?? {};
  if (body['mapping'] !== (mapping === null ? undefined : mappingHash(nodeCipher, mapping))) return null;
  const keystore = await openExistingKeys(home, keys);
  try {
    // A digest that the log does not hold opens nothing: it is bound into the copy.
    return await openRecords(home, keystore, pointer.copy, { study, digest: String(body['digest']) });
  } finally {
    keystore.close();
  }
}
