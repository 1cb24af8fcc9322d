// What ties every byte of a round to its study and number: the context, the payload that a stage signs, the hashes of
// the U-sets and of the consistency statement. Design 3, "Bytes". Bodies are hashed as they came, never re-encoded.

import { concat, readU32, u16, u32, u8, utf8 } from '../encoding/bytes.ts';
import { RefusalError, requireBytes, requireInteger } from '../errors.ts';
import type { Cipher } from '../ports.ts';

/** `study`: SHA-256 of the canonical contract, 32 bytes. `round`: u32. */
export type RoundContext = { readonly study: Uint8Array; readonly round: number };

export const contextLength = 40;

const protocolName = utf8('css1');

/** "css1" ‖ study ‖ u32 round: 40 bytes. */
export function contextBytes(ctx: RoundContext): Uint8Array {
  requireBytes('ctx.study', ctx.study, 32);
  requireInteger('ctx.round', ctx.round, 0, 0xffffffff);
  return concat(protocolName, ctx.study, u32(ctx.round));
}

/** Reads 40 bytes of context back; null if they are not of this protocol. */
export function readContext(bytes: Uint8Array): RoundContext | null {
  requireBytes('bytes', bytes, contextLength);
  if (!protocolName.every((byte, at) => bytes[at] === byte)) return null;
  return { study: bytes.slice(4, 36), round: readU32(bytes, 36) };
}

/**
 * ctx ‖ u8 stage ‖ u16 sender ‖ SHA-256(body): what is signed in the signature domain `css1`, whose prefix
 * encoding/signature.ts adds.
 */
export function stagePayload(
  cipher: Cipher,
  ctx: RoundContext,
  stage: number,
  sender: number,
  body: Uint8Array,
): Uint8Array {
  return concat(contextBytes(ctx), u8(stage), u16(sender), cipher.sha256(body));
}

export type SetTag = 'css1/U1' | 'css1/U2';

/**
 * H(U1) or H(U2): SHA-256(tag ‖ ctx ‖ (u16 index ‖ SHA-256(body))…).
 * @throws RefusalError `members-not-ascending`: out of order, or a member twice.
 */
export function setHash(
  cipher: Cipher,
  tag: SetTag,
  ctx: RoundContext,
  members: readonly { readonly index: number; readonly body: Uint8Array }[],
): Uint8Array {
  requireAscending(members.map((member) => member.index));
  return cipher.sha256(
    utf8(tag),
    contextBytes(ctx),
    ...members.map(({ index, body }) => concat(u16(index), cipher.sha256(body))),
  );
}

/**
 * The statement of R3: SHA-256("css1/U3" ‖ ctx ‖ H(U1) ‖ H(U2) ‖ (u16 index ‖ root)…), with the signed root of each
 * member of U3.
 * @throws RefusalError `members-not-ascending`.
 */
export function statementHash(
  cipher: Cipher,
  ctx: RoundContext,
  hU1: Uint8Array,
  hU2: Uint8Array,
  members: readonly { readonly index: number; readonly root: Uint8Array }[],
): Uint8Array {
  requireBytes('hU1', hU1, 32);
  requireBytes('hU2', hU2, 32);
  for (const { root } of members) requireBytes('root', root, 32);
  requireAscending(members.map((member) => member.index));
  return cipher.sha256(
    utf8('css1/U3'),
    contextBytes(ctx),
    hU1,
    hU2,
    ...members.map(({ index, root }) => concat(u16(index), root)),
  );
}

/** @throws RefusalError `members-not-ascending` unless each index is greater than the one before. */
export function requireAscending(indices: readonly number[]): void {
  for (let at = 1; at < indices.length; at++)
    if (!(indices[at]! > indices[at - 1]!))
      throw new RefusalError(
        'members-not-ascending',
        'A list of members is out of order or names a member twice. The round was refused; nothing was sent.',
      );
}
