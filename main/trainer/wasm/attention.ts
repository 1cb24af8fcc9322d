// Softmax attention of whole sequences in the memory of tfjs-wasm, with rotary positions, forward and back. A head's products
// run over the keys that a query may look at, so causal attention costs about half; q, k and v are read where they lie.
// What app/training/language/operations.ts does by single kernels; test/main/trainer/wasm-kernels.test.ts compares.

import type { FusedAttentionShape } from '../../../app/training/language/fused.ts';
import type { KernelModule } from './kernel-module.ts';
import { Products } from './products.ts';
import type { Place } from './products.ts';
import { panel } from './product-code.ts';

/** cos and sin, [length, headWidth / 2], or null without rotary positions. */
export type Rotation = { readonly cos: number; readonly sin: number } | null;

/** Floats of a row of weights. */
export const weightStride = (length: number): number => panel * Math.ceil(length / panel);
const quad = (count: number): number => 4 * Math.ceil(count / 4);

/** Query rows that share one limit of their keys. */
const rowsTogether = 24;

type Rows = { readonly from: number; readonly count: number; readonly limit: number };

export class Attention {
  readonly #module: KernelModule;
  readonly #products: Products;

  constructor(module: KernelModule, products: Products) {
    this.#module = module;
    this.#products = products;
  }

  /** Writes output [sequences·length, heads·headWidth] and weights [sequences·heads, length, weightStride]. */
  forward(shape: FusedAttentionShape, qkv: number, rotation: Rotation, output: number, weights: number): void {
    const { length, heads, keyValueHeads, headWidth } = shape;
    const size = length * headWidth;
    const stride = weightStride(length);
    this.#within([size, stride * headWidth, size, headWidth], ([rows, keys, values, plain]) => {
      const turn = this.#turner(shape, rotation, plain!);
      for (let sequence = 0; sequence < shape.sequences; sequence++)
        for (let own = 0; own < keyValueHeads; own++) {
          const at = placesOf(shape, qkv, sequence, own);
          turn(at.key, { at: rows!, ld: 4 * headWidth }, 1, false);
          this.#products.pack({ at: rows!, ld: 4 * headWidth }, true, { k: headWidth, n: length }, keys!);
          this.#products.pack(at.value, false, { k: length, n: headWidth }, values!);
          for (const head of at.heads) {
            turn(at.query(head), { at: rows!, ld: 4 * headWidth }, 1 / Math.sqrt(headWidth), false);
            const weight = weights + 4 * (sequence * heads + head) * length * stride;
            for (const { from, count, limit } of rowBlocks(shape, sequence)) {
              const c = { at: weight + 4 * from * stride, ld: 4 * stride };
              this.#products.multiplyPacked({
                a: { at: rows! + 4 * from * headWidth, ld: 4 * headWidth },
                packed: { at: keys!, ld: 32 * headWidth },
                c,
                m: count,
                k: headWidth,
                n: weightStride(limit),
              });
              for (let row = from; row < from + count; row++)
                this.#softmax(weight + 4 * row * stride, lookedAt(shape, sequence, row), stride);
              this.#products.multiplyPacked({
                a: c,
                packed: { at: values!, ld: 32 * length },
                c: outputPlace(shape, output, sequence, head, from),
                m: count,
                k: limit,
                n: headWidth,
              });
            }
          }
        }
    });
  }

  /** Writes the gradient at q, k and v from the one at the output. */
  back(
    shape: FusedAttentionShape,
    qkv: number,
    rotation: Rotation,
    weights: number,
    gradient: number,
    out: number,
  ): void {
    const { length, heads, keyValueHeads, headWidth } = shape;
    const size = length * headWidth;
    const stride = weightStride(length);
    const scale = 1 / Math.sqrt(headWidth);
    const sizes = [size, size, size, size, stride * headWidth, length * stride, length * length, size, size, headWidth];
    this.#within(sizes, ([rows, keys, queries, gradients, values, scores, turned, atRow, atKeys, plain]) => {
      const turn = this.#turner(shape, rotation, plain!);
      const width = 4 * headWidth;
      const narrow = { k: length, n: headWidth };
      for (let sequence = 0; sequence < shape.sequences; sequence++)
        for (let own = 0; own < keyValueHeads; own++) {
          const [at, target] = [placesOf(shape, qkv, sequence, own), placesOf(shape, out, sequence, own)];
          turn(at.key, { at: rows!, ld: width }, 1, false);
          this.#products.pack({ at: rows!, ld: width }, false, narrow, keys!);
          this.#products.pack(at.value, true, { k: headWidth, n: length }, values!);
          for (const [place, head] of at.heads.entries()) {
            const weight = weights + 4 * (sequence * heads + head) * length * stride;
            turn(at.query(head), { at: rows!, ld: width }, scale, false);
            this.#products.pack({ at: rows!, ld: width }, false, narrow, queries!);
            this.#products.pack(outputPlace(shape, gradient, sequence, head, 0), false, narrow, gradients!);
            for (const { from, count, limit } of rowBlocks(shape, sequence)) {
              const c = { at: scores! + 4 * from * stride, ld: 4 * stride };
              this.#products.multiplyPacked({
                a: outputPlace(shape, gradient, sequence, head, from),
                packed: { at: values!, ld: 32 * headWidth },
                c,
                m: count,
                k: headWidth,
                n: weightStride(limit),
              });
              for (let row = from; row < from + count; row++)
                this.#softmaxBack(
                  scores! + 4 * row * stride,
                  weight + 4 * row * stride,
                  lookedAt(shape, sequence, row),
                  stride,
                );
              this.#products.multiplyPacked({
                a: c,
                packed: { at: keys!, ld: 32 * length },
                c: { at: atRow! + from * width, ld: width },
                m: count,
                k: limit,
                n: headWidth,
              });
            }
            turn({ at: atRow!, ld: width }, target.query(head), scale, true);
            const adds = place > 0;
            this.#turnedProduct(shape, { at: scores!, turned: turned! }, queries!, { at: atKeys!, ld: width }, adds);
            this.#turnedProduct(shape, { at: weight, turned: turned! }, gradients!, target.value, adds);
          }
          turn({ at: atKeys!, ld: width }, target.key, 1, true);
        }
    });
  }

  /** c = leftᵀ · right, of a left [length, weightStride] that is 0 where a query does not look. */
  #turnedProduct(
    shape: FusedAttentionShape,
    left: { readonly at: number; readonly turned: number },
    packed: number,
    c: Place,
    adds: boolean,
  ): void {
    const { length, headWidth, real } = shape;
    const turned = { at: left.turned, ld: 4 * length };
    this.#products.transpose({ at: left.at, ld: 4 * weightStride(length) }, turned, length, length);
    for (let from = 0; from < length; from += rowsTogether) {
      const first = real === null ? from : 0;
      this.#products.multiplyPacked({
        a: { at: turned.at + from * turned.ld + 4 * first, ld: turned.ld },
        packed: { at: packed + 32 * first, ld: 32 * length },
        c: { at: c.at + from * c.ld, ld: c.ld },
        m: Math.min(rowsTogether, length - from),
        k: length - first,
        n: headWidth,
        adds,
      });
    }
  }

  #softmax(row: number, keys: number, stride: number): void {
    const memory = this.#module.floats();
    const { maximum, exponential, multiplied } = this.#module.rows;
    const most = quad(keys);
    memory.fill(-Infinity, row / 4 + keys, row / 4 + most);
    memory.fill(0, row / 4 + most, row / 4 + stride);
    if (keys === 0) return;
    const sum = exponential(row, most, maximum(row, most));
    multiplied(row, most, 1 / sum);
  }

  #softmaxBack(row: number, weight: number, keys: number, stride: number): void {
    const { dot, softmaxBack } = this.#module.rows;
    const most = quad(keys);
    if (most > 0) softmaxBack(row, weight, most, dot(row, weight, most));
    this.#module.floats().fill(0, row / 4 + most, row / 4 + stride);
  }

  /** Turns each position of one head by its angle, or back, times `scale`. @param plain room for a half of ones and zeros */
  #turner({ length, headWidth }: FusedAttentionShape, rotation: Rotation, plain: number) {
    const half = headWidth / 2;
    const memory = this.#module.floats();
    memory.fill(1, plain / 4, plain / 4 + half);
    memory.fill(0, plain / 4 + half, plain / 4 + headWidth);
    const { rotate } = this.#module.rows;
    const { cos, sin } = rotation ?? { cos: plain, sin: plain + 4 * half };
    const step = rotation === null ? 0 : 4 * half;
    return (from: Place, to: Place, scale: number, backwards: boolean): void => {
      for (let row = 0; row < length; row++) {
        const [source, target] = [from.at + row * from.ld, to.at + row * to.ld];
        rotate(
          target,
          target + 4 * half,
          source,
          source + 4 * half,
          cos + row * step,
          sin + row * step,
          half,
          scale,
          backwards ? -1 : 1,
        );
      }
    };
  }

  #within(sizes: readonly number[], work: (addresses: readonly number[]) => void): void {
    const addresses: number[] = [];
    try {
      for (const size of sizes) addresses.push(this.#module.allocate(size));
      work(addresses);
    } finally {
      for (const address of addresses) this.#module.free(address);
    }
  }
}

/** Where one key/value head of a sequence and its query heads stand in [tokens, q | k | v]. */
function placesOf(
  { length, heads, keyValueHeads, headWidth }: FusedAttentionShape,
  at: number,
  sequence: number,
  own: number,
) {
  const ld = 4 * (heads + 2 * keyValueHeads) * headWidth;
  const column = (head: number): Place => ({ at: at + sequence * length * ld + 4 * head * headWidth, ld });
  const group = heads / keyValueHeads;
  return {
    key: column(heads + own),
    value: column(heads + keyValueHeads + own),
    heads: Array.from({ length: group }, (_, i) => own * group + i),
    query: column,
  };
}

function outputPlace(
  { length, heads, headWidth }: FusedAttentionShape,
  at: number,
  sequence: number,
  head: number,
  row: number,
): Place {
  const ld = 4 * heads * headWidth;
  return { at: at + (sequence * length + row) * ld + 4 * head * headWidth, ld };
}

const lookedAt = ({ real }: FusedAttentionShape, sequence: number, row: number): number =>
  real === null ? row + 1 : real[sequence]!;

function* rowBlocks(shape: FusedAttentionShape, sequence: number): Generator<Rows> {
  for (let from = 0; from < shape.length; from += rowsTogether) {
    const count = Math.min(rowsTogether, shape.length - from);
    yield { from, count, limit: lookedAt(shape, sequence, from + count - 1) };
  }
}
