// Every byte of test/vectors/css1.json, which an independent program computed from design 3.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fromHex, toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../app/encoding/canonical-json.ts';
import { signWith, signerFromSeed, verifySignature } from '../../../app/encoding/signature.ts';
import { boxLeafHash } from '../../../app/sealed-sum/boxes.ts';
import { contextBytes, setHash, stagePayload } from '../../../app/sealed-sum/context.ts';
import { chunkKey, pairMaskKey, selfMaskKey, selfSeedCommitment, shareHash } from '../../../app/sealed-sum/keys.ts';
import { createMasks } from '../../../app/sealed-sum/masks.ts';
import { reconstructSecret, splitWithCoefficients } from '../../../app/sealed-sum/shamir.ts';
import { vectorRoot } from '../../../app/sealed-sum/vector-root.ts';
import { nodeCipher } from '../../../main/host/machine.ts';

type Vectors = {
  context: { contract: string; study: string; round: number; ctx: string };
  sets: { bodies: string[]; hU1_of_0123: string; hU2_of_012: string };
  signature: {
    identitySeed: string;
    publicKey: string;
    stage: number;
    sender: number;
    input: string;
    signature: string;
  };
  pairMask: {
    private1: string;
    private3: string;
    public1: string;
    public3: string;
    shared: string;
    key: string;
    chunkKeys: string[];
    firstWordsOfChunk0: number[];
    firstWordsOfChunk1: number[];
  };
  selfMask: { index: number; seed: string; commitment: string; key: string; firstWordsOfChunk0: number[] };
  shamir: {
    threshold: number;
    secret: string;
    coefficients: string[];
    sharesAtIndex0to3: string[];
    shareHashFrom2To1: { b: string; s: string };
  };
  vectorRoot: { index: number; chunks: string[]; root: string };
  boxLeaf: { from: number; to: number; box: string; ephemeralPublicKey: string; leafHash: string };
};

const vectors = JSON.parse(readFileSync(new URL('../../vectors/css1.json', import.meta.url), 'utf8')) as Vectors;
const ctx = { study: fromHex(vectors.context.study), round: vectors.context.round };
const hU1 = fromHex(vectors.sets.hU1_of_0123);
const bodies = vectors.sets.bodies.map((body, index) => ({ index, body: utf8(body) }));

function firstWords(key: Uint8Array, chunk: number): number[] {
  const words = new Uint32Array(8);
  createMasks(nodeCipher).apply(words, chunk, { key, sign: 'add' });
  return [...words];
}

test('context, set hashes and the signing input', () => {
  assert.equal(toHex(nodeCipher.sha256(canonicalBytes(JSON.parse(vectors.context.contract)))), vectors.context.study);
  assert.equal(toHex(contextBytes(ctx)), vectors.context.ctx);
  assert.equal(toHex(setHash(nodeCipher, 'css1/U1', ctx, bodies)), vectors.sets.hU1_of_0123);
  assert.equal(toHex(setHash(nodeCipher, 'css1/U2', ctx, bodies.slice(0, 3))), vectors.sets.hU2_of_012);

  const { identitySeed, publicKey, stage, sender, input, signature } = vectors.signature;
  const payload = stagePayload(nodeCipher, ctx, stage, sender, bodies[sender]!.body);
  assert.equal(toHex(utf8('consilience/css1\0')) + toHex(payload), input);
  const signer = signerFromSeed(nodeCipher, fromHex(identitySeed));
  assert.equal(toHex(signer.publicKey), publicKey);
  assert.equal(toHex(signWith(signer, 'css1', payload)), signature);
  assert.ok(verifySignature(nodeCipher, signer.publicKey, 'css1', payload, fromHex(signature)));
});

test('pair masks: the same key on both sides, its chunk keys and streams', () => {
  const { private1, private3, public1, public3, shared, key, chunkKeys, ...words } = vectors.pairMask;
  assert.equal(toHex(nodeCipher.x25519PublicKey(fromHex(private1))), public1);
  assert.equal(toHex(nodeCipher.x25519(fromHex(private1), fromHex(public3))!), shared);
  const atOne = pairMaskKey(nodeCipher, ctx, hU1, 1, 3, fromHex(private1), fromHex(public3));
  const atThree = pairMaskKey(nodeCipher, ctx, hU1, 3, 1, fromHex(private3), fromHex(public1));
  assert.equal(toHex(atOne), key);
  assert.equal(toHex(atThree), key);
  assert.deepEqual(
    chunkKeys.map((_, chunk) => toHex(chunkKey(nodeCipher, atOne, chunk))),
    chunkKeys,
  );
  assert.deepEqual(firstWords(atOne, 0), words.firstWordsOfChunk0);
  assert.deepEqual(firstWords(atOne, 1), words.firstWordsOfChunk1);
});

test('self mask: commitment, key and stream', () => {
  const { index, seed, commitment, key, firstWordsOfChunk0 } = vectors.selfMask;
  assert.equal(toHex(selfSeedCommitment(nodeCipher, ctx, index, fromHex(seed))), commitment);
  const selfKey = selfMaskKey(nodeCipher, ctx, hU1, index, fromHex(seed));
  assert.equal(toHex(selfKey), key);
  assert.deepEqual(firstWords(selfKey, 0), firstWordsOfChunk0);
});

test('shares and their hashes', () => {
  const { threshold, secret, coefficients, sharesAtIndex0to3, shareHashFrom2To1 } = vectors.shamir;
  const shares = splitWithCoefficients(
    fromHex(secret),
    coefficients.map((hex) => fromHex(hex)),
    [0, 1, 2, 3],
  );
  assert.deepEqual([...shares.values()].map(toHex), sharesAtIndex0to3);
  const three = [3, 0, 2].map((index) => ({ index, share: shares.get(index)! }));
  assert.equal(three.length, threshold);
  assert.equal(toHex(reconstructSecret(three)), secret);
  assert.equal(toHex(shareHash(nodeCipher, ctx, 2, 1, 'b', shares.get(1)!)), shareHashFrom2To1.b);
  assert.equal(toHex(shareHash(nodeCipher, ctx, 2, 1, 's', shares.get(1)!)), shareHashFrom2To1.s);
});

test('roots: the vector’s and a box’s leaf', () => {
  const { index, chunks, root } = vectors.vectorRoot;
  assert.equal(toHex(vectorRoot(nodeCipher, ctx, index, chunks.map(utf8))), root);
  const { from, to, box, ephemeralPublicKey, leafHash } = vectors.boxLeaf;
  const sealed = {
    box: fromHex(box),
    ephemeralPublicKey: fromHex(ephemeralPublicKey),
    shareHashB: fromHex(vectors.shamir.shareHashFrom2To1.b),
    shareHashS: fromHex(vectors.shamir.shareHashFrom2To1.s),
  };
  assert.equal(toHex(boxLeafHash(nodeCipher, ctx, from, to, sealed)), leafHash);
});
