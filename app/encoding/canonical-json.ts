// Canonical JSON (RFC 8785): the one form in which anything is signed, hashed or kept in the ledger. Bytes inside are
// lower-case hex strings, integers ≥ 2^53 are strings (design 2). Parsing accepts only the canonical form, so that
// duplicate keys, −0, odd escapes or spaces cannot give two texts one meaning.

import canonicalize from 'canonicalize';
import { InputError } from '../errors.ts';
import { fromUtf8, utf8 } from './bytes.ts';

export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue | undefined };

/** @throws TypeError for what JSON cannot say: NaN, infinities, undefined at the top, bigint, unpaired surrogates. */
export function canonicalJson(value: unknown): string {
  refuseUnsayable(value);
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('value has no JSON form');
  return text;
}

export function canonicalBytes(value: unknown): Uint8Array {
  return utf8(canonicalJson(value));
}

/**
 * Parses text that must already be canonical.
 * @throws InputError `not-json` or `not-canonical`.
 */
export function parseCanonical(text: string | Uint8Array): JsonValue {
  let value: JsonValue;
  let source: string;
  try {
    source = typeof text === 'string' ? text : fromUtf8(text);
    value = JSON.parse(source) as JsonValue;
  } catch {
    throw new InputError('not-json', 'The message is not JSON text in UTF-8.');
  }
  if (canonicalOrNull(value) !== source)
    throw new InputError('not-canonical', 'The message is not in canonical JSON form (RFC 8785).');
  return value;
}

/** Null for what JSON.parse takes and canonical JSON cannot say: 1e400, an unpaired surrogate, depth without end. */
function canonicalOrNull(value: JsonValue): string | null {
  try {
    return canonicalJson(value);
  } catch {
    return null;
  }
}

function refuseUnsayable(value: unknown): void {
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new TypeError('value holds NaN or an infinity, which JSON cannot say');
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol')
    throw new TypeError('value holds something that JSON cannot say');
  if (ArrayBuffer.isView(value)) throw new TypeError('value holds raw bytes; write them as hex');
  if (value !== null && typeof value === 'object') for (const inner of Object.values(value)) refuseUnsayable(inner);
}
