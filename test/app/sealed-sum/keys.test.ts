import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../../../app/encoding/bytes.ts';
import { InputError } from '../../../app/errors.ts';
import {
  isPrivateKeyOf,
  newKeyPair,
  pairMaskKey,
  selfMaskKey,
  selfSeedCommitment,
  shareHash,
} from '../../../app/sealed-sum/keys.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { seededRandom } from '../seeded-random.ts';

const random = seededRandom('keys');
const ctx = { study: random.bytes(32), round: 3 };
const hU1 = random.bytes(32);

test('a pair’s key depends on both members, the context and H(U1), and not on who asks', () => {
  const [a, b] = [newKeyPair(random, nodeCipher), newKeyPair(random, nodeCipher)];
  const key = pairMaskKey(nodeCipher, ctx, hU1, 2, 300, a.privateKey, b.publicKey);
  assert.deepEqual(pairMaskKey(nodeCipher, ctx, hU1, 300, 2, b.privateKey, a.publicKey), key);
  const others = [
    pairMaskKey(nodeCipher, { ...ctx, round: 4 }, hU1, 2, 300, a.privateKey, b.publicKey),
    pairMaskKey(nodeCipher, ctx, random.bytes(32), 2, 300, a.privateKey, b.publicKey),
    pairMaskKey(nodeCipher, ctx, hU1, 2, 301, a.privateKey, b.publicKey),
    pairMaskKey(nodeCipher, ctx, hU1, 1, 300, a.privateKey, b.publicKey),
  ];
  for (const other of others) assert.notDeepEqual(other, key);
  assert.throws(() => pairMaskKey(nodeCipher, ctx, hU1, 2, 2, a.privateKey, b.publicKey), RangeError);
});

test('refuses public keys of small order, not canonical, or with the top bit set', () => {
  const own = newKeyPair(random, nodeCipher);
  const topBit = newKeyPair(random, nodeCipher).publicKey;
  topBit[31]! |= 0x80;
  for (const key of [
    new Uint8Array(32),
    fromHex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'),
    fromHex('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
    fromHex('f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
    topBit,
    new Uint8Array(31).fill(9),
  ])
    assert.throws(
      () => pairMaskKey(nodeCipher, ctx, hU1, 0, 1, own.privateKey, key),
      (error) => error instanceof InputError && error.code === 'mask-key-unusable',
    );
});

test('commitments bind index, kind, holder and context', () => {
  const secret = random.bytes(32);
  const values = [
    selfSeedCommitment(nodeCipher, ctx, 1, secret),
    selfSeedCommitment(nodeCipher, ctx, 2, secret),
    selfSeedCommitment(nodeCipher, { ...ctx, round: 9 }, 1, secret),
    shareHash(nodeCipher, ctx, 1, 2, 'b', secret),
    shareHash(nodeCipher, ctx, 1, 2, 's', secret),
    shareHash(nodeCipher, ctx, 2, 1, 'b', secret),
    shareHash(nodeCipher, ctx, 1, 3, 'b', secret),
    selfMaskKey(nodeCipher, ctx, hU1, 1, secret),
    selfMaskKey(nodeCipher, ctx, hU1, 2, secret),
  ].map(String);
  assert.equal(new Set(values).size, values.length);
});

test('an opened mask key is known by its public half', () => {
  const [a, b] = [newKeyPair(random, nodeCipher), newKeyPair(random, nodeCipher)];
  assert.ok(isPrivateKeyOf(nodeCipher, a.privateKey, a.publicKey));
  assert.ok(!isPrivateKeyOf(nodeCipher, b.privateKey, a.publicKey));
});
