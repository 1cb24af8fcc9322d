// `consilience ledger verify | export | show`: the auditor's tools. They read a participant's folder or an exported
// bundle, need no keys, take no lock and change nothing in it. Design 1, "Audit" and "Command line"; design 4.

import { createPublicKey } from 'node:crypto';
import { open } from 'node:fs/promises';
import { fromHex } from '../../app/encoding/bytes.ts';
import { InputError } from '../../app/errors.ts';
import { startVerification } from '../../app/ledger/chain.ts';
import type { Verification } from '../../app/ledger/chain.ts';
import { entryKinds } from '../../app/ledger/entry.ts';
import type { Entry } from '../../app/ledger/entry.ts';
import { describeActor, describeEntry } from '../../app/ledger/sentences.ts';
import { diskError } from '../host/disk/disk-error.ts';
import { exportLedger, ownCheckpoint, placeOf } from '../host/ledger/ledger-export.ts';
import { linesOf } from '../host/disk/line-reader.ts';
import { readNamedFile } from '../host/disk/read-named.ts';
import { nodeCipher } from '../host/machine.ts';
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
  const { entries, files } = await exportLedger(path, out, { key });
  if (invocation.json) invocation.out(`${JSON.stringify({ exported: out, entries, files })}\n`);
  else
    invocation.out(
      `Exported ${entries} entries to ${out}. Begin with report.md; VERIFY.md says how to check it without this program.\n`,
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

const readText = async (path: string): Promise<string> => (await readNamedFile(path)).toString('utf8');

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
