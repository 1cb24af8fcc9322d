// Ring words packed to w bits: bytes held to a textbook with whole numbers and to fixed ones, both ways; sums mod 2^w of
// packed vectors under masks are the sums.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesToWords, toHex, wordsToBytes } from '../../../app/encoding/bytes.ts';
import { createMasks } from '../../../app/sealed-sum/masks.ts';
import { packWords, packedLength, unpackWords } from '../../../app/sealed-sum/packing.ts';
import { centred } from '../../../app/sealed-sum/quantise.ts';
import { addWords, reduceWords } from '../../../app/sealed-sum/unmask.ts';
import { nodeCipher } from '../../../main/host/machine.ts';

/** One whole number with word i at bit i·w, written lowest byte first. */
function textbook(words: Uint32Array, bits: number): string {
  let whole = 0n;
  words.forEach((word, at) => (whole |= BigInt.asUintN(bits, BigInt(word)) << BigInt(at * bits)));
  const bytes: number[] = [];
  for (let at = 0; at < Math.ceil((words.length * bits) / 8); at++, whole >>= 8n) bytes.push(Number(whole & 255n));
  return Buffer.from(bytes).toString('hex');
}

const anyWords = fc
  .array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 70 })
  .map((all) => Uint32Array.from(all));
const anyBits = fc.integer({ min: 16, max: 32 });

test('any words in any width are the textbook’s bytes, and come back mod 2^w', () => {
  fc.assert(
    fc.property(anyWords, anyBits, (words, bits) => {
      const bytes = packWords(words, bits);
      assert.equal(toHex(bytes), textbook(words, bits));
      assert.equal(bytes.length, packedLength(words.length, bits));
      const reduced = words.slice();
      reduceWords(reduced, bits);
      assert.deepEqual(unpackWords(bytes, bits), reduced);
    }),
  );
});

test('fixed bytes', () => {
  const words = Uint32Array.of(0x00abcdef, 0x12345678, 0xffffffff);
  assert.equal(toHex(packWords(words, 24)), 'efcdab785634ffffff');
  assert.equal(toHex(packWords(words, 20)), 'efcd8b6745ffff0f');
  assert.equal(toHex(packWords(words, 17)), 'efcdf1acfcff07');
  assert.equal(toHex(packWords(words, 32)), toHex(wordsToBytes(words)));
});

test('a length of no whole words is refused; bits behind the last word are not read', () => {
  assert.throws(() => unpackWords(new Uint8Array(4), 24), { code: 'vector-form' });
  assert.throws(() => unpackWords(new Uint8Array(1), 17), { code: 'vector-form' });
  assert.deepEqual(unpackWords(Uint8Array.of(1, 0, 0xf0), 20), Uint32Array.of(1));
  assert.throws(() => packWords(new Uint32Array(1), 15), RangeError);
  assert.throws(() => packWords(new Uint32Array(1), 33), RangeError);
});

test('words and bytes are the same on hosts of either order', () => {
  fc.assert(
    fc.property(anyWords, (words) => {
      assert.deepEqual(wordsToBytes(words, false), wordsToBytes(words));
      assert.deepEqual(bytesToWords(wordsToBytes(words), false), words);
      assert.deepEqual(bytesToWords(wordsToBytes(words)), words);
    }),
  );
});

test('masked, packed, added and unmasked mod 2^w, a sum within half the ring is the sum', () => {
  const masks = createMasks(nodeCipher);
  fc.assert(
    fc.property(anyBits, fc.integer({ min: 1, max: 40 }), fc.nat(), (bits, length, seed) => {
      const most = Math.floor((2 ** (bits - 2) - 1) / 3);
      const plain = [0, 1, 2].map((who) =>
        Int32Array.from({ length }, (_, at) => ((seed * 7919 + at * 104_729 + who * 31) % (2 * most + 1)) - most),
      );
      const keys = plain.map((_, who) => ({ key: new Uint8Array(32).fill(who + 1), sign: 'add' as const }));
      const sum = new Uint32Array(length);
      for (const [who, steps] of plain.entries()) {
        const words = Uint32Array.from(steps, (step) => step >>> 0);
        masks.applyAll(words, 0, [keys[who]!]);
        addWords(sum, unpackWords(packWords(words, bits), bits));
      }
      masks.applyAll(
        sum,
        0,
        keys.map(({ key }) => ({ key, sign: 'subtract' })),
      );
      reduceWords(sum, bits);
      assert.deepEqual(
        centred(sum, bits),
        Int32Array.from({ length }, (_, at) => plain.reduce((total, steps) => total + steps[at]!, 0)),
      );
    }),
  );
});
