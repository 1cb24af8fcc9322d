// The Cipher port on Node against public standards, and against tweetnacl wherever both do the same work.

import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import nacl from 'tweetnacl';
import { fromHex, toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { nodeCipher, systemClock, systemRandom } from '../../../main/host/machine.ts';
import * as standards from '../../vectors/standards.ts';

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

test('SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 4231), however the input is cut', () => {
  for (const { text, digest } of standards.sha256) {
    assert.equal(toHex(nodeCipher.sha256(utf8(text))), digest);
    assert.equal(toHex(nodeCipher.sha256(utf8(text.slice(0, 2)), utf8(text.slice(2)))), digest);
  }
  const { key, text, mac } = standards.hmacSha256;
  assert.equal(toHex(nodeCipher.hmacSha256(utf8(key), utf8(text))), mac);
  assert.equal(toHex(nodeCipher.hmacSha256(utf8(key), utf8('what do'), utf8(text.slice(7)))), mac);
});

test('X25519 (RFC 7748)', () => {
  const v = standards.x25519;
  assert.equal(toHex(nodeCipher.x25519(fromHex(v.scalar), fromHex(v.u))!), v.product);
  assert.equal(toHex(nodeCipher.x25519PublicKey(fromHex(v.alicePrivate))), v.alicePublic);
  assert.equal(toHex(nodeCipher.x25519PublicKey(fromHex(v.bobPrivate))), v.bobPublic);
  assert.equal(toHex(nodeCipher.x25519(fromHex(v.alicePrivate), fromHex(v.bobPublic))!), v.shared);
  assert.equal(toHex(nodeCipher.x25519(fromHex(v.bobPrivate), fromHex(v.alicePublic))!), v.shared);
});

test('a key of small order and an all-zero output are both null', () => {
  const own = new Uint8Array(32).fill(7);
  for (const key of [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ])
    assert.equal(nodeCipher.x25519(own, fromHex(key)), null);
  assert.throws(() => nodeCipher.x25519(own, new Uint8Array(31)), RangeError);
});

test('Ed25519 (RFC 8032)', () => {
  for (const { seed, publicKey, message, signature } of standards.ed25519) {
    assert.equal(toHex(nodeCipher.ed25519PublicKey(fromHex(seed))), publicKey);
    assert.equal(toHex(nodeCipher.ed25519Sign(fromHex(seed), fromHex(message))), signature);
    assert.ok(nodeCipher.ed25519Verify(fromHex(publicKey), fromHex(message), fromHex(signature)));
    const wrong = fromHex(signature);
    wrong[40]! ^= 1;
    assert.ok(!nodeCipher.ed25519Verify(fromHex(publicKey), fromHex(message), wrong));
  }
});

test('AES-256 of the zero block (NIST AESAVS) is how each stream begins', () => {
  for (const { key, block } of standards.aes256OfZero) {
    const data = new Uint8Array(16);
    nodeCipher.aes256Ctr(fromHex(key), data);
    assert.equal(toHex(data), block);
  }
});

test('counter mode is NIST SP 800-38A’s: block i is AES of i, big-endian, past 2^16 blocks and in place', () => {
  const { key, initialBlock, plain, cipher } = standards.aes256Ctr;
  const stream = createCipheriv('aes-256-ctr', fromHex(key), fromHex(initialBlock));
  assert.equal(stream.update(plain, 'hex', 'hex'), cipher);

  // The vector's own mode is thus the standard's; ours starts at zero, so its blocks are AES of the counter.
  const data = new Uint8Array((2 ** 16 + 2) * 16).fill(0xaa);
  nodeCipher.aes256Ctr(fromHex(key), data);
  for (const at of [0, 1, 255, 256, 65_535, 65_536, 65_537]) {
    const counter = Buffer.alloc(16);
    counter.writeUInt32BE(at, 12);
    const aes = createCipheriv('aes-256-ecb', fromHex(key), null).update(counter);
    assert.deepEqual(
      data.slice(16 * at, 16 * at + 16),
      Uint8Array.from(aes, (byte) => byte ^ 0xaa),
      `block ${at}`,
    );
  }
  assert.throws(() => nodeCipher.aes256Ctr(new Uint8Array(16), data), RangeError);
});

test('native and tweetnacl agree bit for bit', () => {
  fc.assert(
    fc.property(bytes32, bytes32, fc.uint8Array({ maxLength: 80 }), (first, second, message) => {
      const publicKey = nodeCipher.x25519PublicKey(second);
      assert.deepEqual(nacl.scalarMult.base(second), publicKey);
      assert.deepEqual(nacl.scalarMult(first, publicKey), nodeCipher.x25519(first, publicKey));
      const pair = nacl.sign.keyPair.fromSeed(first);
      assert.deepEqual(pair.publicKey, nodeCipher.ed25519PublicKey(first));
      const signature = nodeCipher.ed25519Sign(first, message);
      assert.deepEqual(nacl.sign.detached(message, pair.secretKey), signature);
      assert.ok(nacl.sign.detached.verify(message, signature, pair.publicKey));
    }),
    { numRuns: 8 },
  );
});

test('the system’s randomness has the length asked for and does not repeat; its clock is of this century', () => {
  assert.equal(systemRandom.bytes(0).length, 0);
  assert.notDeepEqual(systemRandom.bytes(32), systemRandom.bytes(32));
  assert.ok(systemClock.now() > Date.UTC(2020, 0, 1));
});
