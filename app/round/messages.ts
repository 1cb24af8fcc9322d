// The signed messages of Sealed Sum v1: one strict schema per stage, one envelope. FROZEN as css1: golden transcript in
// test/vectors/css1-transcript.json. Design 3, "Bytes" and "Stages". Bodies are canonical JSON; the signature covers
// ctx ‖ stage ‖ sender ‖ SHA-256(body) under the domain "css1".

import { z } from 'zod';
import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalBytes, parseCanonical } from '../encoding/canonical-json.ts';
import { signWith, verifySignature } from '../encoding/signature.ts';
import { InputError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import { stagePayload } from '../sealed-sum/context.ts';
import type { RoundContext } from '../sealed-sum/context.ts';

export const coordinatorSender = 0xffff;
/** Sender of the relay of region `position`. */
export const relaySender = (position: number): number => 0xff00 + position;
/** A coordinator's broadcast that ends stage k has stage 128 + k; R0b, between 0 and 1, has the number 5. */
export const broadcastStage = (stage: 0 | 1 | 2 | 3 | 4 | 5): number => 128 + stage;
/** The coordinator's notice that a round number is spent without a sum. */
export const abortedStage = 255;

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const hex64 = z.string().regex(/^[0-9a-f]{128}$/);
const whole = (most: number) => z.number().int().min(0).max(most);
const index = whole(499);
const round = whole(0xffff_ffff);

export const readyBody = z.strictObject({
  round,
  contract: hex32,
  config: hex32,
  model: hex32,
  /** One-time X25519 keys (boxes: cpk, masks: spk) and the nonce commitment of a sparse graph; null closes the study. */
  keys: z.strictObject({ boxes: hex32, masks: hex32, nonce: hex32 }).nullable(),
  /** The newest closed round that this institution applied; round 0 with zeros before the first. */
  last: z.strictObject({ round, sum: hex32, verified: z.boolean() }),
  /** Readies signed in this study, this one included. */
  counter: whole(0xffff_ffff),
  head: hex32,
  /** Rings drawn in vain since the last closed round that this institution knows of; absent: none. */
  redraws: whole(1000).optional(),
});

/** R0b, on a sparse graph only: the nonce that the Ready committed to. */
export const revealBody = z.strictObject({ u1: hex32, u1Signature: hex64, nonce: hex32 });

export const sharesBody = z.strictObject({
  u1: hex32,
  u1Signature: hex64,
  selfMask: hex32,
  boxes: hex32,
  /** Hash of the ring that the boxes were dealt on; absent on the complete graph. */
  ring: hex32.optional(),
});

export const maskedBody = z.strictObject({ u1: hex32, u2: hex32, root: hex32 });

export const consistencyBody = z.strictObject({ u1: hex32, u2: hex32, statement: hex32 });

export const unmaskBody = z.strictObject({
  statement: hex32,
  /** kind 0: share of the self-mask seed; 1: share of the mask secret key. Strictly ascending by dealer. */
  shares: z.array(z.strictObject({ dealer: index, kind: whole(1), share: hex32 })).max(500),
});

/** After R5, with regions: whether the sender's own region adds up to what its relay signed, and all to the sum. */
export const vouchBody = z.strictObject({ statement: hex32, sum: hex32, agrees: z.boolean() });

/** What a relay signs: whose vectors it added, each with its signed root, and the root of the sum's chunks. */
export const regionSumBody = z.strictObject({
  u1: hex32,
  u2: hex32,
  members: z
    .array(z.strictObject({ index, root: hex32 }))
    .min(1)
    .max(500),
  sum: hex32,
});

export const complaintBody = z.strictObject({
  u1: hex32,
  dealer: index,
  /** The box as it was delivered, with what puts it on the dealer's root. */
  box: z.string().regex(/^(?:[0-9a-f]{2}){1,2000}$/),
  ephemeralKey: hex32,
  shareHashes: z.strictObject({ self: hex32, mask: hex32 }),
  path: z.array(hex32).max(16),
});

export const complaintAnswerBody = z.strictObject({ u1: hex32, complainer: index, ephemeralSecret: hex32 });

export const cohortBroadcast = z.strictObject({ u1: hex32 });
export const revealBroadcast = z.strictObject({ u1: hex32, ring: hex32 });
export const sharesBroadcast = z.strictObject({ u1: hex32, u2: hex32 });
export const maskedBroadcast = z.strictObject({ u1: hex32, u2: hex32, statement: hex32 });
export const consistencyBroadcast = z.strictObject({ statement: hex32 });
export const resultBroadcast = z.strictObject({
  statement: hex32,
  sum: hex32,
  /** Opened secrets: self-mask seeds of U3, mask secret keys of U2 without U3. Strictly ascending by index. */
  seeds: z.array(z.strictObject({ index, kind: whole(1), secret: hex32 })).max(500),
});
/** The sum that every region vouched for. */
export const vouchBroadcast = z.strictObject({ statement: hex32, sum: hex32 });
export const abortedBody = z.strictObject({ reason: z.string().regex(/^[a-z0-9-]{1,64}$/) });

const bodySchemas = {
  0: readyBody,
  1: sharesBody,
  2: maskedBody,
  3: consistencyBody,
  4: unmaskBody,
  5: revealBody,
  6: vouchBody,
  16: complaintBody,
  17: complaintAnswerBody,
  64: regionSumBody,
  128: cohortBroadcast,
  129: sharesBroadcast,
  130: maskedBroadcast,
  131: consistencyBroadcast,
  132: resultBroadcast,
  133: revealBroadcast,
  134: vouchBroadcast,
  255: abortedBody,
} as const;

export type Stage = keyof typeof bodySchemas;
export type BodyOf<S extends Stage> = z.infer<(typeof bodySchemas)[S]>;

export type Message<S extends Stage = Stage> = {
  readonly round: number;
  readonly stage: S;
  readonly sender: number;
  readonly body: BodyOf<S>;
  /** 64 bytes, hex. */
  readonly signature: string;
};

export type AnyMessage = { readonly [S in Stage]: Message<S> }[Stage];

export function bodySchemaOf<S extends Stage>(stage: S): (typeof bodySchemas)[S] {
  return bodySchemas[stage];
}

export function bodyBytes(message: { readonly body: unknown }): Uint8Array {
  return canonicalBytes(message.body);
}

export function signMessage<S extends Stage>(
  cipher: Cipher,
  signer: Signer,
  context: RoundContext,
  stage: S,
  sender: number,
  body: BodyOf<S>,
): Message<S> {
  const payload = stagePayload(cipher, context, stage, sender, canonicalBytes(body));
  return { round: context.round, stage, sender, body, signature: toHex(signWith(signer, 'css1', payload)) };
}

/** Strictly valid signature of `message` under `publicKey` in the study and round of `context`. */
export function isSignedBy(cipher: Cipher, context: RoundContext, message: AnyMessage, publicKey: Uint8Array): boolean {
  if (message.round !== context.round) return false;
  const payload = stagePayload(cipher, context, message.stage, message.sender, bodyBytes(message));
  return verifySignature(cipher, publicKey, 'css1', payload, fromHex(message.signature, 64));
}

const envelope = z.strictObject({
  round,
  stage: z.number(),
  sender: whole(0xffff),
  body: z.unknown(),
  signature: hex64,
});

export function encodeMessage(message: AnyMessage): Uint8Array {
  return canonicalBytes(message);
}

/** @throws InputError `not-json`, `not-canonical` or `message-malformed` (which names the member, never its value). */
export function decodeMessage(bytes: Uint8Array | string): AnyMessage {
  return messageFrom(parseCanonical(bytes));
}

/** The same for a value that is already parsed from canonical JSON. */
export function messageFrom(value: unknown): AnyMessage {
  const outer = envelope.safeParse(value);
  if (!outer.success) throw malformed(outer.error);
  if (!Object.hasOwn(bodySchemas, outer.data.stage))
    throw new InputError('message-malformed', 'A message has a stage that this version does not know.');
  const stage = outer.data.stage as Stage;
  const body = bodySchemas[stage].safeParse(outer.data.body);
  if (!body.success) throw malformed(body.error);
  return { ...outer.data, stage, body: body.data } as AnyMessage;
}

/** @throws InputError `wrong-stage`. */
export function expectStage<S extends Stage>(message: AnyMessage, stage: S): Message<S> {
  if (message.stage !== stage)
    throw new InputError('wrong-stage', `A message of stage ${message.stage} came where stage ${stage} is due.`);
  return message as unknown as Message<S>;
}

function malformed(error: z.ZodError): InputError {
  const where = error.issues[0]?.path.join('.') ?? '';
  return new InputError('message-malformed', `A message is malformed${where === '' ? '' : ` at "${where}"`}.`);
}
