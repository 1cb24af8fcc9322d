// Writes functions of WebAssembly byte by byte (core specification 2.0 with fixed-width SIMD, and the relaxed
// multiply-add of its SIMD extension where the engine has it). Enough for loops over rows of float32; no more.

export type ValueType = 'i32' | 'f32' | 'v128';
type Bytes = readonly number[];

const typeCode: { readonly [type in ValueType]: number } = { i32: 0x7f, f32: 0x7d, v128: 0x7b };

/** LEB128 of an unsigned number. */
export function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)];
}

/** LEB128 of a signed number of 32 bits. */
function signed(value: number): number[] {
  const low = value & 127;
  const rest = value >> 7;
  return (rest === 0 && low < 64) || (rest === -1 && low >= 64) ? [low] : [low | 128, ...signed(rest)];
}

const floatBytes = (value: number): Uint8Array => new Uint8Array(Float32Array.of(value).buffer);
const vector =
  (code: number, ...immediate: number[]) =>
  (...operands: Bytes[]): number[] => [...operands.flat(), 0xfd, ...unsigned(code), ...immediate];
const scalar =
  (code: number) =>
  (...operands: Bytes[]): number[] => [...operands.flat(), code];

/** Each gives the bytes of an expression; operands come first, as on the stack. */
export const op = {
  get: (local: number) => [0x20, ...unsigned(local)],
  set: (local: number, value: Bytes) => [...value, 0x21, ...unsigned(local)],
  i32: (value: number) => [0x41, ...signed(value)],
  addI32: scalar(0x6a),
  multiplyI32: scalar(0x6c),
  andI32: scalar(0x71),
  shiftRightI32: scalar(0x76),
  addF32: scalar(0x92),
  maxF32: scalar(0x97),
  load: (address: Bytes, offset = 0) => [...address, 0xfd, 0x00, 2, ...unsigned(offset)],
  /** One float in all four lanes. */
  loadSplat: (address: Bytes, offset = 0) => [...address, 0xfd, 0x09, 2, ...unsigned(offset)],
  store: (address: Bytes, value: Bytes, offset = 0) => [...address, ...value, 0xfd, 0x0b, 2, ...unsigned(offset)],
  splat: vector(0x13),
  constant: (value: number) => [0xfd, 0x0c, ...[0, 1, 2, 3].flatMap(() => [...floatBytes(value)])],
  integers: (value: number) => [
    0xfd,
    0x0c,
    ...[0, 1, 2, 3].flatMap(() => [...new Uint8Array(Int32Array.of(value).buffer)]),
  ],
  add: vector(0xe4),
  subtract: vector(0xe5),
  multiply: vector(0xe6),
  divide: vector(0xe7),
  min: vector(0xe8),
  max: vector(0xe9),
  nearest: vector(0x6a),
  atMost: vector(0x45),
  /** Bits of the first that are not in the second. */
  without: vector(0x4f),
  toIntegers: vector(0xf8),
  addIntegers: vector(0xae),
  shiftLeft: (value: Bytes, by: number) => [...value, ...op.i32(by), 0xfd, ...unsigned(0xab)],
  lane: (value: Bytes, lane: number) => [...value, 0xfd, ...unsigned(0x1f), lane],
  /** Lanes 0–3 of the first, 4–7 of the second. */
  shuffle: (left: Bytes, right: Bytes, lanes: readonly [number, number, number, number]) => [
    ...left,
    ...right,
    0xfd,
    ...unsigned(0x0d),
    ...lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)),
  ],
  when: (condition: Bytes, then: Bytes, otherwise: Bytes = []) => [
    ...condition,
    0x04,
    0x40,
    ...then,
    ...(otherwise.length === 0 ? [] : [0x05, ...otherwise]),
    0x0b,
  ],
} as const;

/** a · b + c, rounded once where the engine and the processor can; by two operations elsewhere. */
export const multiplyAdd = (fused: boolean) =>
  fused ? vector(0x105) : (a: Bytes, b: Bytes, c: Bytes) => op.add(op.multiply(a, b), c);

export class FunctionCode {
  readonly parameters: readonly ValueType[];
  readonly result: ValueType | null;
  readonly #locals: ValueType[] = [];
  readonly #code: number[] = [];

  constructor(parameters: readonly ValueType[], result: ValueType | null = null) {
    this.parameters = parameters;
    this.result = result;
  }

  local(type: ValueType): number {
    return this.parameters.length + this.#locals.push(type) - 1;
  }

  emit(...parts: readonly Bytes[]): void {
    for (const part of parts) for (const byte of part) this.#code.push(byte);
  }

  /** Repeats `body` while the local, lessened by `step` after each turn, is not 0; it must not be 0 before. */
  static loop(counter: number, step: number, body: Bytes): number[] {
    const lessened = op.addI32(op.get(counter), op.i32(-step));
    return [0x03, 0x40, ...body, ...lessened, 0x22, ...unsigned(counter), 0x0d, 0, 0x0b];
  }

  encoded(): number[] {
    const locals = this.#locals.flatMap((type) => [1, typeCode[type]]);
    const body = [...unsigned(this.#locals.length), ...locals, ...this.#code, 0x0b];
    return [...unsigned(body.length), ...body];
  }
}

/** The magic number and the version of the binary format. */
const header = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** A module that computes in a memory that it imports as env.memory, and exports each function by its name. */
export function moduleOf(functions: { readonly [name: string]: FunctionCode }): Uint8Array<ArrayBuffer> {
  const all = Object.entries(functions);
  const counted = (items: readonly Bytes[]): number[] => [...unsigned(items.length), ...items.flat()];
  const section = (id: number, content: Bytes): number[] => [id, ...unsigned(content.length), ...content];
  const named = (name: string): number[] => [name.length, ...[...name].map((letter) => letter.codePointAt(0)!)];
  const types = all.map(([, { parameters, result }]) => [
    0x60,
    ...counted(parameters.map((type) => [typeCode[type]])),
    ...counted(result === null ? [] : [[typeCode[result]]]),
  ]);
  return Uint8Array.from([
    ...header,
    ...section(1, counted(types)),
    ...section(2, [1, ...named('env'), ...named('memory'), 2, 0, 1]),
    ...section(3, counted(all.map((_, at) => unsigned(at)))),
    ...section(7, counted(all.map(([name], at) => [...named(name), 0, ...unsigned(at)]))),
    ...section(10, counted(all.map(([, code]) => code.encoded()))),
  ]);
}
