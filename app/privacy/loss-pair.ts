// Dominating pairs: two distributions P and Q on the line such that no two neighbouring data sets are told apart better
// than P is told from Q, with privacy loss ln(dP/dQ) rising along the line. Poisson-sampled Gaussian and Laplace: Zhu,
// Dong, Wang 2022 (arXiv:2106.08567); mixtures: Choquette-Choo et al. 2024 (arXiv:2312.00636).

const { asinh, exp, expm1, floor, log, log1p, PI, sign, sinh, sqrt } = Math;

/** The part of a pair that has densities. Losses rise with x. */
export type LossDensity = {
  /** ln(dP/dQ) at x. */
  loss(x: number): number;
  /** ln of P's density at x, whose loss is given. */
  logUpper(x: number, loss: number): number;
  /** Where the loss is `loss`, searched for below `from`, whose loss is larger; −∞ where nothing has so small a loss. */
  inverse(loss: number, from: number): number;
  /** Outside lies at most e^logTail of P, and as much of Q. */
  range(logTail: number): { readonly from: number; readonly to: number };
  /** The longest panel around x on which four Gauss–Legendre nodes integrate the density to about 1e-12. */
  panel(x: number): number;
};

export type LossPair = {
  /** The same pair has the same key. */
  readonly key: string;
  readonly density: LossDensity | null;
  /** Losses with mass of their own: ln of P's mass there (Q's is e^{−loss} times as much). */
  atoms(logTail: number): readonly { readonly loss: number; readonly logUpper: number }[];
  /** Mass of P where Q has none, and of Q where P has none. */
  readonly infinity: number;
  /** (Q, P) is the same pair: one direction suffices. */
  readonly symmetric: boolean;
};

const noAtoms = (): readonly never[] => [];

/** z such that the normal tail beyond it is at most e^logTail / 2. */
const normalReach = (logTail: number): number => sqrt(-2 * Math.min(logTail, -1));

/** ln(1 − q + q e^loss): the loss of what happens with probability q only. */
export function sampledLoss(rate: number, loss: number): number {
  if (rate === 1) return loss;
  return loss > 1 ? loss + log(rate) + log1p(((1 - rate) / rate) * exp(-loss)) : log1p(rate * expm1(loss));
}

/** The other way round; −∞ for losses that sampling does not let happen. */
export function unsampledLoss(rate: number, loss: number): number {
  if (rate === 1) return loss;
  if (loss > 1) return loss - log(rate) + log1p((rate - 1) * exp(-loss));
  const ratio = expm1(loss) / rate;
  return ratio <= -1 ? -Infinity : log1p(ratio);
}

/** P = (1 − q) N(0, σ²) + q N(1, σ²), Q = N(0, σ²): the Poisson-sampled Gaussian under add-or-remove. */
export function sampledGaussianPair(rate: number, sigma: number): LossPair {
  const variance = sigma * sigma;
  const constant = log(sigma) + log(2 * PI) / 2;
  return {
    key: `gaussian ${rate} ${sigma}`,
    density: {
      loss: (x) => sampledLoss(rate, (x - 0.5) / variance),
      logUpper: (x, loss) => loss - (x * x) / (2 * variance) - constant,
      inverse: (loss) => variance * unsampledLoss(rate, loss) + 0.5,
      range: (logTail) => gaussianRange(0, 1, sigma, logTail),
      panel: (x) => gaussianPanel(x, 1, sigma),
    },
    atoms: noAtoms,
    infinity: 0,
    symmetric: rate === 1,
  };
}

/**
 * P = Σ w_j N(s_j, σ²), Q = N(0, σ²), s_j ≥ 0 rising: what one person moves is s_j with probability w_j.
 * @throws RangeError where the lists do not fit.
 */
export function gaussianMixturePair(
  sigma: number,
  sensitivities: readonly number[],
  probabilities: readonly number[],
  infinity = 0,
): LossPair {
  if (sensitivities.length === 0 || sensitivities.length !== probabilities.length)
    throw new RangeError('sensitivities must be as many as probabilities, and at least one');
  const variance = sigma * sigma;
  const constant = log(sigma) + log(2 * PI) / 2;
  const slopes = sensitivities.map((s) => s / variance);
  const offsets = sensitivities.map((s, j) => log(probabilities[j]!) - (s * s) / (2 * variance));
  const count = slopes.length;
  const most = Math.max(...sensitivities);
  const parts = new Float64Array(count);
  let [sum, weighted] = [0, 0];
  /** ln Σ e^{offset + slope x}; leaves the sums from which its derivative follows. */
  const loss = (x: number): number => {
    let largest = -Infinity;
    for (let j = 0; j < count; j++) {
      const part = offsets[j]! + slopes[j]! * x;
      parts[j] = part;
      if (part > largest) largest = part;
    }
    sum = 0;
    weighted = 0;
    for (let j = 0; j < count; j++) {
      const part = exp(parts[j]! - largest);
      sum += part;
      weighted += part * slopes[j]!;
    }
    return largest + log(sum);
  };
  const still = probabilities.reduce((total, w, j) => (sensitivities[j] === 0 ? total + w : total), 0);
  const leastLoss = still === 0 ? -Infinity : log(still);
  return {
    key: `mixture ${sigma} ${sensitivities.join(',')} ${probabilities.join(',')} ${infinity}`,
    density: {
      loss,
      logUpper: (x, at) => at - (x * x) / (2 * variance) - constant,
      // The loss is convex and rising in x, so Newton's steps from the right never pass the solution.
      inverse(target, from) {
        if (target <= leastLoss) return -Infinity;
        let x = from;
        for (let i = 0; i < 200; i++) {
          const step = ((loss(x) - target) * sum) / weighted;
          if (!(step > 1e-15 * Math.max(1, Math.abs(x)))) return x;
          x -= step;
        }
        return x;
      },
      range: (logTail) => gaussianRange(0, most, sigma, logTail),
      panel: (x) => gaussianPanel(x, most, sigma),
    },
    atoms: noAtoms,
    infinity,
    symmetric: sensitivities.every((s) => s === sensitivities[0]),
  };
}

/** P = (1 − q) N(0, σ²) + q N(1, σ²), Q = (1 − q) N(0, σ²) + q N(−1, σ²): one record for another. */
export function replacedGaussianPair(rate: number, sigma: number): LossPair {
  const variance = sigma * sigma;
  const constant = log(sigma) + log(2 * PI) / 2;
  const logRatio = 1 / (2 * variance) + log1p(-rate) - log(rate);
  const half = (x: number): number => sampledLoss(rate, (x - 0.5) / variance);
  return {
    key: `replaced ${rate} ${sigma}`,
    density: {
      loss: (x) => half(x) - half(-x),
      logUpper: (x) => half(x) - (x * x) / (2 * variance) - constant,
      inverse(loss) {
        if (rate === 1) return (variance * loss) / 2;
        const magnitude = Math.abs(loss);
        const logSinh = magnitude / 2 + log1p(-exp(-magnitude)) - Math.LN2;
        const grown = logRatio + logSinh;
        const inner = loss === 0 ? 0 : grown > 20 ? grown + Math.LN2 : asinh(exp(logRatio) * sinh(magnitude / 2));
        return variance * (sign(loss) * inner + loss / 2);
      },
      range: (logTail) => gaussianRange(-1, 1, sigma, logTail),
      panel: (x) => gaussianPanel(x, 2, sigma),
    },
    atoms: noAtoms,
    infinity: 0,
    symmetric: true,
  };
}

function gaussianRange(least: number, most: number, sigma: number, logTail: number) {
  const reach = sigma * normalReach(logTail);
  return { from: least - reach, to: most + reach };
}

/** A quarter of σ, or half a unit of the log density where that changes faster. */
function gaussianPanel(x: number, most: number, sigma: number): number {
  return Math.min(sigma / 4, (sigma * sigma) / (2 * (Math.abs(x) + most)));
}

/** Laplace noise of scale b on a sum that one unit moves by 1, Poisson-sampled. */
export function laplacePair(rate: number, scale: number): LossPair {
  const outer = log(0.5);
  return {
    key: `laplace ${rate} ${scale}`,
    density: {
      loss: (x) => sampledLoss(rate, (2 * x - 1) / scale),
      logUpper: (x, loss) => loss - x / scale - log(2 * scale),
      inverse: (loss) => (1 + scale * unsampledLoss(rate, loss)) / 2,
      range: () => ({ from: 0, to: 1 }),
      panel: () => Math.min(1 / 4, scale / 4),
    },
    atoms() {
      const [low, high] = [sampledLoss(rate, -1 / scale), sampledLoss(rate, 1 / scale)];
      return [
        { loss: low, logUpper: low + outer },
        { loss: high, logUpper: high + outer - 1 / scale },
      ];
    },
    infinity: 0,
    symmetric: rate === 1,
  };
}

/** The discrete Gaussian of variance parameter v on integers that one unit moves by a whole number, Poisson-sampled. */
export function discreteGaussianPair(rate: number, variance: number, sensitivity: number): LossPair {
  const logWeight = (n: number): number => -(n * n) / (2 * variance);
  const reach = Math.ceil(12 * sqrt(variance)) + 12;
  let total = 0;
  for (let n = reach; n >= 1; n--) total += 2 * exp(logWeight(n));
  const logTotal = log1p(total);
  return {
    key: `discrete gaussian ${rate} ${variance} ${sensitivity}`,
    density: null,
    atoms(logTail) {
      // ln of the tail beyond m is at most ln 2 − m²/2v + … for m ≥ 1; two units of reach more than cover the constants.
      const most = floor(sqrt(variance) * normalReach(logTail - 2)) + 2;
      return Array.from({ length: 2 * most + sensitivity + 1 }, (_, at) => {
        const n = at - most;
        const loss = sampledLoss(rate, (sensitivity * (2 * n - sensitivity)) / (2 * variance));
        return { loss, logUpper: loss + logWeight(n) - logTotal };
      });
    },
    infinity: 0,
    symmetric: rate === 1,
  };
}

/** What is known of a mechanism that is (ε, δ) and nothing else: Kairouz, Oh, Viswanath 2015 (arXiv:1311.0776). */
export function epsilonDeltaPair(epsilon: number, delta: number): LossPair {
  const high = log1p(-delta) - log1p(exp(-epsilon));
  return {
    key: `block ${epsilon} ${delta}`,
    density: null,
    atoms: () => [
      { loss: epsilon, logUpper: high },
      { loss: -epsilon, logUpper: high - epsilon },
    ],
    infinity: delta,
    symmetric: true,
  };
}
