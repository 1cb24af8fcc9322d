// `consilience ledger verify | export | show`: the auditor's tools. They read a participant's folder or an exported
// bundle, need no keys, take no lock and change nothing in it. Design 1, "Audit" and "Command line"; design 4.

import { createPublicKey } from 'node:crypto';
import { mkdir, open, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fromHex, toHex } from '../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../app/encoding/canonical-json.ts';
import { InputError } from '../../app/errors.ts';
import { startVerification } from '../../app/ledger/chain.ts';
import type { Verification } from '../../app/ledger/chain.ts';
import { entryKinds } from '../../app/ledger/entry.ts';
import type { Entry } from '../../app/ledger/entry.ts';
import { exportBundle } from '../../app/ledger/export.ts';
import { describeActor, describeEntry } from '../../app/ledger/sentences.ts';
import { openSignedContract } from '../../app/study/signed-contract.ts';
import { diskError, systemCode } from '../host/disk-error.ts';
import { checkpointFileName, ledgerFileName } from '../host/ledger-file.ts';
import { linesOf } from '../host/line-reader.ts';
import { nodeCipher } from '../host/machine.ts';
import { ledgerFolder } from '../host/participant-home.ts';
import { UsageError, listOption, numberOption, requiredOption, stringOption } from './command.ts';
import type { Command, Invocation } from './command.ts';

export const ledgerCommand: Command = {
  name: 'ledger',
  summary: 'Verifies, exports and shows the privacy log.',
  usage: [
    'ledger verify DIR|FILE [--key KEY] [--checkpoint FILE]...',
    'ledger export DIR --out DIR [--key KEY]',
    'ledger show DIR|FILE [--kind KIND]... [--study HASH] [--last N]',
  ],
  example: 'consilience ledger verify ./exported-log',
  options: {
    out: { type: 'string', value: 'DIR', help: 'Where the export goes; it must not exist yet or be empty.' },
    key: { type: 'string', value: 'KEY', help: 'The ledger’s public key as you know it: 64 hex digits or a PEM file.' },
    checkpoint: { type: 'string', multiple: true, value: 'FILE', help: 'A checkpoint that you kept earlier.' },
    kind: { type: 'string', multiple: true, value: 'KIND', help: 'Show only entries of this kind.' },
    study: { type: 'string', value: 'HASH', help: 'Show only entries of this study (first digits suffice).' },
    last: { type: 'string', value: 'N', help: 'Show only the last N of them.' },
  },
  async run(invocation) {
    const [action, path, ...rest] = invocation.positionals;
    if (path === undefined || rest.length > 0) throw new UsageError('Say which: ledger verify|export|show DIR');
    if (action === 'verify') return verify(path, invocation);
    if (action === 'export') return exportTo(path, invocation);
    if (action === 'show') return show(path, invocation);
    throw new UsageError('ledger knows verify, export and show.');
  },
};

async function verify(path: string, invocation: Invocation): Promise<0 | 1> {
  const key = await keyOption(invocation);
  const place = await placeOf(path);
  const checkpoints = [...(await ownCheckpoint(place))];
  for (const file of listOption(invocation.options, 'checkpoint')) checkpoints.push(await readText(file));
  const verification = await walk(place.ledger, checkpoints, key, () => {});
  const { head, findings, vouchedSize } = verification;
  const missing = checkpoints.length === 0 && place.isFolder;
  const ok = verification.ok && !missing;
  const sentences = [
    ...findings.map((finding) => finding.sentence),
    ...(missing
      ? ['The checkpoint file is missing: a ledger cut off at its end cannot be told from a whole one.']
      : []),
  ];
  if (invocation.json) {
    const first = findings[0] ?? (missing ? { code: 'checkpoint-missing', seq: null, sentence: sentences[0] } : null);
    const report = { verified: ok, entries: head.size, last: head.last, vouchedEntries: vouchedSize, first, findings };
    invocation.out(`${JSON.stringify(report)}\n`);
    return ok ? 0 : 1;
  }
  for (const sentence of sentences) invocation.out(`${sentence}\n`);
  if (!ok) {
    invocation.out('The log does NOT verify.\n');
    return 1;
  }
  invocation.out(
    `The log is unaltered: ${head.size} entries, each linked to the one before it. Last hash ${head.last}.\n`,
  );
  if (vouchedSize === null) invocation.out('No checkpoint was given: a cut-off end would not be noticed.\n');
  else if (vouchedSize < head.size) invocation.out(`A signature vouches for the first ${vouchedSize} of them.\n`);
  if (vouchedSize !== null && key === undefined)
    invocation.out(
      `The checkpoint was signed with the key ${keyOf(checkpoints[0]!)}. Compare it with the one the institution told you, or give --key.\n`,
    );
  return 0;
}

async function exportTo(path: string, invocation: Invocation): Promise<0 | 1> {
  const out = requiredOption(invocation.options, 'out');
  const key = await keyOption(invocation);
  const place = await placeOf(path);
  const [checkpoint] = await ownCheckpoint(place);
  if (checkpoint === undefined)
    throw new InputError('checkpoint-missing', `There is no file "${checkpointFileName}" beside ${place.ledger}.`);
  const existing = await readdir(out).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return [];
    throw diskError(error, `The folder ${out}`);
  });
  if (existing.length > 0)
    throw new InputError('out-not-empty', `The folder ${out} is not empty. Name another with --out.`);
  const ledger = new Uint8Array(await read(place.ledger));
  const contracts = await contractsOf(place, ledger);
  const { files, verification } = exportBundle(nodeCipher, {
    ledger,
    checkpoint,
    contracts,
    publicKeys: rosterKeys(contracts),
    ...(key === undefined ? {} : { expectedKey: key }),
  });
  try {
    for (const file of files) {
      await mkdir(dirname(join(out, file.path)), { recursive: true, mode: 0o700 });
      await writeFile(join(out, file.path), file.bytes, { mode: 0o600, flag: 'wx' });
    }
  } catch (error) {
    throw diskError(error, `The export ${out}`);
  }
  const names = files.map((file) => file.path);
  if (invocation.json)
    invocation.out(`${JSON.stringify({ exported: out, entries: verification.head.size, files: names })}\n`);
  else
    invocation.out(
      `Exported ${verification.head.size} entries to ${out}. Begin with report.md; VERIFY.md says how to check it without this program.\n`,
    );
  return 0;
}

async function show(path: string, invocation: Invocation): Promise<0 | 1> {
  const kinds = new Set(listOption(invocation.options, 'kind'));
  for (const kind of kinds)
    if (!(entryKinds as readonly string[]).includes(kind))
      throw new UsageError(`--kind must be one of ${entryKinds.join(', ')}.`);
  const study = stringOption(invocation.options, 'study');
  const last = numberOption(invocation.options, 'last', { least: 1, most: 1e9, whole: true });
  const place = await placeOf(path);
  const chosen: Entry[] = [];
  const verification = await walk(place.ledger, await ownCheckpoint(place), undefined, (entry) => {
    const named = 'study' in entry.body ? entry.body.study : undefined;
    if (kinds.size > 0 && !kinds.has(entry.kind)) return;
    if (study !== undefined && !(typeof named === 'string' && named.startsWith(study))) return;
    chosen.push(entry);
    if (last !== undefined && chosen.length > last) chosen.shift();
  });
  if (invocation.json)
    invocation.out(
      `${JSON.stringify({ verified: verification.ok, entries: chosen, findings: verification.findings })}\n`,
    );
  else
    for (const entry of chosen)
      invocation.out(
        `${String(entry.seq).padStart(6)}  ${entry.time}  ${describeActor(entry.actor)}: ${describeEntry(entry)}\n`,
      );
  if (verification.ok) return 0;
  invocation.warn(`${verification.findings[0]!.sentence} What comes after it is not shown.\n`);
  return 1;
}

type Place = {
  readonly folder: string;
  readonly ledger: string;
  readonly isFolder: boolean;
  /** Studies of the institution whose home this is; null for a ledger that stands alone. */
  readonly studies: string | null;
};

async function placeOf(path: string): Promise<Place> {
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

async function ownCheckpoint(place: Place): Promise<readonly string[]> {
  try {
    return [await readFile(join(place.folder, checkpointFileName), 'utf8')];
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw diskError(error, 'The checkpoint');
  }
}

async function walk(
  ledger: string,
  checkpoints: readonly string[],
  key: Uint8Array | undefined,
  visit: (entry: Entry) => void,
): Promise<Verification> {
  try {
    const handle = await open(ledger, 'r');
    try {
      const verifier = startVerification(nodeCipher, checkpoints, key);
      let torn = false;
      for await (const line of linesOf(handle)) {
        torn = !line.complete;
        const entry = torn ? null : verifier.push(line.bytes);
        if (entry !== null) visit(entry);
      }
      return verifier.finish(torn);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw diskError(error, `The ledger ${ledger}`);
  }
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw systemCode(error) === 'ENOENT'
      ? new InputError('not-found', `There is no file ${path}.`)
      : diskError(error, `The file ${path}`);
  }
}

const readText = async (path: string): Promise<string> => (await read(path)).toString('utf8');

async function keyOption(invocation: Invocation): Promise<Uint8Array | undefined> {
  const given = stringOption(invocation.options, 'key');
  if (given === undefined) return undefined;
  if (/^[0-9a-fA-F]{64}$/.test(given)) return fromHex(given.toLowerCase());
  const text = await readText(given);
  try {
    const key = createPublicKey(text);
    if (key.asymmetricKeyType === 'ed25519')
      return new Uint8Array(key.export({ format: 'der', type: 'spki' }).subarray(-32));
  } catch {
    // Said below, in our words.
  }
  throw new InputError('key-unreadable', `The file ${given} holds no Ed25519 public key in PEM form.`);
}

const keyOf = (checkpoint: string): string => checkpoint.slice(0, checkpoint.indexOf('\n')).split('/').at(-1)!;

/** Contracts of an export's `contracts`, and of a home's studies; only those whose SHA-256 the ledger names. */
async function contractsOf({ folder, studies }: Place, ledger: Uint8Array): Promise<readonly Uint8Array[]> {
  const candidates: Uint8Array[] = [];
  for (const name of await namesIn(join(folder, 'contracts')))
    if (name.endsWith('.json')) candidates.push(new Uint8Array(await read(join(folder, 'contracts', name))));
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
