// The form in which an event of the study lies in the store: canonical JSON, large bytes (boxes, documents) beside it.
// What is read back was written by this program, yet it is parsed strictly: a damaged line must not become a state.

import { z } from 'zod';
import { canonicalJson, parseCanonical } from '../../../app/encoding/canonical-json.ts';
import { ConsilienceError, InvariantError } from '../../../app/errors.ts';
import type { StudyEvent } from '../../../app/round/coordinator-study.ts';
import { messageFrom } from '../../../app/round/messages.ts';
import type { Message } from '../../../app/round/messages.ts';

/** Events that this coordinator makes: `opened` is only ever part of `summed`. */
export type StoredEvent = Exclude<StudyEvent, { readonly kind: 'opened' }>;

export type EventRow = { readonly body: string; readonly attachment: Uint8Array | null };

const now = z.number().int();
const index = z.number().int().min(0).max(499);
const hex32 = z.string().regex(/^[0-9a-f]{64}$/);

const adaptation = z.strictObject({
  clip: z.number().positive().exactOptional(),
  noise: z.strictObject({ level: z.int().min(0), quiet: z.int().min(0) }).exactOptional(),
});

const schema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('message'), message: z.unknown(), now }),
  z.strictObject({ kind: z.literal('uploaded'), sender: z.number().int().min(0).max(0xffff), now }),
  z.strictObject({ kind: z.literal('tick'), now }),
  z.strictObject({ kind: z.literal('consented'), index, now }),
  z.strictObject({ kind: z.literal('withdrawn'), index, now }),
  z.strictObject({
    kind: z.literal('replaced'),
    index,
    counter: z.number().int().min(1).max(0xffff_ffff),
    head: hex32,
    now,
  }),
  z.strictObject({
    kind: z.literal('summed'),
    sum: hex32,
    model: hex32,
    adaptation: adaptation.exactOptional(),
    spoiled: z.boolean(),
    now,
  }),
  z.strictObject({ kind: z.literal('resumed'), now }),
  z.strictObject({ kind: z.literal('restored'), skip: z.number().int().min(0).max(200_000), now }),
  z.strictObject({ kind: z.literal('abandoned'), reason: z.string().regex(/^[a-z0-9-]{1,64}$/), now }),
]);

/** @param document bytes to keep beside an event that has none of its own (a signed consent or withdrawal). */
export function encodeEvent(event: StoredEvent, document: Uint8Array | null): EventRow {
  if (event.kind !== 'message') return { body: canonicalJson(event), attachment: document };
  const { bundle, ...rest } = event;
  return { body: canonicalJson(rest), attachment: bundle ?? null };
}

/** @throws InvariantError `event-damaged`. */
export function decodeEvent(seq: number, row: EventRow): StoredEvent {
  try {
    const event = schema.parse(parseCanonical(row.body));
    if (event.kind !== 'message') return event;
    const message = messageFrom(event.message) as Message;
    return { ...event, message, ...(row.attachment === null ? {} : { bundle: row.attachment }) };
  } catch (cause) {
    if (!(cause instanceof z.ZodError || cause instanceof ConsilienceError)) throw cause;
    throw new InvariantError(
      'event-damaged',
      `Event ${seq} of the coordinator’s store is damaged. Put the folder back from a backup; participants lose nothing.`,
      { cause },
    );
  }
}
