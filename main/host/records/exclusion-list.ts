// Persons who object. Their keyed prints go into the register and are never taken off; from the next round on none of
// them is sampled, in any study. A list waits in a sealed file until the log holds it, so that a participant that runs
// takes it up by itself. Design 4, "The ledger"; issue 5, item 6.

import { randomBytes } from 'node:crypto';
import { readFile, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, RefusalError } from '../../../app/errors.ts';
import { hostActor } from '../../../app/ledger/entry.ts';
import type { Actor } from '../../../app/ledger/entry.ts';
import type { LedgerWriter } from '../../../app/round/study-ledger.ts';
import { personPrints, printCount } from '../../../app/training/prints.ts';
import type { Excluded, PrintSet } from '../../../app/training/prints.ts';
import { syncFolder, writeFileAtomically } from '../disk/atomic-file.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import type { Keystore } from '../keys/keystore.ts';
import { nodeCipher } from '../machine.ts';
import { countBucket } from '../participant/dataset.ts';
import { makeFolder, openExistingKeys, openUnlessRunning } from '../participant/home.ts';
import { recordedLedger } from '../ledger/recorded-ledger.ts';
import { openRegister, printKeyOf } from './register.ts';
import type { Register } from './register.ts';

const waitingFolder = (home: string): string => join(home, 'exclusions');
const waitingName = /^[0-9a-f]{32}\.sealed$/;
const purpose = 'exclusion-list';

export type ExclusionAdded = {
  /** Bucket that holds the number of persons on the list. */
  readonly count: { readonly from: number; readonly to: number };
  /** `running`: a participant that runs here takes it up before its next training. */
  readonly by: 'running' | 'here';
};

/**
 * Adds the persons of a file, one identifier in each line, as the person column writes them.
 * @throws InputError `exclusion-file`; RefusalError of keys, ledger and register; UnavailableError.
 */
export async function excludePersons(options: {
  readonly home: string;
  readonly keys: KeySourceOptions;
  readonly path: string;
  /** Whom the log names where nothing runs here. */
  readonly actor?: Actor;
}): Promise<ExclusionAdded> {
  const { home, path } = options;
  const identifiers = await identifiersOf(path);
  const keystore = await openExistingKeys(home, options.keys);
  let count;
  try {
    const persons = personPrints(nodeCipher, printKeyOf(keystore), identifiers);
    count = countBucket(printCount(persons));
    await makeFolder(waitingFolder(home));
    const file = join(waitingFolder(home), `${randomBytes(16).toString('hex')}.sealed`);
    await writeFileAtomically(file, keystore.seal(persons, purpose));
    await syncFolder(home);
  } catch (error) {
    keystore.close();
    throw error;
  }
  const opened = await openUnlessRunning(home, keystore);
  if (opened === null) return { count, by: 'running' };
  try {
    const { writer, entries } = recordedLedger(opened, options.actor ?? hostActor);
    const register = await openRegister({ home, keystore, entries });
    await takeUpExclusions({ home, keystore, register, writer });
    await opened.ledger.checkpoint();
    return { count, by: 'here' };
  } finally {
    await opened.close();
  }
}

export type TakeUpOptions = {
  readonly home: string;
  readonly keystore: Pick<Keystore, 'open'>;
  readonly register: Register;
  readonly writer: LedgerWriter;
};

/**
 * Lists that wait go into the register, then into the log, and are then removed; a crash between brings them again.
 * @throws RefusalError `state-altered`: then nothing is trained, since a person who objects might be in it.
 */
export async function takeUpExclusions(options: TakeUpOptions): Promise<void> {
  const { home, keystore, register, writer } = options;
  for (const name of await waitingLists(home)) {
    const file = join(waitingFolder(home), name);
    const persons: PrintSet = keystore.open(new Uint8Array(await readFile(file)), purpose);
    const digest = await register.exclude(persons);
    const { from, to } = countBucket(printCount(persons));
    await writer.append('exclusion-list-loaded', { countFrom: from, countTo: to, register: digest });
    await unlink(file);
  }
}

async function waitingLists(home: string): Promise<string[]> {
  try {
    return (await readdir(waitingFolder(home))).filter((name) => waitingName.test(name)).sort();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw diskError(error, `The folder ${waitingFolder(home)}`);
  }
}

async function identifiersOf(path: string): Promise<string[]> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    if (error instanceof TypeError)
      throw new InputError('exclusion-file', `${path} is not text in UTF-8: one identifier in each line is expected.`);
    throw diskError(error, `The file ${path}`);
  }
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const identifiers = lines.filter((line) => line !== '');
  if (identifiers.length === 0)
    throw new InputError('exclusion-file', `${path} is empty: one identifier in each line is expected.`);
  const bad = lines.findIndex((line) => line.length > 500 || /\p{Cc}/u.test(line));
  if (bad >= 0)
    throw new InputError(
      'exclusion-file',
      `Line ${bad + 1} of ${path} is no identifier: give one identifier in each line, without other columns.`,
    );
  return identifiers;
}

/**
 * What the trainer leaves out of a dataset; null where the steward said at consent that the file is without these persons.
 * @throws RefusalError `exclusion-without-persons` where nobody could tell whose a row is.
 */
export function requireExcludable(
  register: Pick<Register, 'excluded' | 'excludedDigest'>,
  dataset: { readonly namesPersons: boolean; readonly removedDigest: string | null },
): Excluded | null {
  const excluded = register.excluded();
  if (excluded.persons.length === 0 || dataset.namesPersons) return excluded;
  if (dataset.removedDigest === register.excludedDigest()) return null;
  throw new RefusalError(
    'exclusion-without-persons',
    'Some persons object to the use of their records, but this study reads no column that names the person of a row. Take them out of the file and consent again with --excluded-removed. Nothing was sent.',
  );
}
