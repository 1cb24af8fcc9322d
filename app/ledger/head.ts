// What a Ready (R0) says of the ledger, so that peers and the coordinator become witnesses against a restored old disk.
// Design 3 (R0) and 4 ("Rollback").
//
// The counter is the number of Readies signed in this study with this one, from 1. Before Ready number k is signed, the
// entry `round-stage-reached` {study, round, stage: "ready", counter: k} is written; the head is keyed over the hash of
// that very entry. So the owner can recompute every head it ever gave from its ledger and its keystore, peers can only
// compare, and nobody learns from two heads whether anything else was written in between, or by which ledger.

import { fromHex, toHex, utf8 } from '../encoding/bytes.ts';
import { hkdf } from '../encoding/hkdf.ts';
import { requireBytes, requireInteger } from '../errors.ts';
import type { Cipher } from '../ports.ts';

/**
 * HMAC(HKDF(secret, study), ledger head): 32 bytes as hex.
 * @param secret the keystore's 32-byte ledger-head secret
 * @param study the contract hash, 32 bytes
 * @param last hash (hex) of the entry that recorded this Ready
 */
export function readyHead(cipher: Cipher, secret: Uint8Array, study: Uint8Array, last: string): string {
  requireBytes('secret', secret, 32);
  requireBytes('study', study, 32);
  const key = hkdf(cipher, secret, study, utf8('consilience/ledger-head'), 32);
  return toHex(cipher.hmacSha256(key, fromHex(last, 32)));
}

export type Witness = { readonly counter: number; readonly head: string };

/**
 * Compares what this ledger says with what a peer or the coordinator saw last.
 * `behind`: the ledger was rolled back (a witness saw a later Ready); `forked`: the same Ready number with another
 * head (two copies of one machine, or a rewritten ledger). Both forbid taking part until a device replacement is signed.
 * @param own this study's latest counter and head by the local ledger; counter 0 before the first Ready
 */
export function judgeWitness(own: Witness, witnessed: Witness): 'current' | 'behind' | 'forked' {
  requireInteger('own.counter', own.counter, 0);
  requireInteger('witnessed.counter', witnessed.counter, 0);
  if (witnessed.counter > own.counter) return 'behind';
  if (witnessed.counter > 0 && witnessed.counter === own.counter && witnessed.head !== own.head) return 'forked';
  return 'current';
}
