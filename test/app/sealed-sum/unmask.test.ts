// Masking and opening together: for random rosters, dropouts and lengths the opened sum is the plain integer sum.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesToWords } from '../../../app/encoding/bytes.ts';
import { InvariantError } from '../../../app/errors.ts';
import { newKeyPair, pairMaskKey, selfMaskKey } from '../../../app/sealed-sum/keys.ts';
import { chunkCount, chunkRange, chunkWords, createMasks, maskChunk, pairSign } from '../../../app/sealed-sum/masks.ts';
import { reconstructSecret, splitSecret } from '../../../app/sealed-sum/shamir.ts';
import { customaryQuorum } from '../../../app/sealed-sum/thresholds.ts';
import { addWords, openChunk, remainingMasks } from '../../../app/sealed-sum/unmask.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { seededRandom } from '../seeded-random.ts';

const masks = createMasks(nodeCipher);

function party(seed: number, count: number) {
  const random = seededRandom(seed);
  const ctx = { study: random.bytes(32), round: seed };
  const hU1 = random.bytes(32);
  // Roster positions with gaps: U2 need not be everybody.
  const members = Array.from({ length: count }, (_, at) => ({
    index: 3 * at + 1,
    selfSeed: random.bytes(32),
    pair: newKeyPair(random, nodeCipher),
  }));
  return { random, ctx, hU1, members };
}

type Party = ReturnType<typeof party>;

function masked({ ctx, hU1, members }: Party, at: number, words: Uint32Array, chunk: number): Uint32Array {
  const own = members[at]!;
  const pairKeys = members
    .filter((member) => member !== own)
    .map(({ index, pair }) => ({
      index,
      key: pairMaskKey(nodeCipher, ctx, hU1, own.index, index, own.pair.privateKey, pair.publicKey),
    }));
  const out = words.slice();
  maskChunk(masks, out, chunk, own.index, selfMaskKey(nodeCipher, ctx, hU1, own.index, own.selfSeed), pairKeys);
  return out;
}

test('random n, dropouts and words: the sum opens exactly, through shares of any t survivors', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 3, max: 8 }),
      fc.nat(),
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 0xffffffff }),
      (count, seed, length, chunk) => {
        const all = party(seed, count);
        const { random, ctx, hU1, members } = all;
        const quorum = customaryQuorum(count);
        const order = members.map((_, at) => at).sort((a, b) => ((a * 7 + seed) % count) - ((b * 7 + seed) % count));
        const losses = seed % (count - quorum + 1);
        const survivors = order.slice(losses).sort((a, b) => a - b);
        const dropouts = order.slice(0, losses);
        const plain = members.map(() => bytesToWords(random.bytes(4 * length)));
        const expected = Uint32Array.from({ length }, (_, i) => {
          const sum = survivors.reduce((total, at) => total + BigInt(plain[at]![i]!), 0n);
          return Number(sum % 2n ** 32n);
        });

        const holders = members.map(({ index }) => index);
        const open = (secret: Uint8Array): Uint8Array => {
          const shares = splitSecret(random, secret, quorum, holders);
          return reconstructSecret(
            survivors.slice(-quorum).map((at) => ({ index: holders[at]!, share: shares.get(holders[at]!)! })),
          );
        };
        const remaining = remainingMasks(
          nodeCipher,
          ctx,
          hU1,
          survivors.map((at) => ({
            index: holders[at]!,
            selfSeed: open(members[at]!.selfSeed),
            maskPublicKey: members[at]!.pair.publicKey,
          })),
          dropouts.map((at) => ({ index: holders[at]!, maskPrivateKey: open(members[at]!.pair.privateKey) })),
        );
        assert.equal(remaining.length, survivors.length * (1 + dropouts.length));
        const uploads = survivors.map((at) => masked(all, at, plain[at]!, chunk));
        assert.deepEqual(openChunk(masks, remaining, chunk, length, uploads), expected);
      },
    ),
    { numRuns: 25 },
  );
});

test('with one self seed missing the sum stays masked', () => {
  const all = party(5, 4);
  const zeros = all.members.map(() => new Uint32Array(64));
  const uploads = zeros.map((words, at) => masked(all, at, words, 0));
  const survivors = all.members.map(({ index, selfSeed, pair }) => ({
    index,
    selfSeed,
    maskPublicKey: pair.publicKey,
  }));
  const remaining = remainingMasks(nodeCipher, all.ctx, all.hU1, survivors, []);
  assert.deepEqual(openChunk(masks, remaining, 0, 64, uploads), new Uint32Array(64));
  const short = openChunk(masks, remaining.slice(1), 0, 64, uploads);
  assert.ok(short.filter((word) => word === 0).length < 2);
});

test('a member is never opened twice, nor on both sides', () => {
  const all = party(6, 3);
  const survivors = all.members.map(({ index, selfSeed, pair }) => ({
    index,
    selfSeed,
    maskPublicKey: pair.publicKey,
  }));
  const dropout = { index: survivors[0]!.index, maskPrivateKey: all.members[0]!.pair.privateKey };
  for (const [alive, gone] of [
    [survivors, [dropout]],
    [[...survivors, survivors[1]!], []],
  ] as const)
    assert.throws(
      () => remainingMasks(nodeCipher, all.ctx, all.hU1, alive, gone),
      (error) => error instanceof InvariantError && error.code === 'survivor-and-dropout',
    );
});

test('streams differ by chunk, a short chunk is a prefix, and subtracting undoes adding', () => {
  const key = new Uint8Array(32).fill(7);
  const stream = (length: number, chunk: number): Uint32Array => {
    const words = new Uint32Array(length);
    masks.apply(words, chunk, { key, sign: 'add' });
    return words;
  };
  const long = stream(1000, 0);
  assert.deepEqual(stream(10, 0), long.slice(0, 10));
  assert.notDeepEqual(stream(10, 1), long.slice(0, 10));
  masks.apply(long, 0, { key, sign: 'subtract' });
  assert.deepEqual(long, new Uint32Array(1000));
  // The way of a big-endian host, which is right on any host, only slower.
  const portable = new Uint32Array(1000);
  createMasks(nodeCipher, false).apply(portable, 0, { key, sign: 'add' });
  assert.deepEqual(portable, stream(1000, 0));
});

test('chunks tile the vector', () => {
  assert.equal(chunkWords, 1_048_576);
  for (const dimension of [1, chunkWords, chunkWords + 1, 5 * chunkWords - 1]) {
    let covered = 0;
    for (let chunk = 0; chunk < chunkCount(dimension); chunk++) {
      const { from, to } = chunkRange(dimension, chunk);
      assert.equal(from, covered);
      assert.ok(to > from && to - from <= chunkWords);
      covered = to;
    }
    assert.equal(covered, dimension);
  }
  assert.throws(() => chunkRange(10, 1), RangeError);
  assert.throws(
    () => masks.apply(new Uint32Array(chunkWords + 1), 0, { key: new Uint8Array(32), sign: 'add' }),
    RangeError,
  );
});

test('the lower index adds, the higher subtracts, nobody masks with itself', () => {
  assert.equal(pairSign(1, 2), 'add');
  assert.equal(pairSign(2, 1), 'subtract');
  assert.throws(() => pairSign(2, 2), RangeError);
  assert.throws(() => addWords(new Uint32Array(2), new Uint32Array(3)), RangeError);
});
