// crypto_box as the NaCl paper defines it (Bernstein, "Cryptography in NaCl", 2009), written out slowly from its words:
// XSalsa20 with big-number Poly1305. Only to hold the library's boxes against.

import { concat } from '../../app/encoding/bytes.ts';

const sigma = new TextEncoder().encode('expand 32-byte k');

const wordsOf = (bytes: Uint8Array): number[] =>
  Array.from({ length: bytes.length / 4 }, (_, at) =>
    new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(4 * at, true),
  );

function bytesOf(words: readonly number[]): Uint8Array {
  const out = new Uint8Array(4 * words.length);
  words.forEach((word, at) => new DataView(out.buffer).setUint32(4 * at, word >>> 0, true));
  return out;
}

function rounds(key: Uint8Array, input: Uint8Array): { readonly before: number[]; readonly after: number[] } {
  const [k, c, n] = [wordsOf(key), wordsOf(sigma), wordsOf(input)];
  const before = [c[0]!, ...k.slice(0, 4), c[1]!, ...n, c[2]!, ...k.slice(4), c[3]!];
  const x = [...before];
  const quarter = (a: number, b: number, d: number, e: number): void => {
    const turn = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
    x[b]! ^= turn((x[a]! + x[e]!) | 0, 7);
    x[d]! ^= turn((x[b]! + x[a]!) | 0, 9);
    x[e]! ^= turn((x[d]! + x[b]!) | 0, 13);
    x[a]! ^= turn((x[e]! + x[d]!) | 0, 18);
  };
  for (let double = 0; double < 10; double++) {
    for (const [a, b, d, e] of [
      [0, 4, 8, 12],
      [5, 9, 13, 1],
      [10, 14, 2, 6],
      [15, 3, 7, 11],
      [0, 1, 2, 3],
      [5, 6, 7, 4],
      [10, 11, 8, 9],
      [15, 12, 13, 14],
    ] as const)
      quarter(a, b, d, e);
  }
  return { before, after: x };
}

export function hsalsa20(key: Uint8Array, input: Uint8Array): Uint8Array {
  const { after } = rounds(key, input);
  return bytesOf([0, 5, 10, 15, 6, 7, 8, 9].map((at) => after[at]!));
}

function xsalsa20(key: Uint8Array, nonce: Uint8Array, length: number): Uint8Array {
  const inner = hsalsa20(key, nonce.subarray(0, 16));
  const blocks: Uint8Array[] = [];
  for (let block = 0; 64 * block < length; block++) {
    const counter = bytesOf([block, 0]);
    const { before, after } = rounds(inner, concat(nonce.subarray(16), counter));
    blocks.push(bytesOf(before.map((word, at) => word + after[at]!)));
  }
  return concat(...blocks).slice(0, length);
}

const numberOf = (bytes: Uint8Array): bigint => bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);

function poly1305(key: Uint8Array, message: Uint8Array): Uint8Array {
  const r = numberOf(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const part = message.subarray(at, at + 16);
    sum = ((sum + numberOf(part) + 256n ** BigInt(part.length)) * r) % (2n ** 130n - 5n);
  }
  let tag = (sum + numberOf(key.subarray(16))) % 2n ** 128n;
  return Uint8Array.from({ length: 16 }, () => {
    const byte = Number(tag % 256n);
    tag /= 256n;
    return byte;
  });
}

/** `shared`: the X25519 output of the two keys. @returns tag 16 ‖ ciphertext. */
export function salsaBox(plain: Uint8Array, nonce: Uint8Array, shared: Uint8Array): Uint8Array {
  const key = hsalsa20(shared, new Uint8Array(16));
  const stream = xsalsa20(key, nonce, 32 + plain.length);
  const sealed = plain.map((byte, at) => byte ^ stream[32 + at]!);
  return concat(poly1305(stream.subarray(0, 32), sealed), sealed);
}
