// Textbook Shamir (1979): powers written out, Lagrange with Fermat inverses. Slow and obvious, to hold beside
// app/sealed-sum/shamir.ts.

const prime = 2n ** 256n - 189n;

function power(base: bigint, exponent: bigint): bigint {
  if (exponent === 0n) return 1n;
  const half = power((base * base) % prime, exponent / 2n);
  return exponent % 2n === 1n ? (half * base) % prime : half;
}

export function textbookShare(secret: bigint, coefficients: readonly bigint[], x: bigint): bigint {
  let value = secret;
  coefficients.forEach((coefficient, at) => (value += coefficient * power(x, BigInt(at + 1))));
  return value % prime;
}

export function textbookSecret(points: readonly { readonly x: bigint; readonly y: bigint }[]): bigint {
  let secret = 0n;
  for (const { x, y } of points) {
    let basis = 1n;
    for (const other of points)
      if (other.x !== x) basis = (basis * (prime - other.x) * power(prime + x - other.x, prime - 2n)) % prime;
    secret += y * basis;
  }
  return secret % prime;
}
