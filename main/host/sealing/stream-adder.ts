// Adds many AES-256-CTR streams to a vector of words at once: the streams come from node:crypto over one block of zeros,
// eight of them are added in one pass by SIMD instructions of WebAssembly (JavaScript alone adds more slowly than the
// processor encrypts). Design 3, "Keys": words are little-endian, and so is WebAssembly's memory.

import { createCipheriv } from 'node:crypto';
import type { Cipheriv } from 'node:crypto';
import { requireBytes, requireInteger } from '../../../app/errors.ts';

/** Bytes of a block: the sum and eight streams of it fit a core's second cache. A multiple of 64. */
const blockBytes = 2 ** 16;
/** Streams in one pass. */
const lanes = 8;
/** Ciphers kept open at once, each about a kilobyte. */
const openCiphers = 16 * lanes;

type Adder = {
  readonly memory: Uint8Array;
  /** sum ± the first stream, or all eight, over this many bytes (rounded up to 64). */
  readonly one: { readonly add: Pass; readonly subtract: Pass };
  readonly eight: { readonly add: Pass; readonly subtract: Pass };
};
type Pass = (bytes: number) => void;

let adder: Adder | null = null;
const zeros = new Uint8Array(blockBytes);

/**
 * words ±= streams mod 2^32, in place. Little-endian hosts only.
 * @param firstWord where in the streams the vector begins; a multiple of 4, the words of an AES block
 */
export function addStreams(
  words: Uint32Array,
  add: readonly Uint8Array[],
  subtract: readonly Uint8Array[],
  firstWord: number,
): void {
  requireInteger('firstWord', firstWord, 0, 2 ** 32);
  if (firstWord % 4 !== 0) throw new RangeError('firstWord must be a multiple of 4');
  adder ??= createAdder();
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  try {
    for (const [keys, sign] of [
      [add, 'add'],
      [subtract, 'subtract'],
    ] as const)
      for (let at = 0; at < keys.length; at += openCiphers)
        addSome(adder, bytes, keys.slice(at, at + openCiphers), sign, firstWord);
  } finally {
    adder.memory.fill(0);
  }
}

function addSome(
  { memory, one, eight }: Adder,
  bytes: Uint8Array,
  keys: readonly Uint8Array[],
  sign: 'add' | 'subtract',
  firstWord: number,
): void {
  const start = counterBlock(firstWord / 4);
  const streams = keys.map((key) => {
    requireBytes('key', key, 32);
    return createCipheriv('aes-256-ctr', key, start);
  });
  for (let from = 0; from < bytes.length; from += blockBytes) {
    const block = bytes.subarray(from, from + blockBytes);
    memory.set(block);
    let at = 0;
    for (; at + lanes <= streams.length; at += lanes) {
      for (let lane = 0; lane < lanes; lane++) draw(streams[at + lane]!, memory, lane, block.length);
      eight[sign](block.length);
    }
    for (; at < streams.length; at++) {
      draw(streams[at]!, memory, 0, block.length);
      one[sign](block.length);
    }
    block.set(memory.subarray(0, block.length));
  }
}

/** The stream's next bytes into a lane. What the cipher gave is wiped and freed at once: its memory serves the next one. */
function draw(stream: Cipheriv, memory: Uint8Array, lane: number, length: number): void {
  const drawn = stream.update(length === blockBytes ? zeros : zeros.subarray(0, length));
  memory.set(drawn, (lane + 1) * blockBytes);
  drawn.fill(0);
  const { buffer } = drawn;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === drawn.length) buffer.transfer(0);
}

/** The initial block of a stream that begins `block` blocks in: a big-endian counter. */
function counterBlock(block: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(12, block);
  return bytes;
}

/** What is used of WebAssembly's JavaScript interface, which @types/node does not declare. */
type WebAssemblyInterface = {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: object };
};

function createAdder(): Adder {
  const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface }).WebAssembly;
  const exports = new Instance(new Module(moduleBytes())).exports as {
    readonly memory: { readonly buffer: ArrayBuffer };
    readonly add1: Pass;
    readonly subtract1: Pass;
    readonly add8: Pass;
    readonly subtract8: Pass;
  };
  return {
    memory: new Uint8Array(exports.memory.buffer),
    one: { add: exports.add1, subtract: exports.subtract1 },
    eight: { add: exports.add8, subtract: exports.subtract8 },
  };
}

// ---- the WebAssembly module (core specification 2.0, section 5), written out byte by byte ----

const wasm = {
  i32: 0x7f,
  v128: 0xfd,
  loop: [0x03, 0x40],
  end: 0x0b,
  branchIf0: [0x0d, 0],
  get: (local: number) => [0x20, local],
  tee: (local: number) => [0x22, local],
  addI32: 0x6a,
  belowU: 0x49,
} as const;

/** Unsigned LEB128. */
function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}

const section = (id: number, ...content: number[]): number[] => [id, ...leb(content.length), ...content];
const named = (name: string, kind: number, index: number): number[] => [
  name.length,
  ...[...name].map((letter) => letter.codePointAt(0)!),
  kind,
  index,
];
const loadWords = (offset: number): number[] => [wasm.v128, 0x00, 4, ...leb(offset)];
const storeWords = (offset: number): number[] => [wasm.v128, 0x0b, 4, ...leb(offset)];
const addWords = [wasm.v128, ...leb(0xae)];
const subtractWords = [wasm.v128, ...leb(0xb1)];

/** func(bytes): at = 0; do { 64 bytes of the sum ±= those of `streams` lanes; at += 64 } while (at < bytes). */
function pass(operation: readonly number[], streams: number): number[] {
  const [bytes, at] = [0, 1];
  const body: number[] = [1, 1, wasm.i32, ...wasm.loop];
  for (let offset = 0; offset < 64; offset += 16) {
    body.push(...wasm.get(at), ...wasm.get(at), ...loadWords(offset));
    for (let lane = 1; lane <= streams; lane++)
      body.push(...wasm.get(at), ...loadWords(lane * blockBytes + offset), ...operation);
    body.push(...storeWords(offset));
  }
  const i32Const64 = [0x41, 0xc0, 0x00];
  body.push(...wasm.get(at), ...i32Const64, wasm.addI32, ...wasm.tee(at), ...wasm.get(bytes), wasm.belowU);
  body.push(...wasm.branchIf0, wasm.end, wasm.end);
  return [...leb(body.length), ...body];
}

function moduleBytes(): Uint8Array {
  const pages = ((lanes + 1) * blockBytes) / 2 ** 16;
  const passes = [pass(addWords, 1), pass(subtractWords, 1), pass(addWords, lanes), pass(subtractWords, lanes)];
  const names = ['add1', 'subtract1', 'add8', 'subtract8'];
  const header = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  return Uint8Array.from([
    ...header,
    ...section(1, 1, 0x60, 1, wasm.i32, 0),
    ...section(3, passes.length, ...passes.map(() => 0)),
    ...section(5, 1, 0, ...leb(pages)),
    ...section(7, names.length + 1, ...named('memory', 2, 0), ...names.flatMap((name, at) => named(name, 0, at))),
    ...section(10, passes.length, ...passes.flat()),
  ]);
}
