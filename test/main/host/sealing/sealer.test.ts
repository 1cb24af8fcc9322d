// Masks by SIMD and by threads: the same bytes as the pure core's, for every length and number of masks around the edges of
// blocks, passes, pieces and chunks; a thread that ends in the middle of a piece changes nothing; who seals is said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import type { Cipher } from '../../../../app/ports.ts';
import { chunkWords, createMasks } from '../../../../app/sealed-sum/masks.ts';
import type { SignedKey } from '../../../../app/sealed-sum/masks.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { createSealer } from '../../../../main/host/sealing/sealer.ts';
import { seededRandom } from '../../../app/seeded-random.ts';

const { addStreams, ...pureCipher }: Cipher = nodeCipher;

function sample(length: number, count: number, seed = 1) {
  const random = seededRandom(seed);
  const words = new Uint32Array(random.bytes(4 * length).buffer);
  const keys = Array.from({ length: count }, (_, at): SignedKey => ({
    key: random.bytes(32),
    sign: (at * 7 + seed) % 3 === 0 ? 'subtract' : 'add',
  }));
  return { words, keys };
}

function pure(words: Uint32Array, chunk: number, keys: readonly SignedKey[]): Uint32Array {
  const out = words.slice();
  createMasks(pureCipher).applyAll(out, chunk, keys);
  return out;
}

test('the machine adds streams by SIMD where it can, and the pure core needs nothing of it', () => {
  assert.equal(typeof addStreams, 'function');
  assert.ok(!('addStreams' in pureCipher));
});

test('streams added many at once are the streams added one by one', () => {
  const masks = createMasks(nodeCipher);
  for (const [length, count] of [
    [1, 1],
    [3, 9],
    [16, 8],
    [2 ** 14 - 1, 7],
    [2 ** 14, 8],
    [2 ** 14 + 1, 17],
    [5 * 2 ** 14 + 13, 25],
    [1000, 130],
    [77, 300],
  ] as const) {
    const { words, keys } = sample(length, count, length + count);
    const fast = words.slice();
    masks.applyAll(fast, 5, keys);
    assert.deepEqual(fast, pure(words, 5, keys), `${length} words, ${count} masks`);
  }
});

test('any place in a stream, any neighbours in memory: only the words meant are changed', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 3000 }),
      fc.integer({ min: 1, max: 3000 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 9 }),
      fc.nat(),
      (blocks, length, count, before, seed) => {
        const random = seededRandom(seed);
        const keys = Array.from({ length: count }, () => random.bytes(32));
        const cut = seed % (count + 1);
        const around = new Uint32Array(before + length + 5).fill(7);
        addStreams!(around.subarray(before, before + length), keys.slice(0, cut), keys.slice(cut), 4 * blocks);
        const whole = new Uint32Array(4 * blocks + length);
        for (const [at, key] of keys.entries()) {
          const bytes = new Uint8Array(whole.length * 4);
          nodeCipher.aes256Ctr(key, bytes);
          const stream = new Uint32Array(bytes.buffer);
          for (let i = 0; i < whole.length; i++) whole[i] = at < cut ? whole[i]! + stream[i]! : whole[i]! - stream[i]!;
        }
        const expected = new Uint32Array(around.length).fill(7);
        for (let i = 0; i < length; i++) expected[before + i] = 7 + whole[4 * blocks + i]!;
        assert.deepEqual(around, expected);
      },
    ),
    { numRuns: 60 },
  );
  assert.throws(() => addStreams!(new Uint32Array(4), [new Uint8Array(32)], [], 3), RangeError);
  assert.throws(() => addStreams!(new Uint32Array(4), [new Uint8Array(31)], [], 0), RangeError);
});

test('threads give the bytes of the pure core, for one and for several chunks', async (t) => {
  const notes: string[] = [];
  const sealer = createSealer({ cipher: nodeCipher, threads: 3, fewWords: 0, onNote: (note) => notes.push(note) });
  t.after(() => sealer.close());
  for (const [length, count, chunk] of [
    [1, 2, 0],
    [2 ** 14 + 5, 9, 1],
    [300_001, 5, 2],
    [chunkWords, 3, 3],
  ] as const) {
    const { words, keys } = sample(length, count, length);
    const kept = words.slice();
    assert.deepEqual(await sealer.mask(words, chunk, keys), pure(words, chunk, keys), `${length} words`);
    assert.deepEqual(words, kept, 'the words themselves stay');
  }
  const both = [sample(100_000, 4, 1), sample(90_000, 4, 2)];
  const masked = await Promise.all(both.map(({ words, keys }, chunk) => sealer.mask(words, chunk, keys)));
  masked.forEach((one, chunk) => assert.deepEqual(one, pure(both[chunk]!.words, chunk, both[chunk]!.keys)));
  assert.deepEqual(notes, []);
});

test('where threads would not help, one thread seals, and says why', async (t) => {
  const { words, keys } = sample(1000, 4);
  for (const [note, around] of [
    ['few-words', { cipher: nodeCipher, threads: 2 }],
    ['one-core', { cipher: nodeCipher, threads: 1, fewWords: 0 }],
    ['no-fast-streams', { cipher: pureCipher, threads: 2, fewWords: 0 }],
  ] as const) {
    const notes: string[] = [];
    const startThread = (): Worker => assert.fail('no thread is needed');
    const sealer = createSealer({ ...around, startThread, onNote: (said) => notes.push(said) });
    t.after(() => sealer.close());
    assert.deepEqual(await sealer.mask(words, 0, keys), pure(words, 0, keys));
    assert.deepEqual(notes, [note]);
  }
});

/** A thread that spoils a word of its piece and ends. */
const dying = (): Worker =>
  new Worker(
    `require('node:worker_threads').parentPort.on('message', ({ words, from }) => { words[from] += 1; process.exit(1); })`,
    { eval: true },
  );

test('threads that end in the middle of a piece: it is begun again, the vector is right', async (t) => {
  const started: Worker[] = [];
  const notes: string[] = [];
  const sealer = createSealer({
    cipher: nodeCipher,
    threads: 2,
    fewWords: 0,
    onNote: (note) => notes.push(note),
    startThread(entry) {
      started.push(started.length < 2 ? dying() : new Worker(entry));
      return started.at(-1)!;
    },
  });
  t.after(() => sealer.close());
  const { words, keys } = sample(600_000, 40);
  assert.deepEqual(await sealer.mask(words, 0, keys), pure(words, 0, keys));
  assert.deepEqual(notes, ['thread-ended', 'thread-ended']);
  // And one that is killed while it works, wherever that finds it.
  const under = sealer.mask(words, 1, keys);
  await new Promise((resolve) => setImmediate(resolve));
  await started.at(-1)!.terminate();
  assert.deepEqual(await under, pure(words, 1, keys));
});

test('threads that end again and again are a clear error, never a vector', async (t) => {
  const sealer = createSealer({ cipher: nodeCipher, threads: 2, fewWords: 0, startThread: dying });
  t.after(() => sealer.close());
  const { words, keys } = sample(600_000, 40);
  await assert.rejects(sealer.mask(words, 0, keys), { code: 'sealing-stopped' });
});

test('a sealer that is closed refuses, and ends', async () => {
  const sealer = createSealer({ cipher: nodeCipher, threads: 2, fewWords: 0 });
  const { words, keys } = sample(600_000, 60);
  const under = sealer.mask(words, 0, keys);
  await sealer.close();
  await assert.rejects(under, { code: 'sealing-stopped' });
  await assert.rejects(sealer.mask(words, 0, keys), { code: 'sealing-stopped' });
});
