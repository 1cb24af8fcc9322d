// Numbers as checkpoints store them, little-endian: F32 and F16 (IEEE 754 binary32 and binary16) and BF16 (the upper half
// of a binary32). Everything is computed in float32; writing a narrower format rounds to nearest, ties to even.

export type NumberFormat = 'F32' | 'F16' | 'BF16';

export const bytesPerNumber = (format: NumberFormat): 2 | 4 => (format === 'F32' ? 4 : 2);

/** @throws RangeError where the bytes are no whole numbers. */
export function decodeNumbers(bytes: Uint8Array, format: NumberFormat): Float32Array {
  const width = bytesPerNumber(format);
  if (bytes.length % width !== 0) throw new RangeError(`bytes must be a multiple of ${width}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(bytes.length / width);
  if (format === 'F32') {
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(4 * i, true);
    return values;
  }
  const words = new Uint32Array(values.buffer);
  for (let i = 0; i < values.length; i++) {
    const half = view.getUint16(2 * i, true);
    if (format === 'BF16') words[i] = half * 65_536;
    else values[i] = fromHalf(half);
  }
  return values;
}

export function encodeNumbers(values: Float32Array, format: NumberFormat): Uint8Array {
  const width = bytesPerNumber(format);
  const out = new Uint8Array(width * values.length);
  const view = new DataView(out.buffer);
  if (format === 'F32') {
    for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i]!, true);
    return out;
  }
  const word = new Float32Array(1);
  const bits = new Uint32Array(word.buffer);
  for (let i = 0; i < values.length; i++) {
    word[0] = values[i]!;
    view.setUint16(2 * i, format === 'BF16' ? upperHalf(bits[0]!) : toHalf(values[i]!, bits[0]!), true);
  }
  return out;
}

function upperHalf(bits: number): number {
  // A NaN must not round up to infinity.
  if ((bits & 0x7fff_ffff) >>> 0 > 0x7f80_0000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) / 65_536) & 0xffff;
}

function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

function toHalf(value: number, bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  // The smallest float that rounds to infinity.
  if (size >= 65_520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | tiesToEven(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  const exact = size >= 2 ** (exponent + 1) ? exponent + 1 : size < 2 ** exponent ? exponent - 1 : exponent;
  // A fraction that rounds up to 2048 carries into the exponent by itself.
  return sign | (((exact + 15) << 10) + tiesToEven(size * 2 ** (10 - exact)) - 1024);
}

function tiesToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
