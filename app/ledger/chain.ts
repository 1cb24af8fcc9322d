// Growing and checking the hash chain. Verification streams line by line, names the FIRST bad entry and says in words
// what is wrong with it. Design 4, "The ledger". Where two neighbours disagree, the one that other evidence (the next
// line's `previous`, a checkpoint) confirms is believed and the other is named.

import { utf8 } from '../encoding/bytes.ts';
import { parseCanonical } from '../encoding/canonical-json.ts';
import { InputError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { LedgerHead } from './checkpoint.ts';
import { emptyHash, encodeEntry, hashOfLine, ledgerTime, problemOf } from './entry.ts';
import type { Actor, Entry, EntryBody, EntryKind } from './entry.ts';

export const emptyHead: LedgerHead = { size: 0, last: emptyHash };

export type Appended = {
  readonly entry: Entry;
  /** Without newline. */ readonly line: Uint8Array;
  readonly head: LedgerHead;
};

/**
 * The next line after `head`. Pure: nothing is written.
 * @param milliseconds the clock's reading
 * @throws TypeError naming the field when kind, body or actor do not follow the schema
 */
export function appendEntry<Kind extends EntryKind>(
  cipher: Cipher,
  head: LedgerHead,
  milliseconds: number,
  actor: Actor,
  kind: Kind,
  body: EntryBody<Kind>,
): Appended {
  const seq = head.size + 1;
  const entry = { seq, time: ledgerTime(milliseconds), actor, kind, body, previous: head.last } as Entry;
  const line = encodeEntry(entry);
  return { entry, line, head: { size: seq, last: hashOfLine(cipher, line) } };
}

export type FindingCode =
  | 'altered'
  | 'missing'
  | 'reordered'
  | 'repeated'
  | 'not-json'
  | 'not-canonical'
  | 'malformed'
  | 'unknown-kind'
  | 'wrong-seq'
  | 'torn'
  | 'truncated'
  | 'checkpoint-mismatch'
  | 'checkpoint-malformed'
  | 'checkpoint-other-key'
  | 'checkpoint-bad-signature';

/** `seq`: the entry's number; null for a fault of a checkpoint itself. */
export type Finding = { readonly code: FindingCode; readonly seq: number | null; readonly sentence: string };

export type Verification = {
  readonly ok: boolean;
  /** The last entry that is linked to all before it: its number and hash. With `ok`, the ledger's head. */
  readonly head: LedgerHead;
  /** The first bad entry comes first; then what is wrong with checkpoints. */
  readonly findings: readonly Finding[];
  /** The largest size that a valid checkpoint vouches for; null without one. */
  readonly vouchedSize: number | null;
};

type Line = {
  readonly seq: number | null;
  readonly previous: string;
  readonly hash: string;
  readonly entry: Entry | null;
};

export type Verifier = {
  /** One line without its newline. Returns the entry when everything up to it is linked. */
  push(line: Uint8Array): Entry | null;
  /** `torn`: the last line had no newline at its end (and was not pushed). */
  finish(torn?: boolean): Verification;
};

/**
 * @param checkpoints texts of checkpoints that this ledger wrote at any time; their order does not matter
 * @param expectedKey the ledger's public key known from elsewhere (see readCheckpoint)
 */
export function startVerification(cipher: Cipher, checkpoints: readonly string[], expectedKey?: Uint8Array): Verifier {
  const vouched = new Map<number, string>([[0, emptyHash]]);
  const checkpointFindings: Finding[] = [];
  let vouchedSize: number | null = null;
  for (const text of checkpoints) {
    try {
      const { size, last } = readCheckpoint(cipher, text, expectedKey);
      if ((vouched.get(size) ?? last) !== last)
        checkpointFindings.push({
          code: 'checkpoint-mismatch',
          seq: size,
          sentence: `Two valid checkpoints name different hashes for entry ${size}: there were two ledgers under one key.`,
        });
      vouched.set(size, last);
      vouchedSize = Math.max(size, vouchedSize ?? 0);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      checkpointFindings.push({ code: error.code as FindingCode, seq: null, sentence: error.message });
    }
  }

  let head = emptyHead;
  let found: Finding | null = null;
  // A break between `head` and `doubtful` (the next line) waits for one more line to tell which of the two is wrong.
  let doubtful: Line | null = null;
  // A gap waits for the rest of the file, in which the absent entry may still stand.
  let gap: { readonly seq: number; readonly instead: number } | null = null;
  let position = 0;

  const blame = (code: FindingCode, seq: number, sentence: string): void => {
    found ??= { code, seq, sentence };
  };

  const resolveDoubt = (next: Line | null): void => {
    if (doubtful === null) return;
    const seq = head.size + 1;
    const own = doubtful.hash;
    const believed = next?.previous === own || vouched.get(seq) === own;
    const vouchedBefore = vouched.get(head.size) === head.last;
    if (vouchedBefore || (!believed && (next !== null || vouched.has(seq))))
      blame('altered', seq, `Entry ${seq} was altered: it does not follow from entry ${head.size} as it stands here.`);
    else {
      const before = head.size;
      const sentence = believed
        ? `Entry ${before} was altered after it was written: entry ${seq} was linked to another text.`
        : `Entries ${before} and ${seq} do not fit together: one was altered, and nothing after them tells which.`;
      blame('altered', before, sentence);
    }
    doubtful = null;
  };

  const checkVouched = (): void => {
    const expected = vouched.get(head.size);
    if (expected === undefined || expected === head.last || found !== null) return;
    blame(
      'checkpoint-mismatch',
      head.size,
      `Entry ${head.size} is not the one that a signed checkpoint names: it, or an earlier entry with all that follow, was rewritten.`,
    );
  };

  const push = (bytes: Uint8Array): Entry | null => {
    position++;
    const [line, fault] = readLine(cipher, bytes);
    if (gap !== null) {
      if (line?.seq === gap.seq)
        found = {
          code: 'reordered',
          seq: gap.seq,
          sentence: `Entry ${gap.seq} does not stand in its place: entry ${gap.instead} stands there, and it comes only as line ${position}.`,
        };
      if (found !== null) gap = null;
      return null;
    }
    if (found !== null) return null;
    resolveDoubt(line);
    if (found !== null) return null;
    const seq = head.size + 1;
    if (fault !== null) {
      blame(fault.code, seq, `Entry ${seq} ${fault.sentence}.`);
      return null;
    }
    if (line.seq !== seq) {
      const other = line.seq!;
      if (line.previous === head.last)
        blame(
          'wrong-seq',
          seq,
          `Entry ${seq} was altered: it carries the number ${other} though it follows entry ${head.size}.`,
        );
      else if (other < seq) blame('repeated', seq, `In place of entry ${seq} entry ${other} stands a second time.`);
      else gap = { seq, instead: other };
      return null;
    }
    if (line.previous !== head.last) {
      doubtful = line;
      return null;
    }
    const before = head;
    head = { size: seq, last: line.hash };
    checkVouched();
    if (found !== null) {
      head = before;
      return null;
    }
    return line.entry;
  };

  const finish = (torn = false): Verification => {
    resolveDoubt(null);
    if (gap !== null) {
      const { seq, instead } = gap;
      const which = instead === seq + 1 ? `Entry ${seq} is` : `Entries ${seq} to ${instead - 1} are`;
      blame('missing', seq, `${which} missing: entry ${instead} stands in the place.`);
      gap = null;
    }
    const cutOff = vouchedSize !== null && head.size < vouchedSize;
    if (torn && !cutOff) {
      const seq = head.size + 1;
      blame(
        'torn',
        seq,
        `Entry ${seq} is not complete: the file ends in the middle of its line. A write was cut off, or is going on.`,
      );
    }
    if (cutOff) {
      const from = head.size + 1;
      const which = from === vouchedSize ? `entry ${from} is` : `entries ${from} to ${vouchedSize} are`;
      blame('truncated', from, `The end of the ledger was cut off: ${which} missing, which a signed checkpoint names.`);
    }
    const findings = found === null ? checkpointFindings : [found, ...checkpointFindings];
    return { ok: findings.length === 0, head, findings, vouchedSize };
  };

  return { push, finish };
}

type Fault = { readonly code: FindingCode; readonly sentence: string };

function readLine(cipher: Cipher, bytes: Uint8Array): [Line, null] | [Line | null, Fault] {
  let value;
  try {
    value = parseCanonical(bytes);
  } catch (error) {
    // Text that JSON reads but canonical form cannot say (an unpaired surrogate) comes as a RangeError or TypeError.
    const notJson = error instanceof InputError && error.code === 'not-json';
    return [
      null,
      notJson
        ? { code: 'not-json', sentence: 'was altered: its line is not JSON text' }
        : { code: 'not-canonical', sentence: 'was altered: its line is not in canonical form (RFC 8785)' },
    ];
  }
  const hash = hashOfLine(cipher, bytes);
  const problem = problemOf(value);
  if (problem === null) {
    const entry = value as unknown as Entry;
    return [{ seq: entry.seq, previous: entry.previous, hash, entry }, null];
  }
  const said =
    problem.code === 'malformed'
      ? `is not formed as its kind demands: ${problem.sentence}`
      : `is unknown: ${problem.sentence}`;
  return [null, { code: problem.code, sentence: said }];
}

/** Verifies a whole ledger file held in memory: text or bytes. */
export function verifyLedger(
  cipher: Cipher,
  file: Uint8Array | string,
  checkpoints: readonly string[],
  expectedKey?: Uint8Array,
): Verification {
  const bytes = typeof file === 'string' ? utf8(file) : file;
  const verifier = startVerification(cipher, checkpoints, expectedKey);
  let from = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, from)) {
    verifier.push(bytes.subarray(from, end));
    from = end + 1;
  }
  return verifier.finish(from < bytes.length);
}
