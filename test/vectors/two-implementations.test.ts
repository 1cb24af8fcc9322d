// Native keys and tweetnacl's give the same bits, and after the strict reading the same answers: on the public vectors,
// on all of Project Wycheproof, and on forgeries made to split them. Where neither library is the judge (boxes), a
// textbook is.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import nacl from 'tweetnacl';
import { canonicalJson } from '../../app/encoding/canonical-json.ts';
import { concat, fromHex, toHex, utf8 } from '../../app/encoding/bytes.ts';
import { hkdf } from '../../app/encoding/hkdf.ts';
import { isStrictEd25519Key, isStrictSignature, isStrictX25519Key } from '../../app/encoding/signature.ts';
import type { Cipher } from '../../app/ports.ts';
import { nodeCipher } from '../../main/host/machine.ts';
import { hsalsa20, salsaBox } from '../oracle/salsa-box.ts';
import * as standards from './standards.ts';

type Curves = Pick<Cipher, 'x25519' | 'x25519PublicKey' | 'ed25519PublicKey' | 'ed25519Sign' | 'ed25519Verify'>;

/** The other implementation, behind the same port. */
const naclCurves: Curves = {
  x25519(privateKey, publicKey) {
    const shared = nacl.scalarMult(privateKey, publicKey);
    return shared.every((byte) => byte === 0) ? null : shared;
  },
  x25519PublicKey: (privateKey) => nacl.scalarMult.base(privateKey),
  ed25519PublicKey: (seed) => nacl.sign.keyPair.fromSeed(seed).publicKey,
  ed25519Sign: (seed, message) => nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(seed).secretKey),
  ed25519Verify: (publicKey, message, signature) => nacl.sign.detached.verify(message, signature, publicKey),
};
const both: readonly Curves[] = [nodeCipher, naclCurves];

const reference = new URL('../../../shared/reference/wycheproof/', import.meta.url);
const wycheproof = { skip: existsSync(reference) ? false : 'the reference folder ../shared is not here' };
function groups<Group>(name: string): Group[] {
  return (JSON.parse(readFileSync(new URL(name, reference), 'utf8')) as { testGroups: Group[] }).testGroups;
}

const littleEndian = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, '0')).reverse();
const numberOf = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes.slice().reverse())}`);
const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n;
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** What the protocol accepts: the strict reading first, then either library. */
const accepts = (curves: Curves, key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean =>
  isStrictEd25519Key(key) && isStrictSignature(signature) && curves.ed25519Verify(key, message, signature);

test('RFC 8032 and RFC 7748 by both', () => {
  for (const curves of both) {
    for (const { seed: secret, publicKey, message, signature } of standards.ed25519) {
      assert.equal(toHex(curves.ed25519PublicKey(fromHex(secret))), publicKey);
      assert.equal(toHex(curves.ed25519Sign(fromHex(secret), fromHex(message))), signature);
      assert.ok(accepts(curves, fromHex(publicKey), fromHex(message), fromHex(signature)));
    }
    const { alicePrivate, alicePublic, bobPrivate, bobPublic, shared } = standards.x25519;
    assert.equal(toHex(curves.x25519PublicKey(fromHex(alicePrivate))), alicePublic);
    assert.equal(toHex(curves.x25519(fromHex(alicePrivate), fromHex(bobPublic))!), shared);
    assert.equal(toHex(curves.x25519(fromHex(bobPrivate), fromHex(alicePublic))!), shared);
  }
});

test('RFC 7748, section 5.2: a thousand iterations by both', () => {
  for (const curves of both) {
    let [k, u] = [littleEndian(9n), littleEndian(9n)];
    for (let turn = 0; turn < 1000; turn++) [k, u] = [curves.x25519(k, u)!, k];
    assert.equal(toHex(k), '684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51');
  }
});

test('RFC 8785: a number is written the same way by the platform and by the standard', () => {
  for (const [bits, text] of standards.canonicalNumbers)
    assert.equal(canonicalJson(new DataView(fromHex(bits).buffer as ArrayBuffer).getFloat64(0)), text);
});

test('random keys and messages: the same bits', () => {
  fc.assert(
    fc.property(seed, seed, fc.uint8Array({ maxLength: 100 }), (one, two, message) => {
      const [native, other] = both.map((curves) => {
        const publicKey = curves.ed25519PublicKey(one);
        const signature = curves.ed25519Sign(one, message);
        const shared = curves.x25519(one, curves.x25519PublicKey(two));
        return [publicKey, signature, curves.x25519PublicKey(one), shared].map((bytes) => toHex(bytes!));
      });
      assert.deepEqual(native, other);
    }),
    { numRuns: 25 },
  );
});

test('forgeries that split the libraries do not split the protocol', () => {
  const message = utf8('a Ready');
  let split = 0;
  fc.assert(
    fc.property(seed, fc.integer({ min: 0, max: 63 }), fc.integer({ min: 1, max: 255 }), (secret, at, flip) => {
      const key = nodeCipher.ed25519PublicKey(secret);
      const signature = nodeCipher.ed25519Sign(secret, message);
      const plusOrder = concat(signature.subarray(0, 32), littleEndian(numberOf(signature.slice(32)) + groupOrder));
      const flipped = signature.map((byte, place) => (place === at ? byte ^ flip : byte));
      const otherKey = key.map((byte, place) => (place === at % 32 ? byte ^ flip : byte));
      const cases: readonly (readonly [Uint8Array, Uint8Array])[] = [
        [key, signature],
        [key, plusOrder],
        [key, flipped],
        [otherKey, signature],
        ...smallOrder.flatMap((small): (readonly [Uint8Array, Uint8Array])[] => [
          [small, signature],
          [small, concat(small, new Uint8Array(32))],
          [key, concat(small, signature.subarray(32))],
        ]),
      ];
      for (const [publicKey, forged] of cases) {
        const [native, other] = both.map((curves) => accepts(curves, publicKey, message, forged));
        assert.equal(native, other);
        assert.equal(native, publicKey === key && forged === signature);
        if (
          both.map((curves) => curves.ed25519Verify(publicKey, message, forged)).includes(true) &&
          forged !== signature
        )
          split++;
      }
    }),
    { numRuns: 8 },
  );
  assert.ok(split > 0, 'without the strict reading at least one library takes a forgery');
});

/** Points of order 1, 2, 4 and 8, and y = 1 + p, which is not canonical. */
const smallOrder = [
  littleEndian(1n),
  littleEndian(2n ** 255n - 20n),
  littleEndian(0n),
  fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
  fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'),
  littleEndian(2n ** 255n - 18n),
];

test('X25519 keys with the top bit set, not canonical, or of small order', () => {
  const secret = new Uint8Array(32).fill(7);
  const base = nodeCipher.x25519PublicKey(new Uint8Array(32).fill(9));
  const topBit = base.map((byte, at) => (at === 31 ? byte | 0x80 : byte));
  // Both libraries mask the bit, so two encodings would be one key: hence the rule.
  assert.deepEqual(
    both.map((curves) => toHex(curves.x25519(secret, topBit)!)),
    both.map((curves) => toHex(curves.x25519(secret, base)!)),
  );
  for (const key of [
    topBit,
    littleEndian(2n ** 255n - 19n + 9n),
    littleEndian(0n),
    littleEndian(1n),
    littleEndian(2n ** 255n - 20n),
  ])
    assert.ok(!isStrictX25519Key(key));
  for (const key of [littleEndian(0n), littleEndian(1n), littleEndian(2n ** 255n - 20n)])
    for (const curves of both) assert.equal(curves.x25519(secret, key), null);
});

test('Wycheproof, Ed25519: all cases by both', wycheproof, () => {
  type Group = { publicKey: { pk: string }; tests: { tcId: number; msg: string; sig: string; result: string }[] };
  let cases = 0;
  for (const { publicKey, tests } of groups<Group>('ed25519_test.json'))
    for (const { tcId, msg, sig, result } of tests) {
      for (const curves of both)
        assert.equal(
          accepts(curves, fromHex(publicKey.pk), fromHex(msg), fromHex(sig)),
          result === 'valid',
          `case ${tcId}`,
        );
      cases++;
    }
  assert.ok(cases >= 150);
});

test('Wycheproof, X25519: all cases by both', wycheproof, () => {
  type Case = { tcId: number; public: string; private: string; shared: string; result: string };
  let [strict, loose] = [0, 0];
  for (const { tests } of groups<{ tests: Case[] }>('x25519_test.json'))
    for (const { tcId, public: key, private: secret, shared, result } of tests) {
      const expected = /^0+$/.test(shared) ? null : shared;
      for (const curves of both) {
        const found = curves.x25519(fromHex(secret), fromHex(key));
        assert.equal(found === null ? null : toHex(found), expected, `case ${tcId}`);
      }
      if (isStrictX25519Key(fromHex(key))) {
        strict++;
        assert.notEqual(expected, null, `case ${tcId}: a strict key never gives zero`);
      } else {
        loose++;
        assert.notEqual(result, 'valid', `case ${tcId}: an ordinary key is refused`);
      }
    }
  assert.equal(strict + loose, 518);
  assert.ok(loose > 20);
});

test('Wycheproof, HKDF-SHA-256: all cases', wycheproof, () => {
  type Case = { tcId: number; ikm: string; salt: string; info: string; size: number; okm: string; result: string };
  let cases = 0;
  for (const { tests } of groups<{ tests: Case[] }>('hkdf_sha256_test.json'))
    for (const { tcId, ikm, salt, info, size, okm, result } of tests) {
      const derive = (): string => toHex(hkdf(nodeCipher, fromHex(ikm), fromHex(salt), fromHex(info), size));
      if (result === 'valid') assert.equal(derive(), okm, `case ${tcId}`);
      else assert.throws(derive, RangeError, `case ${tcId}`);
      cases++;
    }
  assert.equal(cases, 86);
});

test('the box of "Cryptography in NaCl", by the library and by the textbook', () => {
  const { alicePrivate, bobPublic } = standards.x25519;
  const { nonce, message, box } = standards.naclBox;
  const expected = toHex(nacl.box(fromHex(message), fromHex(nonce), fromHex(bobPublic), fromHex(alicePrivate)));
  assert.equal(expected, box);
  const shared = nodeCipher.x25519(fromHex(alicePrivate), fromHex(bobPublic))!;
  assert.equal(toHex(salsaBox(fromHex(message), fromHex(nonce), shared)), box);
});

test('a box of the library is the textbook’s box, with native X25519 under it', () => {
  fc.assert(
    fc.property(
      seed,
      seed,
      fc.uint8Array({ minLength: 24, maxLength: 24 }),
      fc.uint8Array({ maxLength: 200 }),
      (one, two, nonce, plain) => {
        const shared = nodeCipher.x25519(one, nodeCipher.x25519PublicKey(two))!;
        const box = nacl.box(plain, nonce, nacl.scalarMult.base(two), one);
        assert.deepEqual(salsaBox(plain, nonce, shared), box);
        assert.deepEqual(nacl.box.before(nodeCipher.x25519PublicKey(two), one), hsalsa20(shared, new Uint8Array(16)));
        assert.deepEqual(nacl.box.open(box, nonce, nodeCipher.x25519PublicKey(one), two), plain);
      },
    ),
    { numRuns: 12 },
  );
});
