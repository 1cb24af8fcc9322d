// The project's own functions in the memory of tfjs-wasm: what it computes lies there already, so nothing is copied. Memory
// may grow, and views of it end, whenever something is allocated: views are made after the last allocation.

import { moduleOf } from './assembler.ts';
import { mostRows, packCode, tileCode, turnCode } from './product-code.ts';
import { rowFunctions } from './row-code.ts';

/** a, lda, b, ldb, c, ldc, k, blocks, α, whether c is added to. */
type Tile = (...numbers: [number, number, number, number, number, number, number, number, number, number]) => void;
type RowFunctions = { readonly [name in keyof ReturnType<typeof rowFunctions>]: (...numbers: number[]) => number };

export type KernelModule = {
  /** By rows − 1. */
  readonly tiles: readonly Tile[];
  readonly stridedTiles: readonly Tile[];
  readonly pack: (source: number, ld: number, target: number, k: number, panels: number) => void;
  readonly turn: (source: number, ld: number, target: number, ldTarget: number, columns: number) => void;
  readonly rows: RowFunctions;
  /** All of memory, as it is now. */
  readonly floats: () => Float32Array;
  /** @throws RangeError where memory has no room left */
  readonly allocate: (floats: number) => number;
  readonly free: (address: number) => void;
};

/** What is used of tfjs-wasm's own module. */
export type HostModule = {
  readonly asm?: { readonly memory?: unknown };
  readonly _malloc: (bytes: number) => number;
  readonly _free: (address: number) => void;
};

/** What is used of WebAssembly's JavaScript interface, which @types/node does not declare. */
type WebAssemblyInterface = {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
  readonly Memory: new (limits: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
  readonly validate: (bytes: Uint8Array) => boolean;
};

/**
 * @param fused with multiply-add in one rounding where the engine has it
 * @throws Error where tfjs-wasm does not show its memory: its layout has changed.
 */
export function kernelModule(host: HostModule, fused = true): KernelModule {
  const { Module, Instance, Memory, validate } = (
    globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface }
  ).WebAssembly;
  const memory = host.asm?.memory;
  if (!(memory instanceof Memory)) throw new Error('tfjs-wasm does not show its memory');
  const bytesOf = (relaxed: boolean): Uint8Array => {
    const tiles = Array.from({ length: mostRows }, (_, at) => [
      [`tile${at + 1}`, tileCode(at + 1, false, relaxed)] as const,
      [`stridedTile${at + 1}`, tileCode(at + 1, true, relaxed)] as const,
    ]).flat();
    return moduleOf({ ...Object.fromEntries(tiles), pack: packCode(), turn: turnCode(), ...rowFunctions(relaxed) });
  };
  const bytes = bytesOf(fused);
  const module = new Module(validate(bytes) ? bytes : bytesOf(false));
  const exports = new Instance(module, { env: { memory } }).exports as KernelModule['rows'] &
    Pick<KernelModule, 'pack' | 'turn'> & { readonly [tile: string]: Tile };
  const tilesOf = (name: string): Tile[] => Array.from({ length: mostRows }, (_, at) => exports[`${name}${at + 1}`]!);
  return {
    tiles: tilesOf('tile'),
    stridedTiles: tilesOf('stridedTile'),
    pack: exports.pack,
    turn: exports.turn,
    rows: exports,
    floats: () => new Float32Array(memory.buffer),
    allocate: (floats) => {
      const address = host._malloc(4 * floats) >>> 0;
      if (address === 0) throw new RangeError('WebAssembly has no memory left');
      return address;
    },
    free: (address) => host._free(address),
  };
}
