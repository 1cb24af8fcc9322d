// The slow twin of logErfc: the Taylor series of erf in fixed-point big integers, with so many digits that the tail
// 1 − erf(x) keeps fifty of them after cancelling.

const digits = 400n;
const one = 10n ** digits;

function squareRoot(value: bigint): bigint {
  let root = 10n ** (BigInt(value.toString().length) / 2n + 1n);
  for (;;) {
    const next = (root + value / root) / 2n;
    if (next >= root) return root;
    root = next;
  }
}

function arctanOfInverse(n: bigint): bigint {
  let power = one / n;
  let sum = power;
  for (let k = 1n; power !== 0n; k++) {
    power /= -n * n;
    sum += power / (2n * k + 1n);
  }
  return sum;
}

/** log erfc(x) for |x| ≤ 20, x a multiple of 2^−20 so that it is exact in fixed point. */
export function bigLogErfc(x: number): number {
  const fixed = (BigInt(x * 2 ** 20) * one) / 2n ** 20n;
  const square = (fixed * fixed) / one;
  let term = fixed;
  let sum = fixed;
  for (let n = 1n; term !== 0n; n++) {
    term = (-term * square) / one / n;
    sum += term / (2n * n + 1n);
  }
  const pi = 4n * (4n * arctanOfInverse(5n) - arctanOfInverse(239n));
  const tail = one - (2n * sum * one) / squareRoot(pi * one);
  const text = tail.toString();
  return Math.log(Number(`0.${text.slice(0, 30)}`)) + (text.length - Number(digits)) * Math.LN10;
}
