// Named tensors in the safetensors layout: u64 little-endian header length, JSON header, data. Reading checks every bound
// before a byte is used. Values are float32 here, whatever the file holds (F32, F16, BF16). Format:
// huggingface.co/docs/safetensors (0.4). Files too large for memory are read by main/host/checkpoint/safetensors-file.ts.

import { fromUtf8, utf8 } from '../encoding/bytes.ts';
import { InputError } from '../errors.ts';
import { bytesPerNumber, decodeNumbers, encodeNumbers } from './number-formats.ts';
import type { NumberFormat } from './number-formats.ts';

export type Tensor = { readonly shape: readonly number[]; readonly values: Float32Array };

/** Where a tensor stands in the data that follow the header. */
export type TensorPlace = {
  readonly name: string;
  readonly format: NumberFormat;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
};

export type SafetensorsHeader = {
  /** In file order, without gaps or overlaps. */
  readonly places: readonly TensorPlace[];
  readonly metadata: { readonly [key: string]: string };
};

const longestHeader = 100_000_000;

/** @throws RangeError where a shape does not fit its values or a name is taken by the format. */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: { readonly [key: string]: string } = {},
  format: NumberFormat = 'F32',
): Uint8Array {
  const header: { [name: string]: unknown } = { __metadata__: metadata };
  const width = bytesPerNumber(format);
  let end = 0;
  for (const [name, { shape, values }] of tensors) {
    if (name === '__metadata__') throw new RangeError('tensors must not be named __metadata__');
    if (shape.reduce((size, side) => size * side, 1) !== values.length)
      throw new RangeError(`tensors: the shape of ${name} does not fit its values`);
    header[name] = { dtype: format, shape, data_offsets: [end, end + width * values.length] };
    end += width * values.length;
  }
  // Padded with spaces so that the data starts at a multiple of eight, as the reference writer does.
  const text = utf8(JSON.stringify(header));
  const headerLength = Math.ceil(text.length / 8) * 8;
  const out = new Uint8Array(8 + headerLength + end).fill(0x20, 0, 8 + headerLength);
  new DataView(out.buffer).setBigUint64(0, BigInt(headerLength), true);
  out.set(text, 8);
  let at = 8 + headerLength;
  for (const { values } of tensors.values()) {
    out.set(encodeNumbers(values, format), at);
    at += width * values.length;
  }
  return out;
}

function malformed(why: string): InputError {
  return new InputError('safetensors-malformed', `The model file cannot be used: ${why}. Export it again.`);
}

/** @throws InputError `safetensors-malformed` saying what is wrong. */
export function readSafetensors(bytes: Uint8Array): {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: { readonly [key: string]: string };
} {
  const length = safetensorsHeaderLength(bytes.subarray(0, 8), bytes.length);
  const start = 8 + length;
  const { places, metadata } = readSafetensorsHeader(bytes.subarray(8, start), bytes.length - start);
  const tensors = new Map<string, Tensor>();
  for (const { name, shape, format, from, to } of places)
    tensors.set(name, { shape, values: decodeNumbers(bytes.subarray(start + from, start + to), format) });
  return { tensors, metadata };
}

/** Bytes of the JSON header, from a file's first eight. @throws InputError `safetensors-malformed`. */
export function safetensorsHeaderLength(first: Uint8Array, fileLength: number): number {
  if (first.length < 8) throw malformed('it is too short for a header');
  const declared = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true);
  if (declared > BigInt(Math.min(longestHeader, fileLength - 8))) throw malformed('its header is longer than the file');
  return Number(declared);
}

/** @param dataLength bytes after the header @throws InputError `safetensors-malformed`. */
export function readSafetensorsHeader(bytes: Uint8Array, dataLength: number): SafetensorsHeader {
  const header = parseHeader(bytes);
  const places = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, entry]) => tensorPlace(name, entry, dataLength))
    .sort((left, right) => left.from - right.from || left.to - right.to);
  let end = 0;
  for (const { from, to } of places) {
    if (from !== end) throw malformed('its tensors overlap or leave a gap');
    end = to;
  }
  if (end !== dataLength) throw malformed('it holds bytes that belong to no tensor');
  return { places, metadata: metadataOf(header) };
}

function parseHeader(bytes: Uint8Array): { readonly [name: string]: unknown } {
  let header: unknown;
  try {
    header = JSON.parse(fromUtf8(bytes));
  } catch {
    throw malformed('its header is not JSON');
  }
  if (!isObject(header)) throw malformed('its header is not an object');
  return header;
}

function isObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function metadataOf(header: { readonly [name: string]: unknown }): { readonly [key: string]: string } {
  const metadata = header['__metadata__'] ?? {};
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== 'string'))
    throw malformed('its metadata is not text');
  return metadata as { readonly [key: string]: string };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function tensorPlace(name: string, entry: unknown, dataLength: number): TensorPlace {
  if (!isObject(entry)) throw malformed(`the entry of ${name} is not an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16')
    throw malformed(`${name} is not of type F32, F16 or BF16`);
  if (!Array.isArray(shape) || !shape.every(isCount)) throw malformed(`the shape of ${name} is no list of counts`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw malformed(`the place of ${name} is no pair of offsets`);
  const [from, to] = offsets as [number, number];
  if (from > to || to > dataLength) throw malformed(`${name} lies outside the file`);
  const size = shape.reduce((total: number, side: number) => total * side, 1);
  if (!Number.isSafeInteger(size) || bytesPerNumber(dtype) * size !== to - from)
    throw malformed(`${name} is not as long as its shape says`);
  return { name, format: dtype, shape, from, to };
}
