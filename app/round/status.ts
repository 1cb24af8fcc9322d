// What the coordinator tells a participant of the study, on the wire: a superset of the engine's StudyStatus, with counts
// and times for people. Nothing in it is believed without the signed lists. Design 6, "API".

import { z } from 'zod';
import { canonicalBytes, parseCanonical } from '../encoding/canonical-json.ts';
import { InputError } from '../errors.ts';
import { stageOrder } from './coordinator-state.ts';
import type { CoordinatorRound } from './coordinator-state.ts';
import { statusFor } from './coordinator-study.ts';
import type { CoordinatorStudy } from './coordinator-study.ts';
import type { StudyStatus } from './engine-ports.ts';
import { expectStage, messageFrom } from './messages.ts';

const whole = z.number().int().nonnegative();
const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const indices = z.array(whole.max(499)).max(500);

export const statusSchema = z.object({
  /** Give it back with the next call: the answer then waits until something has changed. */
  cursor: whole,
  /** The coordinator's clock, ms UTC. */
  now: whole,
  outcome: z.string().max(64).nullable(),
  closed: whole,
  /** Rounds that the study terms plan. */
  rounds: whole,
  lastClosed: z.object({ round: whole, sum: hex32 }),
  consented: indices,
  withdrawn: indices,
  /** Institutions proven to have deviated, excluded until the lead decides. */
  excluded: z.array(z.object({ index: whole, reason: z.string().max(64) })).max(500),
  opensAt: whole.nullable(),
  round: z
    .object({
      number: whole,
      stage: z.enum([...stageOrder, 'aborted']),
      eligible: z.boolean(),
      deadline: whole.nullable(),
      readies: whole,
      shares: whole,
      /** Announced contributions, and those whose every chunk is there. */
      masked: whole,
      uploaded: whole,
      consistency: whole,
      unmask: whole,
    })
    .nullable(),
  /** The newest round that ended without a sum. */
  aborted: z.object({ round: whole, reason: z.string().max(64) }).nullable(),
  complaints: z.array(z.unknown()).max(500),
  witness: z.object({ counter: whole, head: hex32 }).nullable(),
  /** Changes of the coordinator's key so far, where there are any. */
  keyChanges: whole.optional(),
});

export type CoordinatorStatus = Omit<z.infer<typeof statusSchema>, 'complaints'> & StudyStatus;

export function coordinatorStatus(
  study: CoordinatorStudy,
  index: number,
  { cursor, now, rounds }: { readonly cursor: number; readonly now: number; readonly rounds: number },
): CoordinatorStatus {
  const own = statusFor(study, index);
  const aborted = study.ended.findLast((round) => round.aborted !== null);
  return {
    ...own,
    cursor,
    now,
    rounds,
    consented: [...study.consented].sort((left, right) => left - right),
    withdrawn: [...study.withdrawn].sort((left, right) => left - right),
    excluded: [...study.excluded.values()].map(({ accused, reason }) => ({ index: accused, reason })),
    opensAt: study.opensAt,
    round: study.round && own.round && { ...own.round, ...countsOf(study.round) },
    aborted: aborted === undefined ? null : { round: aborted.round, reason: aborted.aborted!.body.reason },
  };
}

function countsOf(round: CoordinatorRound) {
  return {
    deadline: round.deadline,
    readies: round.readies.size,
    shares: round.shares.size,
    masked: round.masked.size,
    uploaded: [...round.masked.values()].filter((held) => held.complete).length,
    consistency: round.consistency.size,
    unmask: round.unmask.size,
  };
}

export const encodeStatus = (status: CoordinatorStatus): Uint8Array => canonicalBytes(status);

/** @throws InputError `message-malformed`, `not-canonical`. */
export function decodeStatus(bytes: Uint8Array): CoordinatorStatus {
  const parsed = statusSchema.safeParse(parseCanonical(bytes));
  if (!parsed.success) throw new InputError('message-malformed', 'The coordinator’s status is malformed.');
  const complaints = parsed.data.complaints.map((value) => expectStage(messageFrom(value), 16));
  return { ...parsed.data, complaints };
}
