// The register: keyed prints of every person and row that was ever imported here, by lineage, and of the persons who
// object. Sealed, and bound to the ledger in both directions, so that imported data can be used only beside the ledger
// that counts what was used of it. Design 4, "The budget follows the person, not the file".
//
//   "CREG1" ‖ hash of the ledger's first entry (32) ‖ sealed (u32 length of JSON ‖ JSON ‖ print sets)

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { concat, equalBytes, fromHex, readU32, toHex, u32, utf8 } from '../../../app/encoding/bytes.ts';
import { canonicalBytes, parseCanonical } from '../../../app/encoding/canonical-json.ts';
import { hkdf } from '../../../app/encoding/hkdf.ts';
import { RefusalError } from '../../../app/errors.ts';
import type { Entry } from '../../../app/ledger/entry.ts';
import { noPrints, printCount, printLength, sharesAny, unionOf } from '../../../app/training/prints.ts';
import type { Excluded, PrintSet, Prints } from '../../../app/training/prints.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { diskError, systemCode } from '../disk/disk-error.ts';
import type { Keystore } from '../keys/keystore.ts';
import { nodeCipher } from '../machine.ts';

export const registerPath = (home: string): string => join(home, 'register.sealed');

/** Prints of one lineage: persons; rows of all versions; rows of those versions that name no persons. */
type LineagePrints = {
  readonly id: string;
  readonly persons: PrintSet;
  readonly rows: PrintSet;
  readonly bareRows: PrintSet;
};

export type Register = {
  /** Lineages whose persons or rows an import shares. */
  touching(prints: Prints): ReadonlySet<string>;
  /** Adds an import to lineage `id`, into which those of `merged` go. Durable when it resolves. @returns the digest for the ledger's next entry. */
  add(id: string, merged: readonly string[], prints: Prints): Promise<string>;
  /** Adds persons who object; nobody is ever taken off. @returns the digest for the ledger's next entry. */
  exclude(persons: PrintSet): Promise<string>;
  readonly excluded: () => Excluded;
  /** Changes whenever a person is added to those who object. */
  readonly excludedDigest: () => string;
};

export type RegisterOptions = {
  readonly home: string;
  readonly keystore: Pick<Keystore, 'seal' | 'open' | 'lineageKey'>;
  /** The ledger's entries so far; those appended later may be added to it. */
  readonly entries: readonly EntryWithHash[];
};

const magic = utf8('CREG1');
const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
const headerSchema = z.strictObject({
  format: z.literal('consilience/register/1'),
  /** The ledger's end when this was written. */
  ledger: z.strictObject({ size: count, last: hex32 }),
  /** Digest that the ledger named then: one step ahead of the ledger is a crash, more is an old copy. */
  previous: hex32.nullable(),
  lineages: z.array(z.strictObject({ id: z.string(), persons: count, rows: count, bareRows: count })),
  excluded: count,
});

/**
 * @throws RefusalError `ledger-not-of-data` where the ledger was lost or reset, `ledger-behind-data` where an old one was
 * put back, `register-lost`, `register-behind`, `state-altered`; UnavailableError.
 */
export async function openRegister(options: RegisterOptions): Promise<Register> {
  const { home, keystore, entries } = options;
  const path = registerPath(home);
  const printKey = printKeyOf(keystore);
  const stored = await readFile(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null;
    throw diskError(error, `The register ${path}`);
  });
  let lineages: readonly LineagePrints[] = [];
  let persons: PrintSet = noPrints;

  const noted = (): string | null => {
    const last = entries.findLast(({ entry }) => typeof registerOf(entry) === 'string');
    return last === undefined ? null : registerOf(last.entry);
  };
  const digestOf = (plain: Uint8Array): string => toHex(nodeCipher.hmacSha256(printKey, utf8('register\0'), plain));
  const first = (): Uint8Array => {
    const entry = entries[0];
    if (entry === undefined)
      throw new RefusalError(
        'ledger-empty',
        'The privacy log is empty although an invitation was answered here: it was lost or reset. Put the ledger folder back from its backup.',
      );
    return fromHex(entry.hash, 32);
  };

  if (stored === null) {
    if (noted() !== null)
      throw new RefusalError(
        'register-lost',
        `The register of persons ${path} is gone, so nobody could tell whose privacy allowance an import shares. Put it back from the backup of this folder; nothing was opened.`,
      );
  } else read(new Uint8Array(stored));

  function read(bytes: Uint8Array): void {
    const start = magic.length + 32;
    const bound = bytes.subarray(magic.length, start);
    const own = entries[0];
    if (bytes.length < start || !equalBytes(bytes.subarray(0, magic.length), magic))
      throw new RefusalError(
        'state-altered',
        `The register of persons ${path} was altered. Put it back from a backup.`,
      );
    if (own === undefined || toHex(bound) !== own.hash)
      throw new RefusalError(
        'ledger-not-of-data',
        'Data imported here can be opened only beside the privacy log that counts what was used of it. That log was lost, reset or replaced. Put the ledger folder back from its backup; nothing was opened.',
      );
    const plain = keystore.open(bytes.subarray(start), purposeOf(bound));
    const jsonEnd = 4 + readU32(plain, 0);
    const header = headerSchema.parse(parseCanonical(plain.subarray(4, jsonEnd)));
    const { size, last } = header.ledger;
    if (entries[size - 1]?.hash !== last)
      throw new RefusalError(
        'ledger-behind-data',
        'The privacy log is older than the data that it should count: an old copy was put back. Put back the newest copy of the whole folder; nothing was opened.',
      );
    const named = noted();
    if (named !== digestOf(plain) && named !== header.previous)
      throw new RefusalError(
        'register-behind',
        `The register of persons ${path} is not the one that the privacy log names: an old copy was put back. Put back the newest copy of the whole folder; nothing was opened.`,
      );
    let at = jsonEnd;
    const take = (prints: number): PrintSet => plain.slice(at, (at += prints * printLength));
    lineages = header.lineages.map(({ id, persons: known, rows, bareRows }) => ({
      id,
      persons: take(known),
      rows: take(rows),
      bareRows: take(bareRows),
    }));
    persons = take(header.excluded);
    plain.fill(0);
  }

  async function write(nextLineages: readonly LineagePrints[], nextPersons: PrintSet): Promise<string> {
    const bound = first();
    const header: z.infer<typeof headerSchema> = {
      format: 'consilience/register/1',
      ledger: { size: entries.length, last: entries.at(-1)!.hash },
      previous: noted(),
      lineages: nextLineages.map((one) => ({
        id: one.id,
        persons: printCount(one.persons),
        rows: printCount(one.rows),
        bareRows: printCount(one.bareRows),
      })),
      excluded: printCount(nextPersons),
    };
    const json = canonicalBytes(header);
    const sets = nextLineages.flatMap((one) => [one.persons, one.rows, one.bareRows]);
    const plain = concat(u32(json.length), json, ...sets, nextPersons);
    await writeFileAtomically(path, concat(magic, bound, keystore.seal(plain, purposeOf(bound))));
    [lineages, persons] = [nextLineages, nextPersons];
    return digestOf(plain);
  }

  return {
    touching(prints) {
      const touched = lineages.filter(
        (one) =>
          (prints.persons !== null && sharesAny(prints.persons, one.persons)) ||
          // Rows tell nothing more where both name their persons: two people may have equal rows.
          sharesAny(prints.rows, prints.persons === null ? one.rows : one.bareRows),
      );
      return new Set(touched.map((one) => one.id));
    },
    add(id, merged, prints) {
      const bare = prints.persons === null;
      const own = {
        id,
        persons: prints.persons ?? noPrints,
        rows: prints.rows,
        bareRows: bare ? prints.rows : noPrints,
      };
      const isPart = (one: LineagePrints): boolean => one.id === id || merged.includes(one.id);
      const joined = lineages.filter(isPart).reduce<LineagePrints>(
        (sum, one) => ({
          id,
          persons: unionOf(sum.persons, one.persons),
          rows: unionOf(sum.rows, one.rows),
          bareRows: unionOf(sum.bareRows, one.bareRows),
        }),
        own,
      );
      return write([...lineages.filter((one) => !isPart(one)), joined], persons);
    },
    exclude: (more) => write(lineages, unionOf(persons, more)),
    excluded: () => ({ key: printKey, persons }),
    excludedDigest: () => toHex(nodeCipher.hmacSha256(printKey, utf8('excluded\0'), persons)),
  };
}

/** Keys prints of persons and rows; derived, so that the trainer never holds the lineage key itself. */
export function printKeyOf(keystore: Pick<Keystore, 'lineageKey'>): Uint8Array {
  return hkdf(nodeCipher, keystore.lineageKey, new Uint8Array(0), utf8('consilience/prints/1'), 32);
}

const purposeOf = (bound: Uint8Array): string => `register/${toHex(bound)}`;

function registerOf(entry: Entry): string | null {
  if (entry.kind !== 'dataset-imported' && entry.kind !== 'exclusion-list-loaded') return null;
  const named = entry.body['register'];
  return typeof named === 'string' ? named : null;
}
