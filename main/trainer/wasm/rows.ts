// Norms, gates, the loss and the gradients of adapters, row by row in the memory of tfjs-wasm. Widths of norms and gates are
// multiples of 4. Addresses are bytes.

import type { AdapterGradientsAttributes, TokenLossAttributes } from '../../../app/training/language/fused.ts';
import type { KernelModule } from './kernel-module.ts';
import type { Place, Products } from './products.ts';

export class RowKernels {
  readonly #module: KernelModule;
  readonly #products: Products;

  constructor(module: KernelModule, products: Products) {
    this.#module = module;
    this.#products = products;
  }

  /** m copies of a row of n. */
  repeat(row: number, out: number, m: number, n: number): void {
    const memory = this.#module.floats();
    for (let i = 0; i < m; i++) memory.copyWithin(out / 4 + i * n, row / 4, row / 4 + n);
  }

  rmsNorm(m: number, n: number, epsilon: number, x: number, weight: number, out: number, factor: number): void {
    const { dot, scaled } = this.#module.rows;
    const factors = this.#module.floats().subarray(factor / 4, factor / 4 + m);
    for (let row = 0; row < m; row++) {
      const at = x + 4 * row * n;
      factors[row] = 1 / Math.sqrt(dot(at, at, n) / n + epsilon);
      scaled(out + 4 * row * n, at, weight, n, factors[row]!);
    }
  }

  rmsNormBack(m: number, n: number, gradient: number, x: number, weight: number, factor: number, out: number): void {
    const { dot3, normBack } = this.#module.rows;
    const factors = this.#module.floats().subarray(factor / 4, factor / 4 + m);
    for (let row = 0; row < m; row++) {
      const [g, own, f] = [gradient + 4 * row * n, x + 4 * row * n, factors[row]!];
      normBack(out + 4 * row * n, g, weight, own, n, f, (f ** 3 * dot3(g, weight, own, n)) / n);
    }
  }

  /** From rows of gate and up. */
  gated(m: number, n: number, x: number, out: number): void {
    const { gated } = this.#module.rows;
    for (let row = 0; row < m; row++) gated(out + 4 * row * n, x + 8 * row * n, x + 8 * row * n + 4 * n, n);
  }

  gatedBack(m: number, n: number, x: number, gradient: number, out: number): void {
    const { gatedBack } = this.#module.rows;
    for (let row = 0; row < m; row++) {
      const [to, from] = [out + 8 * row * n, x + 8 * row * n];
      gatedBack(to, to + 4 * n, from, from + 4 * n, gradient + 4 * row * n, n);
    }
  }

  /** @param head [vocabulary, width] */
  tokenLossBack(
    { targets, weights, mostLogits }: TokenLossAttributes,
    vocabulary: number,
    width: number,
    hidden: Place,
    head: Place,
    out: Place,
  ): void {
    const { maximum, exponential, multiplied } = this.#module.rows;
    const stride = 4 * Math.ceil(vocabulary / 4);
    const most = Math.min(targets.length, Math.max(1, Math.floor(mostLogits / stride)));
    const logits = this.#module.allocate(most * stride);
    try {
      const memory = this.#module.floats();
      const c = { at: logits, ld: 4 * stride };
      for (let from = 0; from < targets.length; from += most) {
        const m = Math.min(most, targets.length - from);
        const a = { at: hidden.at + from * hidden.ld, ld: hidden.ld };
        this.#products.multiply({ a, b: head, turned: true, c, m, k: width, n: vocabulary });
        for (let row = 0; row < m; row++) {
          const at = logits + 4 * row * stride;
          memory.fill(-Infinity, at / 4 + vocabulary, at / 4 + stride);
          const weight = weights[from + row]!;
          const sum = exponential(at, stride, maximum(at, stride));
          multiplied(at, stride, weight / sum);
          memory[at / 4 + targets[from + row]!]! -= weight;
        }
        const target = { at: out.at + from * out.ld, ld: out.ld };
        this.#products.multiply({ a: c, b: head, c: target, m, k: vocabulary, n: width });
      }
    } finally {
      this.#module.free(logits);
    }
  }

  /** For each sequence Σ over its `length` tokens of leftᵀ · right, for A of all maps and B of each. */
  adapterGradients(
    { sequences, rank, freezeA, starts, widths }: AdapterGradientsAttributes,
    length: number,
    places: {
      readonly inputs: Place;
      readonly low: Place;
      readonly lowGradient: Place;
      readonly outputGradient: Place;
      readonly out: Place;
      readonly width: number;
      /** Rank times adapted maps. */
      readonly ranks: number;
    },
  ): void {
    const { inputs, low, lowGradient, outputGradient, out, width, ranks } = places;
    const turned = { at: this.#module.allocate(ranks * length), ld: 4 * length };
    try {
      for (let sequence = 0; sequence < sequences; sequence++) {
        const own = ({ at, ld }: Place): Place => ({ at: at + sequence * length * ld, ld });
        let at = out.at + sequence * out.ld;
        if (!freezeA) {
          this.#products.transpose(own(lowGradient), turned, length, ranks);
          const c = { at, ld: 4 * width };
          this.#products.multiply({ a: turned, b: own(inputs), c, m: ranks, k: length, n: width });
          at += 4 * ranks * width;
        }
        this.#products.transpose(own(low), turned, length, ranks);
        for (const [i, n] of widths.entries()) {
          const a = { at: turned.at + i * rank * turned.ld, ld: turned.ld };
          const b = own(outputGradient);
          const right = { at: b.at + 4 * starts[i]!, ld: b.ld };
          this.#products.multiply({ a, b: right, c: { at, ld: 4 * n }, m: rank, k: length, n });
          at += 4 * rank * n;
        }
      }
    } finally {
      this.#module.free(turned.at);
    }
  }
}
