// The binary frames of R1: a dealer's bundle (one box for each member of U1) and a holder's delivery (one box from each
// dealer, with its Merkle path). Bytes and not hex (design 3, "Boxes"). Decoding accepts exactly what encoding makes.
//   bundle entry   = u16 holder ‖ ephemeral key 32 ‖ share hash b 32 ‖ share hash s 32 ‖ u16 boxLength ‖ box
//   delivery entry = u16 dealer ‖ … the same … ‖ u8 pathLength ‖ path hashes 32 each, nearest sibling first

import { concat, readU16, u16, u8 } from '../encoding/bytes.ts';
import { InputError, requireBytes, requireInteger } from '../errors.ts';
import { boxLength } from './boxes.ts';
import type { SealedBox } from './boxes.ts';
import { requireAscending } from './context.ts';

export type BundleEntry = { readonly holder: number; readonly sealed: SealedBox };
export type DeliveryEntry = {
  readonly dealer: number;
  readonly sealed: SealedBox;
  readonly path: readonly Uint8Array[];
};

const headLength = 2 + 3 * 32 + 2;
/** A roster has at most 2^16 members, so a path at most 16 hashes. */
const longestPath = 16;

/** @throws RefusalError `members-not-ascending`. */
export function encodeBundle(entries: readonly BundleEntry[]): Uint8Array {
  requireAscending(entries.map(({ holder }) => holder));
  return concat(...entries.map(({ holder, sealed }) => encodeSealed(holder, sealed)));
}

/** @throws InputError `box-frame` (truncated, a wrong length, out of order). */
export function decodeBundle(bytes: Uint8Array): BundleEntry[] {
  const entries: BundleEntry[] = [];
  for (let at = 0; at < bytes.length;) {
    const { member, sealed, next } = decodeSealed(bytes, at, entries.at(-1)?.holder ?? -1);
    entries.push({ holder: member, sealed });
    at = next;
  }
  return entries;
}

/** One entry of a bundle that was decoded whole before, by its place. @throws InputError `box-frame`. */
export function bundleEntry(bytes: Uint8Array, position: number): BundleEntry {
  requireInteger('position', position, 0);
  const { member, sealed } = decodeSealed(bytes, position * (headLength + boxLength), -1);
  return { holder: member, sealed };
}

/** @throws RefusalError `members-not-ascending`. */
export function encodeDelivery(entries: readonly DeliveryEntry[]): Uint8Array {
  requireAscending(entries.map(({ dealer }) => dealer));
  return concat(
    ...entries.map(({ dealer, sealed, path }) => {
      requireInteger('path.length', path.length, 0, longestPath);
      for (const hash of path) requireBytes('path', hash, 32);
      return concat(encodeSealed(dealer, sealed), u8(path.length), ...path);
    }),
  );
}

/** @throws InputError `box-frame`. */
export function decodeDelivery(bytes: Uint8Array): DeliveryEntry[] {
  const entries: DeliveryEntry[] = [];
  for (let at = 0; at < bytes.length;) {
    const { member, sealed, next } = decodeSealed(bytes, at, entries.at(-1)?.dealer ?? -1);
    const count = bytes[next];
    if (count === undefined || count > longestPath || next + 1 + 32 * count > bytes.length) throw malformed();
    const path = Array.from({ length: count }, (_, i) => bytes.slice(next + 1 + 32 * i, next + 33 + 32 * i));
    entries.push({ dealer: member, sealed, path });
    at = next + 1 + 32 * count;
  }
  return entries;
}

function encodeSealed(member: number, sealed: SealedBox): Uint8Array {
  requireBytes('ephemeralPublicKey', sealed.ephemeralPublicKey, 32);
  requireBytes('shareHashB', sealed.shareHashB, 32);
  requireBytes('shareHashS', sealed.shareHashS, 32);
  requireBytes('box', sealed.box, boxLength);
  return concat(
    u16(member),
    sealed.ephemeralPublicKey,
    sealed.shareHashB,
    sealed.shareHashS,
    u16(sealed.box.length),
    sealed.box,
  );
}

function decodeSealed(
  bytes: Uint8Array,
  at: number,
  previous: number,
): { readonly member: number; readonly sealed: SealedBox; readonly next: number } {
  const next = at + headLength + boxLength;
  if (next > bytes.length || readU16(bytes, at + headLength - 2) !== boxLength) throw malformed();
  const member = readU16(bytes, at);
  if (member <= previous) throw malformed();
  const sealed = {
    ephemeralPublicKey: bytes.slice(at + 2, at + 34),
    shareHashB: bytes.slice(at + 34, at + 66),
    shareHashS: bytes.slice(at + 66, at + 98),
    box: bytes.slice(at + headLength, next),
  };
  return { member, sealed, next };
}

function malformed(): InputError {
  return new InputError(
    'box-frame',
    'The sealed shares arrived in a form that is not the protocol’s. Ask for them again.',
  );
}
