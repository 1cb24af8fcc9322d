// Matrix products in the memory of tfjs-wasm, at about twice the speed of its own: the right operand is packed into panels
// of eight columns, in pieces that stay in the cache (Goto and van de Geijn 2008). Operands are places in memory, so
// parts of matrices need no copy. From two rows on, sums run over k in one order
// whatever the number of rows.

import type { KernelModule } from './kernel-module.ts';
import { mostRows, panel } from './product-code.ts';

/** A matrix in memory: address and bytes from one row to the next. */
export type Place = { readonly at: number; readonly ld: number };

/** m × n, over k. */
export type Extent = { readonly m: number; readonly k: number; readonly n: number };

export type Product = Extent & {
  readonly a: Place;
  readonly b: Place;
  /** b is stored [n, k]. */
  readonly turned?: boolean;
  readonly c: Place;
  readonly alpha?: number;
  /** Adds to c. */
  readonly adds?: boolean;
};

const [mostK, mostN, rowsAtOnce] = [512, 1024, 240];

export class Products {
  readonly #module: KernelModule;
  /** One piece of a right operand; one column of tiles. */
  readonly #packed: number;
  readonly #tile: number;

  constructor(module: KernelModule) {
    this.#module = module;
    this.#packed = module.allocate(mostK * mostN);
    this.#tile = module.allocate(rowsAtOnce * panel);
  }

  /** c = α · a · b (+ c). */
  multiply({ a, b, turned = false, c, m, k, n, alpha = 1, adds = false }: Product): void {
    if (!turned && m <= 2 * mostRows && n % panel === 0) {
      this.#strided({ a, b, c, m, k, n, alpha, adds });
      return;
    }
    if (turned && m === 1 && k % 4 === 0) {
      this.#dots({ a, b, c, k, n, alpha, adds });
      return;
    }
    for (let column = 0; column < n; column += mostN)
      for (let from = 0; from < k; from += mostK) {
        const part = { k: Math.min(mostK, k - from), n: Math.min(mostN, n - column) };
        const [across, down] = turned ? [column, from] : [from, column];
        this.pack({ at: b.at + across * b.ld + 4 * down, ld: b.ld }, turned, part, this.#packed);
        this.multiplyPacked({
          ...part,
          m,
          a: { at: a.at + 4 * from, ld: a.ld },
          packed: { at: this.#packed, ld: 32 * part.k },
          c: { at: c.at + 4 * column, ld: c.ld },
          alpha,
          adds: adds || from > 0,
        });
      }
  }

  /** Floats that a packed right operand takes. */
  static packedSize({ k, n }: Pick<Extent, 'k' | 'n'>): number {
    return k * panel * Math.ceil(n / panel);
  }

  /** Writes b as panels [k][8], the last filled up with zeros. */
  pack(b: Place, turned: boolean, { k, n }: Pick<Extent, 'k' | 'n'>, target: number): void {
    const { pack, turn, floats } = this.#module;
    const whole = Math.floor(n / panel);
    const quads = k - (k % 4);
    if (!turned && whole > 0) pack(b.at, b.ld, target, k, whole);
    if (turned && quads > 0)
      for (let at = 0; at < whole; at++)
        for (const half of [0, 4])
          turn(b.at + (panel * at + half) * b.ld, b.ld, target + 32 * at * k + 4 * half, 32, quads);
    const memory = floats();
    const [from, to, ld] = [b.at / 4, target / 4, b.ld / 4];
    if (turned && quads < k)
      for (let column = 0; column < whole * panel; column++)
        for (let i = quads; i < k; i++)
          memory[to + (Math.floor(column / panel) * k + i) * panel + (column % panel)] =
            memory[from + column * ld + i]!;
    if (whole * panel === n) return;
    const last = to + whole * panel * k;
    memory.fill(0, last, last + panel * k);
    for (let column = whole * panel; column < n; column++)
      for (let i = 0; i < k; i++)
        memory[last + i * panel + (column % panel)] = memory[from + (turned ? column * ld + i : i * ld + column)]!;
  }

  /** As `multiply`, of a packed right operand whose panels lie `ld` bytes apart. */
  multiplyPacked(product: Omit<Product, 'b' | 'turned'> & { readonly packed: Place }): void {
    const { a, packed, c, m, k, n, alpha = 1, adds = false } = product;
    for (let row = 0; row < m; row += rowsAtOnce) {
      const rows = Math.min(rowsAtOnce, m - row);
      const left = { at: a.at + row * a.ld, ld: a.ld };
      for (let column = 0; column < n; column += panel) {
        const right = { at: packed.at + (column / panel) * packed.ld, ld: 32 };
        const out = { at: c.at + row * c.ld + 4 * column, ld: c.ld };
        if (column + panel <= n) this.#column(this.#module.tiles, left, right, out, rows, k, alpha, adds);
        else {
          this.#column(this.#module.tiles, left, right, { at: this.#tile, ld: 32 }, rows, k, alpha, false);
          this.#copyTile(out, rows, n - column, adds);
        }
      }
    }
  }

  /** One row, as when text is continued token by token: each row of b is read once, as it lies. */
  #dots({ a, b, c, k, n, alpha, adds }: Required<Omit<Product, 'turned' | 'm'>>): void {
    const { dot } = this.#module.rows;
    const out = this.#module.floats().subarray(c.at / 4, c.at / 4 + n);
    for (let column = 0; column < n; column++) {
      const value = alpha * dot(a.at, b.at + column * b.ld, k);
      out[column] = adds ? out[column]! + value : value;
    }
  }

  /** A few rows: packing b would cost more than it brings. */
  #strided({ a, b, c, m, k, n, alpha, adds }: Required<Omit<Product, 'turned'>>): void {
    for (let column = 0; column < n; column += panel) {
      const right = { at: b.at + 4 * column, ld: b.ld };
      const out = { at: c.at + 4 * column, ld: c.ld };
      this.#column(this.#module.stridedTiles, a, right, out, m, k, alpha, adds);
    }
  }

  #column(
    tiles: KernelModule['tiles'],
    a: Place,
    b: Place,
    c: Place,
    m: number,
    k: number,
    alpha: number,
    adds: boolean,
  ): void {
    const blocks = Math.floor(m / mostRows);
    const left = m % mostRows;
    const add = adds ? 1 : 0;
    if (blocks > 0) tiles[mostRows - 1]!(a.at, a.ld, b.at, b.ld, c.at, c.ld, k, blocks, alpha, add);
    const done = blocks * mostRows;
    if (left > 0) tiles[left - 1]!(a.at + done * a.ld, a.ld, b.at, b.ld, c.at + done * c.ld, c.ld, k, 1, alpha, add);
  }

  #copyTile(out: Place, rows: number, columns: number, adds: boolean): void {
    const memory = this.#module.floats();
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const at = (out.at + row * out.ld) / 4 + column;
        const value = memory[this.#tile / 4 + row * panel + column]!;
        memory[at] = adds ? memory[at]! + value : value;
      }
  }

  /** target [columns, rows] = source [rows, columns], turned. */
  transpose(source: Place, target: Place, rows: number, columns: number): void {
    const { turn, floats } = this.#module;
    const [wholeRows, wholeColumns] = [rows - (rows % 4), columns - (columns % 4)];
    if (wholeColumns > 0)
      for (let row = 0; row < wholeRows; row += 4)
        turn(source.at + row * source.ld, source.ld, target.at + 4 * row, target.ld, wholeColumns);
    if (wholeRows === rows && wholeColumns === columns) return;
    const memory = floats();
    for (let row = 0; row < rows; row++)
      for (let column = row < wholeRows ? wholeColumns : 0; column < columns; column++)
        memory[(target.at + column * target.ld) / 4 + row] = memory[(source.at + row * source.ld) / 4 + column]!;
  }
}
