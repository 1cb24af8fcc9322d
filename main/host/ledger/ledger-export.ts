// Takes a ledger away for an auditor: reads it where it lies, verifies it, and writes the bundle of app/ledger/export.ts
// into a new folder. Needs no keys, takes no lock; cancelled or failed, it leaves nothing behind. Design 4, "Export".

import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../app/encoding/canonical-json.ts';
import { InputError } from '../../../app/errors.ts';
import { exportSteps } from '../../../app/ledger/export.ts';
import type { ExportBundle, ExportFile } from '../../../app/ledger/export.ts';
import { openSignedContract } from '../../../app/study/signed-contract.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import { readNamedFile } from '../disk/read-named.ts';
import { checkpointFileName, ledgerFileName } from './ledger-file.ts';
import { nodeCipher } from '../machine.ts';
import { ledgerFolder } from '../participant/home.ts';

export type LedgerExport = { readonly entries: number; readonly files: readonly string[] };

/**
 * @param path an institution's home, the folder of its ledger, or a ledger file
 * @param out a folder that is empty or not there yet
 * @param options.onProgress called between small steps; what it throws ends the export
 * @throws InputError `not-found`, `checkpoint-missing`, `out-not-empty`, `ledger-broken`; UnavailableError.
 */
export async function exportLedger(
  path: string,
  out: string,
  options: {
    readonly key?: Uint8Array | undefined;
    readonly onProgress?: (done: number, total: number) => void;
  } = {},
): Promise<LedgerExport> {
  const { key, onProgress = () => {} } = options;
  const place = await placeOf(path);
  const [checkpoint] = await ownCheckpoint(place);
  if (checkpoint === undefined)
    throw new InputError('checkpoint-missing', `There is no file "${checkpointFileName}" beside ${place.ledger}.`);
  const existing = await readdir(out).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null;
    throw diskError(error, `The folder ${out}`);
  });
  if (existing !== null && existing.length > 0)
    throw new InputError('out-not-empty', `The folder ${out} is not empty. Name another with --out.`);
  const ledger = new Uint8Array(await readNamedFile(place.ledger));
  const contracts = await contractsOf(place, ledger);
  const steps = exportSteps(nodeCipher, {
    ledger,
    checkpoint,
    contracts,
    publicKeys: rosterKeys(contracts),
    ...(key === undefined ? {} : { expectedKey: key }),
  });
  let bundle: ExportBundle | null = null;
  while (bundle === null) {
    const step = steps.next();
    if (step.done === true) bundle = step.value;
    else onProgress(step.value.done, step.value.total);
    await nextTurn();
  }
  await writeBundle(bundle.files, out, existing !== null);
  return { entries: bundle.verification.head.size, files: bundle.files.map((file) => file.path) };
}

async function writeBundle(files: readonly ExportFile[], out: string, there: boolean): Promise<void> {
  try {
    for (const file of files) {
      await mkdir(dirname(join(out, file.path)), { recursive: true, mode: 0o700 });
      await writeFile(join(out, file.path), file.bytes, { mode: 0o600, flag: 'wx' });
    }
  } catch (error) {
    // Half a bundle looks like a whole one.
    for (const name of there ? await readdir(out).catch(() => []) : [])
      await rm(join(out, name), { recursive: true, force: true }).catch(() => {});
    if (!there) await rm(out, { recursive: true, force: true }).catch(() => {});
    throw diskError(error, `The export ${out}`);
  }
}

export type LedgerPlace = {
  readonly folder: string;
  readonly ledger: string;
  readonly isFolder: boolean;
  /** Studies of the institution whose home this is; null for a ledger that stands alone. */
  readonly studies: string | null;
};

/** @throws InputError `not-found`; UnavailableError. */
export async function placeOf(path: string): Promise<LedgerPlace> {
  let folder;
  try {
    folder = (await stat(path)).isDirectory();
  } catch (error) {
    throw systemCode(error) === 'ENOENT'
      ? new InputError('not-found', `There is no file or folder ${path}.`)
      : diskError(error, path);
  }
  if (!folder) return { folder: dirname(path), ledger: path, isFolder: false, studies: null };
  // An institution's home, or the folder of the ledger itself.
  for (const [where, studies] of [
    [path, join(path, '..', 'studies')],
    [ledgerFolder(path), join(path, 'studies')],
  ] as const) {
    const ledger = join(where, ledgerFileName);
    const there = await stat(ledger).then(
      () => true,
      () => false,
    );
    if (there) return { folder: where, ledger, isFolder: true, studies };
  }
  throw new InputError('not-found', `Neither ${path} nor its folder "ledger" holds a ${ledgerFileName}.`);
}

/** None where there is no such file. */
export async function ownCheckpoint(place: LedgerPlace): Promise<readonly string[]> {
  try {
    return [await readFile(join(place.folder, checkpointFileName), 'utf8')];
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw diskError(error, 'The checkpoint');
  }
}

const readText = async (path: string): Promise<string> => (await readNamedFile(path)).toString('utf8');

/** Contracts of an export's `contracts`, and of a home's studies; only those whose SHA-256 the ledger names. */
async function contractsOf({ folder, studies }: LedgerPlace, ledger: Uint8Array): Promise<readonly Uint8Array[]> {
  const candidates: Uint8Array[] = [];
  for (const name of await namesIn(join(folder, 'contracts')))
    if (name.endsWith('.json')) candidates.push(new Uint8Array(await readNamedFile(join(folder, 'contracts', name))));
  for (const name of studies === null ? [] : await namesIn(studies)) {
    const { contract } = openSignedContract(nodeCipher, await readText(join(studies!, name, 'contract.json')));
    candidates.push(canonicalBytes(contract));
  }
  const text = Buffer.from(ledger);
  return candidates.filter((bytes) => text.includes(`"${toHex(nodeCipher.sha256(bytes))}"`));
}

/** In order; none where there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return [];
    throw diskError(error, `The folder ${folder}`);
  });
  return names.sort();
}

/** Identity keys from the contracts' rosters; a name that cannot serve, or serves another key, gives way to the key. */
function rosterKeys(contracts: readonly Uint8Array[]): { name: string; publicKey: Uint8Array }[] {
  const keys = new Map<string, Uint8Array>();
  for (const bytes of contracts) {
    const contract = JSON.parse(Buffer.from(bytes).toString('utf8')) as { roster?: unknown };
    for (const one of Array.isArray(contract.roster) ? (contract.roster as unknown[]) : []) {
      const { name, identityKey } = one as { name?: unknown; identityKey?: unknown };
      if (typeof name !== 'string' || typeof identityKey !== 'string' || !/^[0-9a-f]{64}$/.test(identityKey)) continue;
      if ([...keys.values()].some((key) => toHex(key) === identityKey)) continue;
      const usable = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/.test(name) && name !== 'ledger' && !keys.has(name);
      keys.set(usable ? name : `key-${identityKey.slice(0, 32)}`, fromHex(identityKey));
    }
  }
  return [...keys].map(([name, publicKey]) => ({ name, publicKey }));
}
