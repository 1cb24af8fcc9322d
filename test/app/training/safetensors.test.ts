// safetensors: a literal file, round trips, and malformed files, each refused for its own reason.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../../app/errors.ts';
import { readSafetensors, writeSafetensors } from '../../../app/training/safetensors.ts';

test('the layout: length, header padded to eight bytes, little-endian data', () => {
  const bytes = writeSafetensors(new Map([['w', { shape: [2, 1], values: Float32Array.of(1, -2.5) }]]), { a: 'b' });
  const header = '{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}';
  const length = Math.ceil(header.length / 8) * 8;
  const expected = Buffer.concat([
    Buffer.from([length, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from(header.padEnd(length)),
    Buffer.from('0000803f000020c0', 'hex'),
  ]);
  assert.deepEqual(Buffer.from(bytes), expected);
});

test('tensors survive the round trip', () => {
  const tensor = fc.float32Array({ noNaN: true, maxLength: 20 }).map((values) => ({ shape: [values.length], values }));
  const name = fc.stringMatching(/^[a-z][a-z0-9.]{0,9}$/);
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, tensor), { selector: ([name]) => name, maxLength: 5 }), (entries) => {
      const tensors = new Map(entries);
      const read = readSafetensors(writeSafetensors(tensors, { note: 'ü' }));
      assert.deepEqual(Object.fromEntries(read.tensors), Object.fromEntries(tensors));
      assert.deepEqual(read.metadata, { note: 'ü' });
    }),
  );
  assert.throws(() => writeSafetensors(new Map([['w', { shape: [3], values: Float32Array.of(1) }]])), RangeError);
});

function fileOf(header: string, data = 8, declared = header.length): Uint8Array {
  const bytes = new Uint8Array(8 + header.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(declared), true);
  bytes.set(Buffer.from(header), 8);
  return bytes;
}

const entry = (change: object): string =>
  JSON.stringify({ w: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...change } });

const malformed: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ['cut before the header', new Uint8Array(7), /too short/],
  ['header beyond the file', fileOf('{}', 0, 3), /longer than the file/],
  ['huge header length', fileOf('{}', 0, 2 ** 53), /longer than the file/],
  ['no JSON', fileOf('{"w":', 0), /not JSON/],
  ['a list', fileOf('[]', 0), /not an object/],
  ['another type', fileOf(entry({ dtype: 'F64' })), /not of type F32, F16 or BF16/],
  ['negative side', fileOf(entry({ shape: [-2] })), /no list of counts/],
  ['overflowing shape', fileOf(entry({ shape: [2 ** 40, 2 ** 40] })), /not as long/],
  ['shape and place differ', fileOf(entry({ shape: [1] })), /not as long/],
  ['offsets reversed', fileOf(entry({ data_offsets: [8, 0] })), /outside the file/],
  ['offsets beyond the data', fileOf(entry({ data_offsets: [8, 16] })), /outside the file/],
  ['offsets with a fraction', fileOf(entry({ data_offsets: [0, 7.5] })), /no pair/],
  ['a gap', fileOf(entry({ data_offsets: [4, 12] }), 12), /overlap or leave a gap/],
  ['bytes left over', fileOf(entry({}), 12), /belong to no tensor/],
  ['metadata of numbers', fileOf('{"__metadata__":{"a":1}}', 0), /metadata is not text/],
];

for (const [name, bytes, reason] of malformed)
  test(`refused: ${name}`, () => {
    assert.throws(
      () => readSafetensors(bytes),
      (error: unknown) =>
        error instanceof InputError && error.code === 'safetensors-malformed' && reason.test(error.message),
    );
  });

test('two tensors in one place are refused', () => {
  const place = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  assert.throws(() => readSafetensors(fileOf(JSON.stringify({ a: place, b: place }))), /overlap/);
});
