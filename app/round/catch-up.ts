// Coming back after missed rounds: a closed round is believed when at least c + 1 institutions, in Readies of a later
// round, say they re-added its sum themselves; the newest may be taken provisionally and is confirmed, or refused, by
// the next list. Design 3, "Catching up precedes R0".

import { z } from 'zod';
import { toHex } from '../encoding/bytes.ts';
import { parseCanonical } from '../encoding/canonical-json.ts';
import { InputError, RefusalError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { expectStage, isSignedBy, messageFrom } from './messages.ts';
import type { Message } from './messages.ts';
import { contextOf, identityKeyOf } from './parameters.ts';
import type { StudyParameters } from './parameters.ts';
import type { ClosedRound } from './participant-state.ts';
import { sumHash } from './result.ts';

export type ClosedRecord = {
  readonly round: number;
  /** H(sum), hex. */
  readonly sum: string;
  /** U3, strictly ascending. */
  readonly survivors: readonly number[];
  /** Readies of later rounds that name this sum as last and verified; empty for the newest. */
  readonly evidence: readonly Message<0>[];
};

const wire = z.array(
  z.strictObject({
    round: z.number().int().min(1).max(0xffff_ffff),
    sum: z.string().regex(/^[0-9a-f]{64}$/),
    survivors: z.array(z.number().int().min(0).max(499)).min(1).max(500),
    evidence: z.array(z.unknown()).max(500),
  }),
);

/** @throws InputError `message-malformed`, `not-canonical`. */
export function decodeClosedRecords(bytes: Uint8Array): ClosedRecord[] {
  const parsed = wire.safeParse(parseCanonical(bytes));
  if (!parsed.success) throw new InputError('message-malformed', 'The list of closed rounds is malformed.');
  return parsed.data.map((record) => ({
    ...record,
    evidence: record.evidence.map((value) => expectStage(messageFrom(value), 0)),
  }));
}

/** Readies that prove the sum of `closed`: at most one a sender, from rounds after it. */
export function evidenceFor(
  closed: { readonly round: number; readonly sum: string },
  readies: Iterable<Message<0>>,
): Message<0>[] {
  const found = new Map<number, Message<0>>();
  for (const ready of readies) {
    const { last } = ready.body;
    if (ready.round > closed.round && last.round === closed.round && last.sum === closed.sum && last.verified)
      if (!found.has(ready.sender)) found.set(ready.sender, ready);
  }
  return [...found.values()].sort((left, right) => left.sender - right.sender);
}

/**
 * Whether a missed round may be applied. @returns the pin, `verified` false in every case: this participant did not add
 * it up itself.
 * @throws RefusalError `survivors-out-of-order`, `sum-off-hash` (the bytes are not that sum), `sum-not-proven` (too few institutions vouch for it
 * and it is not the newest).
 */
export function acceptMissedRound(
  cipher: Cipher,
  parameters: StudyParameters,
  record: ClosedRecord,
  isNewest: boolean,
  chunks: readonly Uint32Array[],
): ClosedRound {
  const { survivors } = record;
  if (survivors.some((index, at) => index >= parameters.identityKeys.length || index <= (survivors[at - 1] ?? -1)))
    throw new RefusalError(
      'survivors-out-of-order',
      `The coordinator names the institutions in the sum of round ${record.round} out of order; nothing was applied.`,
    );
  const found = toHex(sumHash(cipher, parameters, record.round, record.survivors, chunks));
  if (found !== record.sum)
    throw new RefusalError('sum-off-hash', `The sum shown for round ${record.round} is not the one that was closed.`);
  const vouching = new Set<number>();
  for (const ready of record.evidence) {
    const { last, contract } = ready.body;
    const names = last.round === record.round && last.sum === record.sum && last.verified;
    if (!names || ready.round <= record.round || contract !== toHex(parameters.study)) continue;
    const key = identityKeyOf(parameters, ready.sender);
    if (isSignedBy(cipher, contextOf(parameters, ready.round), ready, key)) vouching.add(ready.sender);
  }
  if (vouching.size < parameters.colluders + 1 && !isNewest)
    throw new RefusalError(
      'sum-not-proven',
      `Only ${vouching.size} institutions vouch for the sum of round ${record.round}; ${parameters.colluders + 1} are needed. The coordinator may be lying; nothing was applied.`,
    );
  return { round: record.round, sum: record.sum, verified: false };
}
