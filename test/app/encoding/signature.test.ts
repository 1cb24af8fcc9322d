// The strict reading of Ed25519 and X25519: what one library accepts and another does not is refused before either.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import nacl from 'tweetnacl';
import { concat, fromHex, utf8 } from '../../../app/encoding/bytes.ts';
import {
  isStrictEd25519Key,
  isStrictSignature,
  isStrictX25519Key,
  signWith,
  signerFromSeed,
  verifySignature,
} from '../../../app/encoding/signature.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import * as standards from '../../vectors/standards.ts';

const signer = signerFromSeed(nodeCipher, new Uint8Array(32).fill(5));
const message = utf8('a message');
const signature = signWith(signer, 'css1', message);

const littleEndian = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, '0')).reverse();
const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n;
const fieldPrime = 2n ** 255n - 19n;

test('a signature is for one domain, key and message', () => {
  assert.ok(verifySignature(nodeCipher, signer.publicKey, 'css1', message, signature));
  assert.ok(!verifySignature(nodeCipher, signer.publicKey, 'contract', message, signature));
  assert.ok(!verifySignature(nodeCipher, signer.publicKey, 'css1', utf8('another'), signature));
  const other = signerFromSeed(nodeCipher, new Uint8Array(32).fill(6)).publicKey;
  assert.ok(!verifySignature(nodeCipher, other, 'css1', message, signature));
  assert.ok(!verifySignature(nodeCipher, signer.publicKey, 'css1', message, signature.subarray(1)));
  assert.ok(!verifySignature(nodeCipher, signer.publicKey.subarray(1), 'css1', message, signature));
});

test('S + L, which tweetnacl accepts, is refused', () => {
  const s = BigInt(`0x${Buffer.from(signature.slice(32).reverse()).toString('hex')}`);
  const forged = concat(signature.subarray(0, 32), littleEndian(s + groupOrder));
  const signed = concat(utf8('consilience/css1\0'), message);
  assert.ok(nacl.sign.detached.verify(signed, forged, signer.publicKey));
  assert.ok(!isStrictSignature(forged));
  assert.ok(!verifySignature(nodeCipher, signer.publicKey, 'css1', message, forged));
  // Whichever library answers: the strict reading comes before it.
  const lax = {
    ...nodeCipher,
    ed25519Verify: (key: Uint8Array, text: Uint8Array, bytes: Uint8Array) =>
      nacl.sign.detached.verify(text, bytes, key),
  };
  assert.ok(verifySignature(lax, signer.publicKey, 'css1', message, signature));
  assert.ok(!verifySignature(lax, signer.publicKey, 'css1', message, forged));
  assert.ok(isStrictSignature(concat(new Uint8Array(32), littleEndian(groupOrder - 1n))));
  assert.ok(!isStrictSignature(concat(new Uint8Array(32), littleEndian(groupOrder))));
  assert.ok(!isStrictSignature(concat(littleEndian(fieldPrime), littleEndian(1n))));
});

test('keys not canonical or of small order are refused', () => {
  for (const { publicKey } of standards.ed25519) assert.ok(isStrictEd25519Key(fromHex(publicKey)));
  for (const y of [0n, 1n, fieldPrime - 1n, fieldPrime, fieldPrime + 1n, 2n ** 255n - 1n])
    for (const sign of [0, 0x80]) {
      const key = littleEndian(y);
      key[31]! |= sign;
      assert.ok(!isStrictEd25519Key(key), String(y));
    }
  assert.ok(!isStrictEd25519Key(fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85')));

  assert.ok(isStrictX25519Key(fromHex(standards.x25519.alicePublic)));
  for (const u of [0n, 1n, fieldPrime - 1n, fieldPrime, fieldPrime + 9n, 9n + 2n ** 255n])
    assert.ok(!isStrictX25519Key(littleEndian(u)), String(u));
  assert.ok(isStrictX25519Key(littleEndian(9n)));
});

test('no strict X25519 key gives an all-zero secret; those of small order are all named', () => {
  // RFC 7748's clamp makes every scalar a multiple of 8, so points of order 1, 2, 4 and 8 all go to zero.
  for (const hex of [
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  ]) {
    assert.equal(nodeCipher.x25519(new Uint8Array(32).fill(3), fromHex(hex)), null);
    assert.ok(!isStrictX25519Key(fromHex(hex)));
  }
});

test('keys and signatures of another length are refused', () => {
  for (const change of [
    (bytes: Uint8Array) => concat(bytes, new Uint8Array(1)),
    (bytes: Uint8Array) => bytes.slice(1),
  ]) {
    assert.ok(!isStrictEd25519Key(change(signer.publicKey)));
    assert.ok(!isStrictSignature(change(signature)));
    assert.ok(!isStrictX25519Key(change(littleEndian(9n))));
    assert.ok(!isStrictX25519Key(change(new Uint8Array(32).fill(9))));
  }
  assert.ok(!isStrictEd25519Key(new Uint8Array(31).fill(3)));
  assert.ok(!isStrictEd25519Key(new Uint8Array(33).fill(3)));
});

type Wycheproof = {
  testGroups: {
    publicKey: { pk: string };
    tests: { tcId: number; comment: string; msg: string; sig: string; result: 'valid' | 'invalid' }[];
  }[];
};
const wycheproof = new URL('../../../../shared/reference/wycheproof/ed25519_test.json', import.meta.url);

test(
  'Project Wycheproof’s Ed25519 cases',
  { skip: existsSync(wycheproof) ? false : 'the reference folder ../shared is not here' },
  () => {
    const { testGroups } = JSON.parse(readFileSync(wycheproof, 'utf8')) as Wycheproof;
    let cases = 0;
    for (const { publicKey, tests } of testGroups)
      for (const { tcId, comment, msg, sig, result } of tests) {
        const key = fromHex(publicKey.pk);
        const strict = isStrictEd25519Key(key) && isStrictSignature(fromHex(sig));
        const accepted = strict && nodeCipher.ed25519Verify(key, fromHex(msg), fromHex(sig));
        assert.equal(accepted, result === 'valid', `case ${tcId}: ${comment}`);
        cases++;
      }
    assert.ok(cases > 100);
  },
);
