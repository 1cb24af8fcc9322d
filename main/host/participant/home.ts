// One institution's folder: keys, ledger, sealed state, what it agreed to for each study, and a status file without
// secrets for whoever watches. Everything a participant command needs is opened here, in one order. Design 2 and 4.
//
//   keys.json  ledger/  state.sqlite  status.json
//   invitations/<study name>/{invitation.json, enrolment.json}
//   studies/<contract hash>/{contract.json, consent.json, invitation.json, dataset.json, withdrawal.json,
//                            device-replacement.json, status.json}

import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { InputError, RefusalError } from '../../../app/errors.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import { openSignedContract } from '../../../app/study/signed-contract.ts';
import type { SignedContract } from '../../../app/study/signed-contract.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { openKeystore } from '../keys/keystore.ts';
import type { Keystore } from '../keys/keystore.ts';
import { openLedger } from '../ledger/ledger-file.ts';
import type { Ledger } from '../ledger/ledger-file.ts';
import { nodeMachine } from '../machine.ts';

export type StudyPaths = {
  readonly folder: string;
  readonly contract: string;
  readonly consent: string;
  readonly invitation: string;
  /** Where the records lie on this machine; a path, nothing of their content. */
  readonly dataset: string;
  /** How the records' columns become the contract's; not there where none was chosen. */
  readonly mapping: string;
  /** A signed withdrawal that `run` has yet to honour, or has honoured. */
  readonly withdrawal: string;
  /** Accepted changes of the coordinator's key; not there where there was none. */
  readonly coordinatorKeys: string;
  /** Of the newest run of this study; statusPath is that of whichever ran last. */
  readonly status: string;
};

export const statusPath = (home: string): string => join(home, 'status.json');
export const ledgerFolder = (home: string): string => join(home, 'ledger');

/** Where an invitation and the enrolment that answers it lie; `study` is the study's short name. */
export function invitationPaths(
  home: string,
  study: string,
): { folder: string; invitation: string; enrolment: string } {
  const folder = join(home, 'invitations', study);
  return { folder, invitation: join(folder, 'invitation.json'), enrolment: join(folder, 'enrolment.json') };
}

/** @param hash of the contract, lower-case hex. @throws RangeError for anything else: it becomes a folder's name. */
export function studyPaths(home: string, hash: string): StudyPaths {
  if (!/^[0-9a-f]{64}$/.test(hash)) throw new RangeError('hash must be 64 lower-case hexadecimal digits');
  const folder = join(home, 'studies', hash);
  const at = (name: string): string => join(folder, name);
  return {
    folder,
    contract: at('contract.json'),
    consent: at('consent.json'),
    invitation: at('invitation.json'),
    dataset: at('dataset.json'),
    mapping: at('mapping.json'),
    withdrawal: at('withdrawal.json'),
    coordinatorKeys: at('coordinator-keys.json'),
    status: at('status.json'),
  };
}

/** Text of a file, or null where there is none. @throws UnavailableError. */
export async function readTextIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw diskError(error, `The file ${path}`);
  }
}

export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskError(error, `The folder ${path}`);
  }
}

/** The keys of a home that exists. @throws RefusalError `home-empty` where `join` has not been run; else as openKeystore. */
export async function openExistingKeys(home: string, keys: KeySourceOptions): Promise<Keystore> {
  if ((await readTextIfThere(join(home, 'keys.json'))) === null)
    throw new RefusalError(
      'home-empty',
      `There are no keys in ${home}. Answer an invitation first: consilience participant join INVITATION --home ${home}`,
    );
  return openKeystore({ folder: home, ...keys });
}

export type OpenHome = {
  readonly folder: string;
  readonly keystore: Keystore;
  /** Verified from the first entry on when it was opened. */
  readonly ledger: Ledger;
  /** All entries that were there when it was opened. */
  readonly entries: readonly EntryWithHash[];
  close(): Promise<void>;
};

/**
 * Keys and ledger, for one process at a time. `make`: an empty folder is given keys and a ledger.
 * @throws RefusalError `home-empty`, `in-use`, `ledger-broken`, `ledger-lost`, `wrong-key`, …; UnavailableError.
 */
export async function openHome(folder: string, keys: KeySourceOptions, make = false): Promise<OpenHome> {
  return openHomeWith(folder, make ? await openKeystore({ folder, ...keys }) : await openExistingKeys(folder, keys));
}

/** The same with keys that are open already; closing closes them, and so does a failure. */
export async function openHomeWith(folder: string, keystore: Keystore): Promise<OpenHome> {
  try {
    const { clock, cipher } = nodeMachine;
    const ledger = await openLedger({ folder: ledgerFolder(folder), signer: keystore.identity, clock, cipher });
    try {
      const entries: EntryWithHash[] = [];
      for await (const entry of ledger.entries()) entries.push(entry);
      return {
        folder,
        keystore,
        ledger,
        entries,
        async close() {
          try {
            await ledger.close();
          } finally {
            keystore.close();
          }
        },
      };
    } catch (error) {
      await ledger.close();
      throw error;
    }
  } catch (error) {
    keystore.close();
    throw error;
  }
}

/** The same; null where a program that runs here holds the log. */
export function openUnlessRunning(folder: string, keystore: Keystore): Promise<OpenHome | null> {
  return openHomeWith(folder, keystore).catch((error: unknown) => {
    if (error instanceof RefusalError && error.code === 'in-use') return null;
    throw error;
  });
}

export type StoredStudy = SignedContract & { readonly hash: Uint8Array; readonly paths: StudyPaths };

/**
 * A contract that was agreed to here. `asked`: its hash, or the first digits of it; null where there is only one.
 * @throws InputError `study-unknown`, `study-ambiguous`; RefusalError `contract-altered` or as openSignedContract.
 */
export async function readStudy(home: string, asked: string | null): Promise<StoredStudy> {
  const folders = await readdir(join(home, 'studies')).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return [];
    throw diskError(error, `The folder ${join(home, 'studies')}`);
  });
  const found = folders.filter((name) => /^[0-9a-f]{64}$/.test(name) && (asked === null || name.startsWith(asked)));
  if (found.length === 0)
    throw new InputError(
      'study-unknown',
      asked === null
        ? `No study was agreed to in ${home}. Use: consilience participant consent --home ${home}`
        : `No study whose hash begins with ${asked.slice(0, 64)} was agreed to in ${home}.`,
    );
  if (found.length > 1)
    throw new InputError(
      'study-ambiguous',
      `${found.length} studies fit; say which with --study HASH: ${found.map((name) => name.slice(0, 12)).join(', ')}.`,
    );
  const paths = studyPaths(home, found[0]!);
  const text = await readTextIfThere(paths.contract);
  if (text === null)
    throw new InputError('study-unknown', `The study terms ${paths.contract} are gone. Give consent again.`);
  const opened = openSignedContract(nodeMachine.cipher, text);
  if (toHex(opened.hash) !== found[0])
    throw new RefusalError('contract-altered', `The study terms in ${paths.folder} are not those that were agreed to.`);
  return { ...opened, paths };
}

/** For reading a key aloud: 32 digits in groups of four, the first half of SHA-256 over the public key. */
export function identityCode(publicKey: Uint8Array | string): string {
  const key = typeof publicKey === 'string' ? fromHex(publicKey, 32) : publicKey;
  return toHex(nodeMachine.cipher.sha256(key).subarray(0, 16)).match(/.{4}/g)!.join(' ');
}
