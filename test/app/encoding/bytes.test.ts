import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bytesToWords,
  compareBytes,
  concat,
  equalBytes,
  fromHex,
  fromUtf8,
  readU16,
  readU32,
  toHex,
  u16,
  u32,
  u8,
  utf8,
  wordsToBytes,
} from '../../../app/encoding/bytes.ts';

const bytes = fc.uint8Array({ maxLength: 60 });

test('UTF-8 is the platform’s, both ways', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      assert.deepEqual(utf8(text), new Uint8Array(Buffer.from(text, 'utf8')));
      assert.equal(fromUtf8(utf8(text)), text);
    }),
  );
  const long = '€'.repeat(5000);
  assert.equal(fromUtf8(utf8(long)), long);
});

test('what is not UTF-8 is refused exactly where a strict decoder refuses it', () => {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const accepts = (decode: () => string): string | null => {
    try {
      return decode();
    } catch {
      return null;
    }
  };
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(0x41, 0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xa0, 0x9f, 0xf0, 0xf4, 0x90, 0xff)),
      (list) => {
        const raw = Uint8Array.from(list);
        assert.equal(
          accepts(() => fromUtf8(raw)),
          accepts(() => strict.decode(raw)),
        );
      },
    ),
    { numRuns: 500 },
  );
  for (const text of ['\ud800', 'a\udc00', '\ud800\ud800', '\ud83d']) assert.throws(() => utf8(text), RangeError);
});

test('hexadecimal comes back, in lower case only', () => {
  fc.assert(
    fc.property(bytes, (raw) => {
      assert.equal(toHex(raw), Buffer.from(raw).toString('hex'));
      assert.deepEqual(fromHex(toHex(raw)), raw);
    }),
  );
  for (const bad of ['0', 'AB', 'zz', ' 00', '00 ']) assert.throws(() => fromHex(bad), RangeError);
  assert.throws(() => fromHex('0000', 3), RangeError);
});

test('integers are big-endian and within their width', () => {
  assert.deepEqual([...concat(u8(1), u16(0x0203), u32(0xf4050607))], [1, 2, 3, 0xf4, 5, 6, 7]);
  assert.equal(readU16(Uint8Array.of(9, 0xff, 1), 1), 0xff01);
  assert.equal(readU32(Uint8Array.of(9, 0xff, 0, 0, 1), 1), 0xff000001);
  for (const bad of [-1, 0.5, Number.NaN, 2 ** 32]) assert.throws(() => u32(bad), RangeError);
  assert.throws(() => u16(2 ** 16), RangeError);
  assert.throws(() => u8(256), RangeError);
});

test('vector words are little-endian', () => {
  assert.deepEqual([...wordsToBytes(Uint32Array.of(0x04030201))], [1, 2, 3, 4]);
  fc.assert(
    fc.property(fc.uint32Array({ maxLength: 20 }), (words) => {
      assert.deepEqual(bytesToWords(wordsToBytes(words)), words);
    }),
  );
  assert.throws(() => bytesToWords(new Uint8Array(3)), RangeError);
});

test('order and equality are those of unsigned bytes', () => {
  fc.assert(
    fc.property(bytes, bytes, (left, right) => {
      assert.equal(Math.sign(compareBytes(left, right)), Buffer.compare(left, right));
      assert.equal(equalBytes(left, right), Buffer.compare(left, right) === 0);
      assert.ok(equalBytes(left, left.slice()));
    }),
  );
});
