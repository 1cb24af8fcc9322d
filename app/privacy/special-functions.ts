// The normal tail and sums in log space, accurate to a few units in the last place over the whole range, because ε at
// δ = 1e-10 lives in the tail. Nothing here knows about privacy.

const { exp, expm1, log, log1p, PI, sqrt, SQRT2 } = Math;

/** log(e^a + e^b). */
export function logAdd(a: number, b: number): number {
  if (a === -Infinity) return b;
  if (b === -Infinity) return a;
  if (a === Infinity || b === Infinity) return Infinity;
  return a > b ? a + log1p(exp(b - a)) : b + log1p(exp(a - b));
}

/** log Σ e^x; −∞ for no terms. */
export function logSum(terms: readonly number[]): number {
  let largest = -Infinity;
  for (const term of terms) if (term > largest) largest = term;
  if (!Number.isFinite(largest)) return largest;
  let sum = 0;
  for (const term of terms) sum += exp(term - largest);
  return largest + log(sum);
}

/** log(e^x − 1) for x > 0. */
export function logExpm1(x: number): number {
  return x > 1 ? x + log1p(-exp(-x)) : log(expm1(x));
}

/**
 * log erfc(x). Between 0.5 and infinity by the trapezoidal rule on erfc(x) = (2x/π) e^{−x²} ∫₀^∞ e^{−t²}/(t²+x²) dt
 * with its pole's residue (Matta and Reichel 1971): with step 1/2 the error is below e^{−39} relative.
 */
export function logErfc(x: number): number {
  if (x < -0.5) return log1p(-0.5 * exp(logErfc(-x))) + Math.LN2;
  if (x < 0.5) return log1p(-erfNearZero(x));
  if (x === Infinity) return -Infinity;
  const step = 0.5;
  let sum = 0;
  for (let n = 13; n >= 1; n--) {
    const square = (n * step) ** 2;
    sum += (2 * exp(-square)) / (1 + square / (x * x));
  }
  const main = (step * (1 + sum)) / (PI * x);
  const residue = x < PI / step ? (2 * exp(x * x)) / expm1((2 * PI * x) / step) : 0;
  return log(main - residue) - x * x;
}

function erfNearZero(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
    if (term === 0) break;
  }
  return (2 / sqrt(PI)) * sum;
}

/** log Φ(x), Φ the standard normal distribution function. */
export function logNormalCdf(x: number): number {
  return logErfc(-x / SQRT2) - Math.LN2;
}

/**
 * Σ (−1)^k a_k, for a_k = ∫₀¹ t^k dμ(t) ≥ 0 (a moment sequence), from its first terms: error below 5.8^(−n) of the sum
 * for n terms (Cohen, Rodríguez Villegas, Zagier 2000, algorithm 1), however slowly the series itself converges.
 */
export function alternatingSum(terms: readonly number[]): number {
  const n = terms.length;
  let d = (3 + sqrt(8)) ** n;
  d = (d + 1 / d) / 2;
  let b = -1;
  let c = -d;
  let sum = 0;
  terms.forEach((term, k) => {
    c = b - c;
    sum += c * term;
    b *= ((k + n) * (k - n)) / ((k + 0.5) * (k + 1));
  });
  return sum / d;
}
