// One ledger line: canonical JSON (RFC 8785) of {seq, time, actor, kind, body, previous}; its hash is the SHA-256 of the
// line without its newline and is the next line's `previous`. Design 4, "The ledger". FROZEN: test/vectors/ledger.jsonl
// holds it. Bodies never carry record content, keys or gradients.

import { z } from 'zod';
import { toHex } from '../encoding/bytes.ts';
import { canonicalBytes, parseCanonical } from '../encoding/canonical-json.ts';
import type { JsonValue } from '../encoding/canonical-json.ts';
import type { Cipher } from '../ports.ts';

export const entryKinds = [
  'enrolled',
  'dataset-imported',
  'mapping-chosen',
  'contract-reviewed',
  'consent-given',
  'consent-withdrawn',
  'consent-expired',
  'policy-changed',
  'round-stage-reached',
  'budget-reserved',
  'budget-settled',
  'round-closed',
  'round-aborted',
  'model-pinned',
  'release-voted',
  'export-made',
  'exclusion-list-loaded',
  'settings-changed',
  'start',
  'clean-stop',
  'recovery',
  'device-replaced',
  'coordinator-key-changed',
] as const;
export type EntryKind = (typeof entryKinds)[number];

/** `previous` of the first entry, and the last hash of an empty ledger. */
export const emptyHash = '0'.repeat(64);

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits');
const whole = (least: number) => z.number().int().min(least).max(Number.MAX_SAFE_INTEGER);
const textWithout = (controls: RegExp) => (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .refine((value) => value.isWellFormed() && !controls.test(value), { message: 'must not hold control characters' });
const line = textWithout(/\p{Cc}/u);
/** As in the contract: tabs and line feeds may stand in it. */
const paragraph = textWithout(/(?![\t\n])\p{Cc}/u);
const instant = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'must be a UTC time such as 2026-11-23T09:30:00.000Z')
  .refine((value) => !Number.isNaN(Date.parse(value)) && new Date(value).toISOString() === value, {
    message: 'must be a time that exists',
  });
/** A charge's event, frozen by app/privacy; here any JSON object that names its mechanism. */
const event = z.looseObject({ mechanism: line(100) });

/** Bodies that budget and consent are rebuilt from. All other kinds carry a free JSON object. */
const strictBodies = {
  /** Written, with the worst case, before the masked update whose SHA-256 is `outbox` may leave. */
  'budget-reserved': z.strictObject({ study: hash, round: whole(1), dataset: line(200), event, outbox: hash }),
  /** Replaces the worst case of entry `reservedSeq` by the realised event; `transcript` hashes the R3 signatures. */
  'budget-settled': z.strictObject({
    study: hash,
    round: whole(1),
    reservedSeq: whole(1),
    event,
    transcript: hash,
  }),
  /** The institution's consent to the contract whose hash is `study`. `epsilon` null: no noise, hence no bound. */
  'consent-given': z.strictObject({
    study: hash,
    dataset: line(200),
    purpose: paragraph(2000),
    lawfulBasis: paragraph(2000).optional(),
    references: z.strictObject({ ethics: paragraph(500), dpia: paragraph(500) }).optional(),
    epsilon: z.number().min(0).nullable(),
    delta: z.number().gt(0).lt(1),
    unit: z.enum(['record', 'person', 'institution']).optional(),
    noise: z.enum(['discrete-gaussian', 'none']).optional(),
    expires: instant,
    lateJoiners: whole(0).optional(),
    /** SHA-256 of the signed consent document. */
    consent: hash.optional(),
  }),
  'consent-withdrawn': z.strictObject({ study: hash, dataset: line(200), reason: paragraph(2000).optional() }),
  'consent-expired': z.strictObject({ study: hash, dataset: line(200), expires: instant }),
} as const;
export type StrictBodies = { readonly [Kind in keyof typeof strictBodies]: z.infer<(typeof strictBodies)[Kind]> };

export type FreeBody = { readonly [key: string]: JsonValue | undefined };
export type EntryBody<Kind extends EntryKind> = Kind extends keyof StrictBodies ? StrictBodies[Kind] : FreeBody;

/** Who did it: a person by id, role and how they signed in, or the host itself. */
export type Actor = { readonly id: string; readonly role: string; readonly signIn: string };
export const hostActor: Actor = { id: 'host', role: 'host', signIn: 'service' };

export type Entry = {
  [Kind in EntryKind]: {
    readonly seq: number;
    readonly time: string;
    readonly actor: Actor;
    readonly kind: Kind;
    readonly body: EntryBody<Kind>;
    readonly previous: string;
  };
}[EntryKind];

const frameSchema = z.strictObject({
  seq: whole(1),
  time: instant,
  actor: z.strictObject({ id: line(200), role: line(100), signIn: line(100) }),
  kind: z.enum(entryKinds),
  body: z.record(z.string(), z.unknown()),
  previous: hash,
});

export type EntryProblem = { readonly code: 'unknown-kind' | 'malformed'; readonly sentence: string };

/** The first thing wrong with a value that should be an entry, in words that hold none of its content; else null. */
export function problemOf(value: unknown): EntryProblem | null {
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
  if (typeof kind === 'string' && !(entryKinds as readonly string[]).includes(kind))
    return { code: 'unknown-kind', sentence: 'its kind is none that this ledger format has' };
  const frame = frameSchema.safeParse(value);
  const failed = frame.success ? bodyProblem(frame.data.kind, frame.data.body) : frame.error.issues[0]!;
  if (failed === null) return null;
  const where = failed.path.length === 0 ? 'the entry' : `"${failed.path.map(String).join('.').slice(0, 80)}"`;
  const what = failed.code === 'unrecognized_keys' ? 'holds a field that does not belong there' : failed.message;
  return { code: 'malformed', sentence: `${where}: ${what}` };
}

function bodyProblem(kind: EntryKind, body: unknown): z.core.$ZodIssue | null {
  if (!Object.hasOwn(strictBodies, kind)) return null;
  const parsed = z.object({ body: strictBodies[kind as keyof StrictBodies] }).safeParse({ body });
  return parsed.success ? null : parsed.error.issues[0]!;
}

/** UTC, ISO 8601, milliseconds. @throws RangeError when `milliseconds` is no time between the years 0 and 9999. */
export function ledgerTime(milliseconds: number): string {
  const time = new Date(milliseconds);
  if (Number.isNaN(time.getTime()) || time.getUTCFullYear() < 0 || time.getUTCFullYear() > 9999)
    throw new RangeError('milliseconds must be a time between the years 0 and 9999');
  return time.toISOString();
}

/**
 * The line (UTF-8, without newline) of an entry.
 * @throws TypeError naming the field when the entry does not follow the schema of its kind.
 */
export function encodeEntry(entry: Entry): Uint8Array {
  const problem = problemOf(entry);
  if (problem !== null) throw new TypeError(`entry cannot be written: ${problem.sentence}`);
  return canonicalBytes(entry);
}

/**
 * Reads one line that is known to be good.
 * @throws InputError `not-json` or `not-canonical`; TypeError when it is no entry.
 */
export function decodeEntry(bytes: Uint8Array): Entry {
  const value = parseCanonical(bytes);
  const problem = problemOf(value);
  if (problem !== null) throw new TypeError(`line is no entry: ${problem.sentence}`);
  return value as unknown as Entry;
}

/** SHA-256 of the line without newline, in hex. */
export const hashOfLine = (cipher: Cipher, bytes: Uint8Array): string => toHex(cipher.sha256(bytes));
