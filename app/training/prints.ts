// Keyed prints of persons and rows: 16 bytes of HMAC-SHA-256 under a key that never leaves the machine, sorted and without
// repeats, so that two imports can be compared without keeping anybody's identifier. Design 4, "The budget follows the
// person, not the file".

import { compareBytes, u8, utf8 } from '../encoding/bytes.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { normalisedPerson } from './person-identifier.ts';
import { selectRows } from './records.ts';
import type { Records } from './records.ts';

export const printLength = 16;

/** A set of prints: concatenated, ascending, each once. */
export type PrintSet = Uint8Array;

export type Prints = {
  /** Null where no column names the person of a row. */
  readonly persons: PrintSet | null;
  /** Of each row's encoded features and label. */
  readonly rows: PrintSet;
};

export const noPrints: PrintSet = new Uint8Array(0);

const [personTag, rowTag] = [u8(1), u8(2)];

export function personPrint(cipher: Cipher, key: Uint8Array, identifier: string): Uint8Array {
  return cipher.hmacSha256(key, personTag, utf8(normalisedPerson(identifier))).subarray(0, printLength);
}

export function personPrints(cipher: Cipher, key: Uint8Array, identifiers: Iterable<string>): PrintSet {
  const different = new Set<string>();
  for (const identifier of identifiers) different.add(normalisedPerson(identifier));
  return printSet([...different].map((identifier) => personPrint(cipher, key, identifier)));
}

/** Persons and rows of accepted records. */
export function printsOf(cipher: Cipher, key: Uint8Array, records: Records): Prints {
  const { rows, width, features, labels, persons } = records;
  const row = new Float32Array(width + 1);
  const bytes = new Uint8Array(row.buffer);
  const prints: Uint8Array[] = [];
  for (let at = 0; at < rows; at++) {
    row.set(features.subarray(at * width, (at + 1) * width));
    row[width] = labels[at] ?? 0;
    prints.push(cipher.hmacSha256(key, rowTag, bytes).subarray(0, printLength));
  }
  return { persons: persons === null ? null : personPrints(cipher, key, persons), rows: printSet(prints) };
}

/** @throws RangeError for a print of another length. */
export function printSet(prints: readonly Uint8Array[]): PrintSet {
  if (prints.some((print) => print.length !== printLength))
    throw new RangeError(`prints must be of ${printLength} bytes`);
  const sorted = [...prints].sort(compareBytes);
  const set = new Uint8Array(sorted.length * printLength);
  let length = 0;
  for (const [at, print] of sorted.entries()) {
    if (at > 0 && compareBytes(print, sorted[at - 1]!) === 0) continue;
    set.set(print, length);
    length += printLength;
  }
  return set.slice(0, length);
}

export const printCount = (set: PrintSet): number => set.length / printLength;

export function unionOf(left: PrintSet, right: PrintSet): PrintSet {
  const joined = new Uint8Array(left.length + right.length);
  let length = 0;
  eachPair(left, right, (print) => {
    joined.set(print, length);
    length += printLength;
    return true;
  });
  return joined.slice(0, length);
}

export function sharesAny(left: PrintSet, right: PrintSet): boolean {
  let shared = false;
  eachPair(left, right, (_print, both) => {
    shared = both;
    return !both;
  });
  return shared;
}

export function hasPrint(set: PrintSet, print: Uint8Array): boolean {
  let [low, high] = [0, printCount(set)];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareBytes(printAt(set, middle), print);
    if (order === 0) return true;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return false;
}

/** Persons who object, as the trainer knows them. */
export type Excluded = { readonly key: Uint8Array; readonly persons: PrintSet };

/**
 * The records without the rows of persons who object; nothing of them is sampled, counted or read after this.
 * @throws RefusalError `exclusion-without-persons` where no column says whose a row is.
 */
export function withoutExcluded(cipher: Cipher, records: Records, excluded: Excluded): Records {
  if (excluded.persons.length === 0) return records;
  const { persons } = records;
  if (persons === null)
    throw new RefusalError(
      'exclusion-without-persons',
      'Some persons object to the use of their records, but no column names the person of a row. Take them out of the file and consent again with --excluded-removed.',
    );
  const objects = new Map<string, boolean>();
  for (const name of persons)
    if (!objects.has(name)) objects.set(name, hasPrint(excluded.persons, personPrint(cipher, excluded.key, name)));
  const kept = [...persons.keys()].filter((row) => objects.get(persons[row]!) === false);
  return selectRows(records, kept);
}

/**
 * Test persons must not be training persons.
 * @throws RefusalError `test-persons-in-training`, without saying who or how many.
 */
export function requireDisjoint(training: PrintSet, test: PrintSet): void {
  if (sharesAny(training, test))
    throw new RefusalError(
      'test-persons-in-training',
      'Some persons of the test records are also in the training records. Split by person, not by row.',
    );
}

const printAt = (set: PrintSet, at: number): Uint8Array => set.subarray(at * printLength, (at + 1) * printLength);

/** Every print of either set, ascending; `take` returns false to stop. */
function eachPair(left: PrintSet, right: PrintSet, take: (print: Uint8Array, both: boolean) => boolean): void {
  let [i, j] = [0, 0];
  const [most, others] = [printCount(left), printCount(right)];
  while (i < most || j < others) {
    const order = i === most ? 1 : j === others ? -1 : compareBytes(printAt(left, i), printAt(right, j));
    if (!take(order <= 0 ? printAt(left, i) : printAt(right, j), order === 0)) return;
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
}
