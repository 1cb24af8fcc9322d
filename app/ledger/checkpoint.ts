// A signed statement "this ledger had `size` entries and the last one's hash was `last`", in the style of a signed note
// (C2SP signed-note, tlog-checkpoint): origin, size, hash, time, an empty line, a signature line. Exact bytes below.
//
//   text      = origin "\n" size "\n" last "\n" time "\n"        origin = "consilience-ledger/1/" + public key in hex
//   file      = text "\n" "— " origin " " base64(key id || signature) "\n"
//   signed    = "consilience/checkpoint" 0x00 text               (what `openssl pkeyutl -verify -rawin -in` is given)
//   key id    = SHA-256(origin "\n" 0xff "consilience/checkpoint" public key), first 4 bytes

import { concat, equalBytes, fromHex, toHex, u8, utf8 } from '../encoding/bytes.ts';
import { signWith, verifySignature } from '../encoding/signature.ts';
import { InputError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import { fromBase64, toBase64 } from '../encoding/base64.ts';
import { ledgerTime } from './entry.ts';

export type LedgerHead = { readonly size: number; /** Hex. */ readonly last: string };
export type Checkpoint = LedgerHead & { readonly time: string; readonly publicKey: Uint8Array };

const originPrefix = 'consilience-ledger/1/';

const textOf = (origin: string, head: LedgerHead, time: string): Uint8Array =>
  utf8(`${origin}\n${head.size}\n${head.last}\n${time}\n`);

const keyId = (cipher: Cipher, origin: string, publicKey: Uint8Array): Uint8Array =>
  cipher.sha256(utf8(`${origin}\n`), u8(0xff), utf8('consilience/checkpoint'), publicKey).slice(0, 4);

/** The checkpoint file's text. `milliseconds` is the clock's reading. */
export function writeCheckpoint(cipher: Cipher, signer: Signer, head: LedgerHead, milliseconds: number): string {
  const origin = originPrefix + toHex(signer.publicKey);
  const time = ledgerTime(milliseconds);
  const signature = signWith(signer, 'checkpoint', textOf(origin, head, time));
  const stamp = toBase64(concat(keyId(cipher, origin, signer.publicKey), signature));
  return `${origin}\n${head.size}\n${head.last}\n${time}\n\n— ${origin} ${stamp}\n`;
}

const layout = new RegExp(
  `^${originPrefix}([0-9a-f]{64})\\n(0|[1-9][0-9]{0,15})\\n([0-9a-f]{64})\\n` +
    `(\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z)\\n\\n— (\\S+) (\\S+)\\n$`,
);

/**
 * Reads a checkpoint and checks its signature. `expectedKey` is the key known from elsewhere; without it the signature
 * is checked against the key that the text itself names, which proves only that both came from one hand.
 * @throws InputError `checkpoint-malformed`, `checkpoint-other-key` or `checkpoint-bad-signature`.
 */
export function readCheckpoint(cipher: Cipher, text: string, expectedKey?: Uint8Array): Checkpoint {
  const parts = layout.exec(text);
  if (parts === null || !Number.isSafeInteger(Number(parts[2])))
    throw new InputError('checkpoint-malformed', 'The checkpoint is not in the form that a ledger writes.');
  const [publicKey, head] = [fromHex(parts[1]!), { size: Number(parts[2]), last: parts[3]! }];
  const [time, stamp, origin] = [parts[4]!, fromBase64(parts[6]!), originPrefix + parts[1]!];
  if (expectedKey !== undefined && !equalBytes(expectedKey, publicKey))
    throw new InputError('checkpoint-other-key', 'The checkpoint names another key than the one expected.');
  const valid =
    parts[5] === origin &&
    stamp !== null &&
    stamp.length === 68 &&
    equalBytes(stamp.subarray(0, 4), keyId(cipher, origin, publicKey)) &&
    verifySignature(cipher, publicKey, 'checkpoint', textOf(origin, head, time), stamp.subarray(4));
  if (!valid) throw new InputError('checkpoint-bad-signature', 'The signature of the checkpoint does not hold.');
  return { ...head, time, publicKey };
}
