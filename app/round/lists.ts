// Broadcasts: the coordinator's small signed part, and beside it the members' signed messages in ascending order. A
// member's body leaves out what equals the recipient's own (contract, config, model, u1 …): the recipient fills in its
// own values, and the member's signature fails if they differed. A field that is present is used as it stands, so that
// a deviating member can be named for what deviates. Design 3, "Bytes".

import { z } from 'zod';
import { canonicalBytes, parseCanonical } from '../encoding/canonical-json.ts';
import { InputError } from '../errors.ts';
import { bodySchemaOf, expectStage, messageFrom } from './messages.ts';
import type { AnyMessage, BodyOf, Message } from './messages.ts';

export type ListStage = 0 | 1 | 2 | 3 | 5 | 6;

/** Values that the recipient supplies for omitted fields. */
export type OwnFields<S extends ListStage> = Partial<BodyOf<S>>;

export type ListBroadcast = 128 | 129 | 130 | 131 | 133 | 134;

export type Broadcast<B extends ListBroadcast, S extends ListStage> = {
  readonly head: Message<B>;
  readonly members: readonly Message<S>[];
};

const wireSchema = z.strictObject({
  head: z.unknown(),
  members: z
    .array(
      z.strictObject({
        sender: z.number().int().min(0).max(499),
        body: z.record(z.string(), z.unknown()),
        signature: z.string().regex(/^[0-9a-f]{128}$/),
      }),
    )
    .max(500),
});

export function encodeBroadcast<S extends ListStage>(
  head: AnyMessage,
  members: readonly Message<S>[],
  common: OwnFields<S>,
): Uint8Array {
  return canonicalBytes({
    head,
    members: members.map((member) => ({
      sender: member.sender,
      signature: member.signature,
      body: Object.fromEntries(
        Object.entries(member.body).filter(([name, value]) => {
          const own = (common as Record<string, unknown>)[name];
          return own === undefined || own !== value;
        }),
      ),
    })),
  });
}

/**
 * @param own the recipient's own values of the fields that may be omitted.
 * @throws InputError `message-malformed`, `not-canonical`, `wrong-stage`.
 */
export function decodeBroadcast<B extends ListBroadcast, S extends ListStage>(
  bytes: Uint8Array,
  broadcast: B,
  stage: S,
  own: OwnFields<S>,
): Broadcast<B, S> {
  const wire = wireSchema.safeParse(parseCanonical(bytes));
  if (!wire.success) throw new InputError('message-malformed', 'A broadcast of the coordinator is malformed.');
  const head = messageFrom(wire.data.head);
  if (head.stage !== broadcast)
    throw new InputError('wrong-stage', `A broadcast of stage ${head.stage} came where ${broadcast} is due.`);
  const members = wire.data.members.map((member): Message<S> => {
    const body = bodySchemaOf(stage).safeParse({ ...own, ...member.body });
    if (!body.success)
      throw new InputError('message-malformed', `The message of institution ${member.sender} in a list is malformed.`);
    return {
      round: head.round,
      stage,
      sender: member.sender,
      body: body.data as BodyOf<S>,
      signature: member.signature,
    };
  });
  return { head: head as unknown as Message<B>, members };
}

/**
 * The coordinator's signed part alone, for whoever has no values of its own to fill in: a relay.
 * @throws InputError `message-malformed`, `not-canonical`, `wrong-stage`.
 */
export function decodeHead<B extends ListBroadcast>(bytes: Uint8Array, broadcast: B): Message<B> {
  const wire = wireSchema.safeParse(parseCanonical(bytes));
  if (!wire.success) throw new InputError('message-malformed', 'A broadcast of the coordinator is malformed.');
  return expectStage(messageFrom(wire.data.head), broadcast);
}

/**
 * One-time mask keys (spk, hex) by institution, of a first list whose other fields the reader has no values for: a relay.
 * Members without them are left out. @throws InputError `message-malformed`, `not-canonical`.
 */
export function maskKeysIn(cohort: Uint8Array): Map<number, string> {
  const wire = wireSchema.safeParse(parseCanonical(cohort));
  if (!wire.success) throw new InputError('message-malformed', 'A broadcast of the coordinator is malformed.');
  const keys = bodySchemaOf(0).shape.keys;
  return new Map(
    wire.data.members.flatMap(({ sender, body }): [number, string][] => {
      const found = keys.safeParse(body['keys']);
      return found.success && found.data !== null ? [[sender, found.data.masks]] : [];
    }),
  );
}
