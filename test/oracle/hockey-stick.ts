// The slow twin of pld.ts: δ(ε) by its definition, ∫ max(0, p − e^ε q), with no grid of losses and no Fourier transform. For
// one release the integrand is positive from the point where it starts, so nothing cancels; several releases are integrals
// in integrals. Discrete mechanisms are summed over every outcome.

const nodes = [0.18343464249564978, 0.525532409916329, 0.7966664774136267, 0.9602898564975362];
const weights = [0.362683783378362, 0.31370664587788727, 0.22238103445337448, 0.10122853629037626];

/** Eight Gauss–Legendre nodes. */
function once(f: (x: number) => number, from: number, to: number): number {
  const [half, middle] = [(to - from) / 2, (from + to) / 2];
  return nodes.reduce(
    (sum, node, k) => sum + weights[k]! * half * (f(middle - node * half) + f(middle + node * half)),
    0,
  );
}

/** Halves each of `panels` equal parts until halving no longer changes it: what is integrated may all but have kinks. */
function integrate(f: (x: number) => number, from: number, to: number, panels: number, tolerance: number): number {
  const refine = (low: number, high: number, whole: number, depth: number): number => {
    const middle = (low + high) / 2;
    const [left, right] = [once(f, low, middle), once(f, middle, high)];
    if (depth === 0 || Math.abs(left + right - whole) <= tolerance * Math.abs(whole) + 1e-300) return left + right;
    return refine(low, middle, left, depth - 1) + refine(middle, high, right, depth - 1);
  };
  let sum = 0;
  for (let panel = 0; panel < panels; panel++) {
    const low = from + ((to - from) * panel) / panels;
    const high = from + ((to - from) * (panel + 1)) / panels;
    sum += refine(low, high, once(f, low, high), 20);
  }
  return sum;
}

export type Continuous = {
  /** Density of P, whose loss against Q rises with x where `sign` is 1 and falls where it is −1. */
  readonly density: (x: number) => number;
  readonly loss: (x: number) => number;
  readonly sign: 1 | -1;
  readonly from: number;
  readonly to: number;
  readonly panels: number;
};

const normal = (x: number, mean: number, sigma: number): number =>
  Math.exp(-((x - mean) ** 2) / (2 * sigma * sigma)) / (sigma * Math.sqrt(2 * Math.PI));

/** Both directions of Σ w_j N(s_j, σ²) against N(0, σ²). */
export function gaussianMixture(
  sigma: number,
  sensitivities: readonly number[],
  probabilities: readonly number[],
): readonly [Continuous, Continuous] {
  const mix = (x: number): number =>
    sensitivities.reduce((sum, s, j) => sum + probabilities[j]! * normal(x, s, sigma), 0);
  const loss = (x: number): number =>
    Math.log(
      sensitivities.reduce((sum, s, j) => sum + probabilities[j]! * Math.exp((s * x - (s * s) / 2) / sigma ** 2), 0),
    );
  const most = Math.max(...sensitivities);
  const common = { from: -14 * sigma, to: most + 14 * sigma, panels: 12 };
  return [
    { ...common, density: mix, loss, sign: 1 },
    { ...common, density: (x) => normal(x, 0, sigma), loss: (x) => -loss(x), sign: -1 },
  ];
}

/** Both are (1 − q) N(0, σ²) + q N(±1, σ²). */
export function replacedGaussian(sigma: number, rate: number): Continuous {
  const one = (x: number, mean: number): number => (1 - rate) * normal(x, 0, sigma) + rate * normal(x, mean, sigma);
  const half = (x: number): number => Math.log1p(rate * Math.expm1((x - 0.5) / sigma ** 2));
  return {
    density: (x) => one(x, 1),
    loss: (x) => half(x) - half(-x),
    sign: 1,
    from: -1 - 14 * sigma,
    to: 1 + 14 * sigma,
    panels: 12,
  };
}

/** δ(ε) of the releases together, each part of each integral to the relative tolerance. */
export function continuousDelta(releases: readonly Continuous[], epsilon: number, tolerance = 1e-12): number {
  const [first, ...rest] = releases;
  if (first === undefined) return Math.max(0, -Math.expm1(epsilon));
  const { density, loss, sign, from, to, panels } = first;
  if (rest.length > 0)
    return integrate(
      (x) => density(x) * continuousDelta(rest, epsilon - loss(x), tolerance),
      from,
      to,
      panels,
      tolerance,
    );
  // Where the loss passes ε, by halving.
  let [low, high] = [from, to];
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (sign * (loss(middle) - epsilon) > 0) high = middle;
    else low = middle;
  }
  const positive = (x: number): number => density(x) * Math.max(0, -Math.expm1(epsilon - loss(x)));
  return sign === 1
    ? integrate(positive, high, to, panels, tolerance)
    : integrate(positive, from, low, panels, tolerance);
}

export type Outcome = { readonly upper: number; readonly lower: number };

/** δ(ε) of independent discrete releases: the sum over every combination of outcomes. */
export function discreteDelta(releases: readonly (readonly Outcome[])[], epsilon: number): number {
  const grow = Math.exp(epsilon);
  const sum = (index: number, upper: number, lower: number): number => {
    if (index === releases.length) return Math.max(0, upper - grow * lower);
    let total = 0;
    for (const outcome of releases[index]!) total += sum(index + 1, upper * outcome.upper, lower * outcome.lower);
    return total;
  };
  return sum(0, 1, 1);
}

/** What shifting a distribution on the integers by `sensitivity` at the given rate does, in both directions. */
export function shifted(
  probabilities: Float64Array,
  sensitivity: number,
  rate: number,
): readonly [readonly Outcome[], readonly Outcome[]] {
  const at = (n: number): number => probabilities[n] ?? 0;
  const forward = Array.from({ length: probabilities.length + sensitivity }, (_, n) => ({
    upper: (1 - rate) * at(n) + rate * at(n - sensitivity),
    lower: at(n),
  }));
  return [forward, forward.map(({ upper, lower }) => ({ upper: lower, lower: upper }))];
}

/** The distribution of the sum of two independent whole numbers. */
export function convolved(left: Float64Array, right: Float64Array): Float64Array {
  const sum = new Float64Array(left.length + right.length - 1);
  left.forEach((a, i) => right.forEach((b, j) => void (sum[i + j]! += a * b)));
  return sum;
}
