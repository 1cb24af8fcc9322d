// What an auditor takes away: the ledger, its checkpoint, contracts, public keys, a report in words, the steps that
// verify all of it with openssl and sha256sum alone, and a page that does so in a browser. Pure: a list of files. Design 4, "Export".

import { toHex, utf8 } from '../encoding/bytes.ts';
import { canonicalJson } from '../encoding/canonical-json.ts';
import { InputError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { ed25519Pem } from './pem.ts';
import { startVerification } from './chain.ts';
import type { Verification } from './chain.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { Entry } from './entry.ts';
import { reportHead, reportLine } from './report.ts';
import { verifyPage } from './verify-page.ts';
import { verifySteps } from './verify-steps.ts';

export type ExportFile = { readonly path: string; readonly bytes: Uint8Array };

export type ExportInput = {
  /** ledger.jsonl as it is on disk. */
  readonly ledger: Uint8Array;
  readonly checkpoint: string;
  /** Canonical JSON of contracts that the ledger names; their SHA-256 becomes the file name. */
  readonly contracts: readonly Uint8Array[];
  /** Other parties' identity keys. `name`: lower-case letters, digits, hyphens. */
  readonly publicKeys: readonly { readonly name: string; readonly publicKey: Uint8Array }[];
  /** Known from elsewhere; see readCheckpoint. */
  readonly expectedKey?: Uint8Array;
};

export type ExportBundle = { readonly files: readonly ExportFile[]; readonly verification: Verification };

/** Every entry is verified, and later said in words. */
export type ExportProgress = { readonly done: number; readonly total: number };

/** Entries of one step: a few milliseconds. */
const entriesAtOnce = 50;

/**
 * The bundle's files, paths relative to its folder.
 * @throws InputError `ledger-broken` when the ledger does not verify (with the first bad entry)
 */
export function exportBundle(cipher: Cipher, input: ExportInput): ExportBundle {
  const steps = exportSteps(cipher, input);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The same in small steps, so that whoever takes them can do other things between two, say how far it is, and stop. */
export function* exportSteps(cipher: Cipher, input: ExportInput): Generator<ExportProgress, ExportBundle, void> {
  const entries: Entry[] = [];
  const verifier = startVerification(cipher, [input.checkpoint], input.expectedKey);
  let lines = 0;
  for (let end = input.ledger.indexOf(0x0a); end >= 0; end = input.ledger.indexOf(0x0a, end + 1)) lines++;
  const total = 2 * lines;
  let done = 0;
  let from = 0;
  for (let end = input.ledger.indexOf(0x0a); end >= 0; end = input.ledger.indexOf(0x0a, from)) {
    const entry = verifier.push(input.ledger.subarray(from, end));
    if (entry !== null) entries.push(entry);
    from = end + 1;
    if (++done % entriesAtOnce === 0) yield { done, total };
  }
  const verification = verifier.finish(from < input.ledger.length);
  if (!verification.ok)
    throw new InputError(
      'ledger-broken',
      `The ledger does not verify, so nothing was exported; keep the folder itself as evidence. ${verification.findings[0]!.sentence}`,
    );
  const checkpoint = readCheckpoint(cipher, input.checkpoint, input.expectedKey);
  const contracts = input.contracts.map((bytes) => ({ hash: toHex(cipher.sha256(bytes)), bytes }));
  const keys = [{ name: 'ledger', publicKey: checkpoint.publicKey }, ...input.publicKeys];
  for (const { name } of keys)
    if (!/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/.test(name) || keys.filter((key) => key.name === name).length > 1)
      throw new RangeError('publicKeys must have distinct names of lower-case letters, digits and inner hyphens');

  const hashes = contracts.map((contract) => contract.hash);
  const report = [reportHead(entries, checkpoint, hashes)];
  for (const entry of entries) {
    report.push(reportLine(entry));
    if (++done % entriesAtOnce === 0) yield { done, total };
  }

  const files: ExportFile[] = [
    { path: 'ledger.jsonl', bytes: input.ledger },
    { path: 'checkpoint', bytes: utf8(input.checkpoint) },
    ...contracts.map(({ hash, bytes }) => ({ path: `contracts/${hash}.json`, bytes })),
    ...keys.map(({ name, publicKey }) => ({ path: `keys/${name}.pem`, bytes: utf8(ed25519Pem(publicKey)) })),
    {
      path: 'keys.json',
      bytes: utf8(`${canonicalJson(Object.fromEntries(keys.map((key) => [key.name, toHex(key.publicKey)])))}\n`),
    },
    { path: 'report.md', bytes: utf8(report.join('')) },
    { path: 'VERIFY.md', bytes: utf8(verifySteps) },
    { path: 'verify.html', bytes: utf8(verifyPage) },
  ];
  const sums = files.map(({ path, bytes }) => `${toHex(cipher.sha256(bytes))}  ${path}\n`);
  return { files: [...files, { path: 'SHA256SUMS', bytes: utf8(sums.join('')) }], verification };
}
