// Merkle trees as in RFC 6962 section 2.1: leaves hashed with prefix 0x00 (the caller's leaf bytes hold it), nodes with
// 0x01, the left subtree the largest power of two smaller than n. Design 3, "Bytes".

import { InputError, requireInteger } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { equalBytes } from './bytes.ts';

const nodePrefix = Uint8Array.of(1);

function split(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}

/** Root of already hashed leaves (32 bytes each). @throws RangeError if there are none. */
export function merkleRoot(cipher: Cipher, leafHashes: readonly Uint8Array[]): Uint8Array {
  if (leafHashes.length === 0) throw new RangeError('leafHashes must not be empty');
  if (leafHashes.length === 1) return leafHashes[0]!;
  const k = split(leafHashes.length);
  return cipher.sha256(nodePrefix, merkleRoot(cipher, leafHashes.slice(0, k)), merkleRoot(cipher, leafHashes.slice(k)));
}

/** Audit path of leaf `at`, nearest sibling first (RFC 6962 section 2.1.1). */
export function merklePath(cipher: Cipher, leafHashes: readonly Uint8Array[], at: number): Uint8Array[] {
  requireInteger('at', at, 0, leafHashes.length - 1);
  if (leafHashes.length === 1) return [];
  const k = split(leafHashes.length);
  return at < k
    ? [...merklePath(cipher, leafHashes.slice(0, k), at), merkleRoot(cipher, leafHashes.slice(k))]
    : [...merklePath(cipher, leafHashes.slice(k), at - k), merkleRoot(cipher, leafHashes.slice(0, k))];
}

/** The audit paths of all leaves, with n hashes in all; as `merklePath` gives them one by one. */
export function merklePaths(cipher: Cipher, leafHashes: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  return treeOf(cipher, leafHashes).paths;
}

type Tree = { readonly root: Uint8Array; readonly paths: readonly (readonly Uint8Array[])[] };

function treeOf(cipher: Cipher, leafHashes: readonly Uint8Array[]): Tree {
  if (leafHashes.length === 0) throw new RangeError('leafHashes must not be empty');
  if (leafHashes.length === 1) return { root: leafHashes[0]!, paths: [[]] };
  const k = split(leafHashes.length);
  const left = treeOf(cipher, leafHashes.slice(0, k));
  const right = treeOf(cipher, leafHashes.slice(k));
  return {
    root: cipher.sha256(nodePrefix, left.root, right.root),
    paths: [...left.paths.map((path) => [...path, right.root]), ...right.paths.map((path) => [...path, left.root])],
  };
}

/** Root that `leafHash` at position `at` of `count` leaves gives along `path`. @throws InputError on a wrong length. */
export function rootFromPath(
  cipher: Cipher,
  leafHash: Uint8Array,
  at: number,
  count: number,
  path: readonly Uint8Array[],
): Uint8Array {
  requireInteger('count', count, 1);
  requireInteger('at', at, 0, count - 1);
  if (count === 1) {
    if (path.length > 0) throw new InputError('merkle-path-length', 'A Merkle path has the wrong length.');
    return leafHash;
  }
  const last = path.at(-1);
  if (last === undefined) throw new InputError('merkle-path-length', 'A Merkle path has the wrong length.');
  const k = split(count);
  const rest = path.slice(0, -1);
  return at < k
    ? cipher.sha256(nodePrefix, rootFromPath(cipher, leafHash, at, k, rest), last)
    : cipher.sha256(nodePrefix, last, rootFromPath(cipher, leafHash, at - k, count - k, rest));
}

export function pathLeadsTo(
  cipher: Cipher,
  root: Uint8Array,
  leafHash: Uint8Array,
  at: number,
  count: number,
  path: readonly Uint8Array[],
): boolean {
  try {
    return equalBytes(root, rootFromPath(cipher, leafHash, at, count, path));
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
}
