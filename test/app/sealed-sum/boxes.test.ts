import assert from 'node:assert/strict';
import { test } from 'node:test';
import nacl from 'tweetnacl';
import { concat, u16 } from '../../../app/encoding/bytes.ts';
import { merklePath, pathLeadsTo } from '../../../app/encoding/merkle.ts';
import { ConsilienceError, InputError } from '../../../app/errors.ts';
import {
  bundleEntry,
  decodeBundle,
  decodeDelivery,
  encodeBundle,
  encodeDelivery,
} from '../../../app/sealed-sum/box-frames.ts';
import { boxLeafHash, boxLength, boxRoot, openBox, openRevealedBox, sealBox } from '../../../app/sealed-sum/boxes.ts';
import type { BoxOpening, BoxRoute, SealedBox } from '../../../app/sealed-sum/boxes.ts';
import { contextBytes } from '../../../app/sealed-sum/context.ts';
import { newKeyPair, shareHash } from '../../../app/sealed-sum/keys.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { seededRandom } from '../seeded-random.ts';

const random = seededRandom('boxes');
const ctx = { study: random.bytes(32), round: 11 };
const route: BoxRoute = { ctx, hU1: random.bytes(32), dealer: 2, holder: 5 };
const holderKeys = newKeyPair(random, nodeCipher);
const shares = { shareB: random.bytes(32), shareS: random.bytes(32) };
const { sealed, ephemeralPrivateKey } = sealBox(random, nodeCipher, route, holderKeys.publicKey, shares);

const open = (changes: Partial<BoxRoute> = {}, box: SealedBox = sealed): BoxOpening =>
  openBox(nodeCipher, { ...route, ...changes }, holderKeys.privateKey, box);
const fault = (opening: BoxOpening): string => (opening.opened ? 'none' : opening.fault);

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const out = bytes.slice();
  out[at]! ^= 1;
  return out;
}

test('the holder, and after a complaint anyone, opens the box', () => {
  assert.deepEqual(open(), { opened: true, ...shares });
  assert.deepEqual(openRevealedBox(nodeCipher, route, holderKeys.publicKey, ephemeralPrivateKey, sealed), {
    opened: true,
    ...shares,
  });
  assert.equal(sealed.box.length, boxLength);
});

test('a box is the library’s crypto_box, both ways, though its X25519 is the machine’s', () => {
  const [nonce, plain] = [
    sealed.box.subarray(0, 24),
    nacl.box.open(
      sealed.box.subarray(24),
      sealed.box.subarray(0, 24),
      sealed.ephemeralPublicKey,
      holderKeys.privateKey,
    )!,
  ];
  assert.deepEqual(plain.slice(-64), concat(shares.shareB, shares.shareS));
  const box = concat(nonce, nacl.box(plain, nonce, holderKeys.publicKey, ephemeralPrivateKey));
  assert.deepEqual(box, sealed.box);
  assert.deepEqual(open({}, { ...sealed, box }), { opened: true, ...shares });
});

test('each box has its own key and nonce, equal shares or not', () => {
  const again = sealBox(random, nodeCipher, route, holderKeys.publicKey, shares).sealed;
  assert.notDeepEqual(again.box.subarray(0, 24), sealed.box.subarray(0, 24));
  assert.notDeepEqual(again.ephemeralPublicKey, sealed.ephemeralPublicKey);
  assert.deepEqual(again.shareHashB, sealed.shareHashB);
});

test('any changed byte of nonce, tag or ciphertext is noticed, and so is a wrong length', () => {
  for (let at = 0; at < boxLength; at += 7)
    assert.equal(fault(open({}, { ...sealed, box: flipped(sealed.box, at) })), 'does-not-open');
  assert.equal(fault(open({}, { ...sealed, box: sealed.box.subarray(1) })), 'length');
  assert.equal(fault(open({}, { ...sealed, box: concat(sealed.box, u16(0)) })), 'length');
});

test('a box from another round, route or member set names what differs', () => {
  assert.equal(fault(open({ ctx: { ...ctx, round: 12 } })), 'context');
  assert.equal(fault(open({ ctx: { ...ctx, study: random.bytes(32) } })), 'context');
  assert.equal(fault(open({ dealer: 3 })), 'route');
  assert.equal(fault(open({ holder: 4 })), 'route');
  // Reflected: the dealer's own box offered back as if the holder had sealed it.
  assert.equal(fault(open({ dealer: 5, holder: 2 })), 'route');
  assert.equal(fault(open({ hU1: random.bytes(32) })), 'member-set');
});

test('shares that miss their hashes are a fault of the dealer', () => {
  assert.equal(fault(open({}, { ...sealed, shareHashB: flipped(sealed.shareHashB, 0) })), 'share-hash-b');
  assert.equal(fault(open({}, { ...sealed, shareHashS: flipped(sealed.shareHashS, 31) })), 'share-hash-s');
});

test('weak or foreign ephemeral keys do not open', () => {
  const topBit = sealed.ephemeralPublicKey.slice();
  topBit[31]! |= 0x80;
  for (const key of [new Uint8Array(32), topBit])
    assert.equal(fault(open({}, { ...sealed, ephemeralPublicKey: key })), 'ephemeral-key');
  const foreign = newKeyPair(random, nodeCipher);
  assert.equal(fault(open({}, { ...sealed, ephemeralPublicKey: foreign.publicKey })), 'does-not-open');
  const revealed = openRevealedBox(nodeCipher, route, holderKeys.publicKey, foreign.privateKey, sealed);
  assert.equal(fault(revealed), 'ephemeral-key');
  assert.throws(
    () => sealBox(random, nodeCipher, route, new Uint8Array(32), shares),
    (error) => error instanceof InputError && error.code === 'box-key-unusable',
  );
});

test('a dealer who seals garbage is convicted by its revealed key', () => {
  const nonce = random.bytes(24);
  const garbage = concat(
    contextBytes(ctx),
    u16(route.dealer),
    u16(route.holder),
    route.hU1,
    random.bytes(32),
    shares.shareS,
  );
  const box = concat(nonce, nacl.box(garbage, nonce, holderKeys.publicKey, ephemeralPrivateKey));
  const bad = { ...sealed, box };
  assert.equal(fault(open({}, bad)), 'share-hash-b');
  assert.equal(
    fault(openRevealedBox(nodeCipher, route, holderKeys.publicKey, ephemeralPrivateKey, bad)),
    'share-hash-b',
  );
});

test('leaves stand under the dealer’s root and bind dealer, holder and every part', () => {
  const boxes = [1, 2, 5, 6, 9].map((holder) => ({
    holder,
    sealed: sealBox(random, nodeCipher, { ...route, holder }, holderKeys.publicKey, shares).sealed,
  }));
  const root = boxRoot(nodeCipher, ctx, route.dealer, boxes);
  const leaves = boxes.map(({ holder, sealed }) => boxLeafHash(nodeCipher, ctx, route.dealer, holder, sealed));
  boxes.forEach((_, at) =>
    assert.ok(pathLeadsTo(nodeCipher, root, leaves[at]!, at, leaves.length, merklePath(nodeCipher, leaves, at))),
  );
  const hash = shareHash(nodeCipher, ctx, 0, 0, 'b', random.bytes(32));
  const first = boxes[0]!.sealed;
  const distinct = [
    leaves[0]!,
    boxLeafHash(nodeCipher, ctx, 3, 1, first),
    boxLeafHash(nodeCipher, ctx, 2, 2, first),
    boxLeafHash(nodeCipher, { ...ctx, round: 1 }, 2, 1, first),
    boxLeafHash(nodeCipher, ctx, 2, 1, { ...first, box: first.box.subarray(1) }),
    boxLeafHash(nodeCipher, ctx, 2, 1, { ...first, ephemeralPublicKey: hash }),
    boxLeafHash(nodeCipher, ctx, 2, 1, { ...first, shareHashB: hash }),
    boxLeafHash(nodeCipher, ctx, 2, 1, { ...first, shareHashS: hash }),
  ].map(String);
  assert.equal(new Set(distinct).size, distinct.length);
});

test('frames come back as they went, and nothing else is read', () => {
  const entries = [0, 7, 65535].map((holder) => ({ holder, sealed }));
  const bundle = encodeBundle(entries);
  assert.equal(bundle.length, 3 * (2 + 96 + 2 + boxLength));
  assert.deepEqual(decodeBundle(bundle), entries);
  assert.deepEqual(
    entries.map((_, position) => bundleEntry(bundle, position)),
    entries,
  );
  const delivery = [
    { dealer: 1, sealed, path: [] },
    { dealer: 3, sealed, path: [random.bytes(32), random.bytes(32)] },
  ];
  const delivered = encodeDelivery(delivery);
  assert.deepEqual(decodeDelivery(delivered), delivery);
  assert.deepEqual(decodeBundle(new Uint8Array(0)), []);

  const isFrameError = (error: unknown): boolean => error instanceof InputError && error.code === 'box-frame';
  assert.throws(() => bundleEntry(bundle, entries.length), isFrameError);
  for (const bytes of [
    bundle.subarray(1),
    bundle.subarray(0, -1),
    concat(bundle, u16(1)),
    concat(bundle, bundle),
    concat(encodeBundle([entries[1]!]), encodeBundle([entries[1]!])),
    flipped(bundle, 99),
  ])
    assert.throws(() => decodeBundle(bytes), isFrameError);
  for (const bytes of [
    delivered.subarray(0, -1),
    concat(delivered, delivered),
    concat(delivered.subarray(0, -65), Uint8Array.of(17), new Uint8Array(17 * 32)),
    delivered.subarray(0, -65),
  ])
    assert.throws(() => decodeDelivery(bytes), isFrameError);
  assert.throws(() => encodeBundle([entries[1]!, entries[0]!]), ConsilienceError);
  assert.throws(() => encodeBundle([{ holder: 1, sealed: { ...sealed, box: random.bytes(9) } }]), RangeError);
});
