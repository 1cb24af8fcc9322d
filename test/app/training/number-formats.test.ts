// F16 and BF16 against the engine's own half-precision arrays and against float32's bits, on every half and on random floats.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeNumbers, encodeNumbers } from '../../../app/training/number-formats.ts';

const bytesOf = (words: Uint16Array): Uint8Array => new Uint8Array(words.buffer);

test('every half-precision number is read as IEEE 754 says', () => {
  const words = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  const read = decodeNumbers(bytesOf(words), 'F16');
  const view = new DataView(words.buffer);
  for (let i = 0; i < words.length; i++) {
    const expected = (view as DataView & { getFloat16(at: number, little: boolean): number }).getFloat16(2 * i, true);
    assert.ok(Object.is(read[i], expected), `word ${i}: ${read[i]} for ${expected}`);
  }
  const written = encodeNumbers(read, 'F16');
  for (let i = 0; i < words.length; i++)
    if (!Number.isNaN(read[i]!)) assert.equal(written[2 * i]! + 256 * written[2 * i + 1]!, i);
});

test('writing a half rounds to nearest, ties to even', () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (value) => {
      const out = new DataView(new ArrayBuffer(2)) as DataView & {
        setFloat16(at: number, value: number, little: boolean): void;
      };
      out.setFloat16(0, value, true);
      assert.deepEqual(encodeNumbers(Float32Array.of(value), 'F16'), new Uint8Array(out.buffer));
    }),
    { numRuns: 2000 },
  );
  for (const value of [65_504, 65_519.99, 65_520, 2 ** -14, 2 ** -24, 2 ** -25, 1.5 * 2 ** -25, 2047.5, 4095])
    assert.ok(
      Math.abs(decodeNumbers(encodeNumbers(Float32Array.of(value), 'F16'), 'F16')[0]! / value - 1) <= 1 ||
        value >= 65_520,
    );
});

test('BF16 is the upper half of a float32', () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (value) => {
      const [rounded] = decodeNumbers(encodeNumbers(Float32Array.of(value), 'BF16'), 'BF16');
      const bits = new Uint32Array(Float32Array.of(rounded!).buffer)[0]!;
      assert.equal(bits & 0xffff, 0);
      const near = Math.abs(rounded! - value) <= Math.abs(value) * 2 ** -8 + 2 ** -133;
      assert.ok(near || Math.abs(value) > 3.38e38, `${rounded} for ${value}`);
    }),
  );
  assert.ok(Number.isNaN(decodeNumbers(encodeNumbers(Float32Array.of(Number.NaN), 'BF16'), 'BF16')[0]!));
  // 1 + 2^-8 lies between two; the even one is 1.
  assert.deepEqual([...decodeNumbers(encodeNumbers(Float32Array.of(1 + 2 ** -8), 'BF16'), 'BF16')], [1]);
});

test('bytes that are no whole numbers are refused', () => {
  assert.throws(() => decodeNumbers(new Uint8Array(3), 'F16'), RangeError);
  assert.throws(() => decodeNumbers(new Uint8Array(6), 'F32'), RangeError);
});
