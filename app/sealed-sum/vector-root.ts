// Merkle root over the chunks of one member's masked vector: what R2 signs and the audit of R5 checks. Design 3.

import { u16, u32 } from '../encoding/bytes.ts';
import { merkleRoot } from '../encoding/merkle.ts';
import type { Cipher } from '../ports.ts';
import { contextBytes } from './context.ts';
import type { RoundContext } from './context.ts';

const leafPrefix = Uint8Array.of(0);

/** SHA-256(0x00 ‖ ctx ‖ u16 i ‖ u32 chunk ‖ bytes); `bytes` are the chunk's words, little-endian. */
export function vectorLeafHash(
  cipher: Cipher,
  ctx: RoundContext,
  index: number,
  chunk: number,
  bytes: Uint8Array,
): Uint8Array {
  return cipher.sha256(leafPrefix, contextBytes(ctx), u16(index), u32(chunk), bytes);
}

/** Root over the chunks in order. @throws RangeError if there are none. */
export function vectorRoot(cipher: Cipher, ctx: RoundContext, index: number, chunks: Iterable<Uint8Array>): Uint8Array {
  const leaves: Uint8Array[] = [];
  for (const bytes of chunks) leaves.push(vectorLeafHash(cipher, ctx, index, leaves.length, bytes));
  return merkleRoot(cipher, leaves);
}
