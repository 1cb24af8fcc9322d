// Bytes, hexadecimal, UTF-8 and fixed-width integers. `app` has no TextEncoder, so UTF-8 is written out here
// (RFC 3629; unpaired surrogates are refused, never replaced). Integers are big-endian unless the name says otherwise.

import { requireInteger } from '../errors.ts';

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Equality without an early exit, so that its time does not tell where two secrets differ. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let i = 0; i < left.length; i++) difference |= left[i]! ^ right[i]!;
  return difference === 0;
}

/** Unsigned lexicographic order: negative, zero or positive. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const shorter = Math.min(left.length, right.length);
  for (let i = 0; i < shorter; i++) if (left[i] !== right[i]) return left[i]! - right[i]!;
  return left.length - right.length;
}

const hexDigits: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function toHex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += hexDigits[byte]!;
  return out;
}

/** @throws RangeError unless `hex` is lower-case hexadecimal of `length` bytes (any even length if omitted). */
export function fromHex(hex: string, length?: number): Uint8Array {
  const out = new Uint8Array(hex.length >> 1);
  let wrong = hex.length & 1;
  for (let i = 0; i < out.length; i++) {
    const high = digitValue(hex.charCodeAt(2 * i));
    const low = digitValue(hex.charCodeAt(2 * i + 1));
    // Either is −1 where it is no digit.
    wrong |= (high | low) >> 31;
    out[i] = (high << 4) | low;
  }
  if (wrong !== 0 && !/^(?:[0-9a-f]{2})*$/.test(hex))
    throw new RangeError('hex must be pairs of lower-case hexadecimal digits');
  if (length !== undefined && hex.length !== 2 * length) throw new RangeError(`hex must stand for ${length} bytes`);
  return out;
}

function digitValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;
}

/** @throws RangeError on an unpaired surrogate, which has no UTF-8 form. */
export function utf8(text: string): Uint8Array {
  return asciiBytes(text) ?? anyUtf8(text);
}

/** Most of what is encoded is ASCII; null where something is not. */
function asciiBytes(text: string): Uint8Array | null {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return null;
    out[i] = code;
  }
  return out;
}

function anyUtf8(text: string): Uint8Array {
  const out = new Uint8Array(text.length * 3);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i);
    if (point >= 0xd800 && point <= 0xdfff) {
      const low = text.charCodeAt(i + 1);
      if (point > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) throw new RangeError('text holds an unpaired surrogate');
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
      i++;
    }
    if (point < 0x80) out[at++] = point;
    else if (point < 0x800) {
      out[at++] = 0xc0 | (point >> 6);
      out[at++] = 0x80 | (point & 63);
    } else if (point < 0x10000) {
      out[at++] = 0xe0 | (point >> 12);
      out[at++] = 0x80 | ((point >> 6) & 63);
      out[at++] = 0x80 | (point & 63);
    } else {
      out[at++] = 0xf0 | (point >> 18);
      out[at++] = 0x80 | ((point >> 12) & 63);
      out[at++] = 0x80 | ((point >> 6) & 63);
      out[at++] = 0x80 | (point & 63);
    }
  }
  return out.slice(0, at);
}

/** Strict UTF-8 decoding. @throws RangeError on overlong forms, surrogates, truncation or values past U+10FFFF. */
export function fromUtf8(bytes: Uint8Array): string {
  return asciiText(bytes) ?? anyText(bytes);
}

function asciiText(bytes: Uint8Array): string | null {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! > 0x7f) return null;
  let text = '';
  for (let at = 0; at < bytes.length; at += 4096) text += textOf(bytes.subarray(at, at + 4096));
  return text;
}

/** Spreading would walk an iterator, which takes several times as long. */
const textOf = (bytes: Uint8Array): string => String.fromCharCode.apply(null, bytes as unknown as number[]);

function anyText(bytes: Uint8Array): string {
  const pieces: string[] = [];
  let points: number[] = [];
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i++]!;
    const extra = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (extra > 0 && (first < 0xc2 || first > 0xf4)) throw new RangeError('bytes are not UTF-8');
    let point = extra === 0 ? first : first & (0x3f >> extra);
    for (let k = 0; k < extra; k++) {
      const next = bytes[i++];
      if (next === undefined || (next & 0xc0) !== 0x80) throw new RangeError('bytes are not UTF-8');
      point = (point << 6) | (next & 0x3f);
    }
    const least = [0, 0x80, 0x800, 0x10000][extra]!;
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
      throw new RangeError('bytes are not UTF-8');
    points.push(point);
    if (points.length === 4096) {
      pieces.push(String.fromCodePoint(...points));
      points = [];
    }
  }
  pieces.push(String.fromCodePoint(...points));
  return pieces.join('');
}

export function u8(value: number): Uint8Array {
  requireInteger('value', value, 0, 0xff);
  return Uint8Array.of(value);
}

export function u16(value: number): Uint8Array {
  requireInteger('value', value, 0, 0xffff);
  return Uint8Array.of(value >> 8, value & 0xff);
}

export function u32(value: number): Uint8Array {
  requireInteger('value', value, 0, 0xffffffff);
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export const littleEndianHost = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** Vector words travel little-endian (design 3). `hostIsLittle`: tests only. */
export function wordsToBytes(words: Uint32Array, hostIsLittle = littleEndianHost): Uint8Array {
  if (hostIsLittle) return new Uint8Array(words.buffer, words.byteOffset, words.byteLength).slice();
  const out = new Uint8Array(words.length * 4);
  const view = new DataView(out.buffer);
  for (let i = 0; i < words.length; i++) view.setUint32(4 * i, words[i]!, true);
  return out;
}

/** @throws RangeError if the length is not a multiple of four. */
export function bytesToWords(bytes: Uint8Array, hostIsLittle = littleEndianHost): Uint32Array {
  if (bytes.length % 4 !== 0) throw new RangeError('bytes must hold whole 32-bit words');
  const out = new Uint32Array(bytes.length / 4);
  if (hostIsLittle) {
    new Uint8Array(out.buffer).set(bytes);
    return out;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < out.length; i++) out[i] = view.getUint32(4 * i, true);
  return out;
}
