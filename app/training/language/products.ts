// Sums of matrix products: what the linear maps of a transformer are made of. In one kernel where the backend has it
// (fused.ts); else by matMul with plain operands, because its transpose flags are slow on wasm. Design 5.

import { add, matMul, mul, transpose } from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { fusedProducts, isFused } from './fused.ts';

/** scale · left · right, [rows, inner] × [inner, columns]. */
export type Term = {
  readonly left: Tensor2D;
  readonly right: Tensor2D;
  /** `right` is [columns, inner]. */
  readonly turned?: boolean;
  readonly scale?: number;
};

/** The sum of one or more products (+ bias [1, columns]). */
export function sumOfProducts(terms: readonly [Term, ...Term[]], bias: Tensor | null = null): Tensor2D {
  if (isFused())
    return fusedProducts(
      terms.map(({ turned = false, scale = 1, ...operands }) => ({ ...operands, turned, scale })),
      bias,
    );
  const products = terms.map(({ left, right, turned = false, scale = 1 }): Tensor2D => {
    const product: Tensor2D = matMul(left, turned ? transpose(right) : right);
    return scale === 1 ? product : mul(product, scale);
  });
  if (bias !== null) products[0] = add(products[0]!, bias);
  return products.reduce((sum, product) => add(sum, product));
}

/**
 * A frozen matrix W in one of its two layouts or both: where a product takes its operand as it lies, one is enough.
 * `weight` is [in, out], `transposed` [out, in].
 */
export type Frozen = { readonly weight: Tensor2D | null; readonly transposed: Tensor2D | null };

/** x · W. */
export const through = ({ weight, transposed }: Frozen, x: Tensor2D): Term =>
  weight === null ? { left: x, right: transposed!, turned: true } : { left: x, right: weight };

/** gradient · Wᵀ. */
export const backThrough = ({ weight, transposed }: Frozen, gradient: Tensor2D): Term =>
  transposed === null ? { left: gradient, right: weight!, turned: true } : { left: gradient, right: transposed };
