// Composes privacy losses by Fourier transform and reads ε(δ) or δ(ε) off the sum. The masses are tilted by e^{θ·loss}
// first, so that the part of the sum that δ depends on is its middle, and rounding stays small relative to δ however
// small δ is. What lies beyond the transform's window is bounded by Chernoff and counted as infinite loss. Gopi, Lee,
// Wutschitz 2021 (arXiv:2106.02848), section 5; Koskela, Jälkö, Prediger, Honkela 2021 (arXiv:2102.12412).

import { multiplyByPower, sequenceOf, spectrumOf } from './fft.ts';
import type { Spectrum } from './fft.ts';
import type { Losses } from './loss-grid.ts';

const { ceil, exp, expm1, floor, log, log1p, max, min, round, sqrt } = Math;

/** Losses of one release that happened `times` times. Within one sum all have one spacing. */
export type Part = { readonly losses: Losses; readonly times: number };

/**
 * ln of the tilted mass outside a window on either side. Above, it is charged to δ, at the weight of the window's end;
 * from below it comes round to the largest losses, where it can only add.
 */
const logOutside = -25;

type Tilted = { readonly logMoment: number; readonly mean: number; readonly variance: number };

/** ln Σ e^{θ·loss}·mass, and mean and variance of the loss under those weights. */
function tilted({ spacing, first, logMass }: Losses, theta: number): Tilted {
  const rate = theta * spacing;
  const count = logMass.length;
  let largest = -Infinity;
  for (let i = 0; i < count; i++) {
    const here = logMass[i]! + rate * i;
    if (here > largest) largest = here;
  }
  let [sum, moment, square] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const weight = exp(logMass[i]! + rate * i - largest);
    sum += weight;
    moment += weight * i;
    square += weight * i * i;
  }
  const mean = moment / sum;
  return {
    logMoment: largest + log(sum) + rate * first,
    mean: (first + mean) * spacing,
    variance: max(0, square / sum - mean * mean) * spacing * spacing,
  };
}

function total(parts: readonly Part[], theta: number): Tilted {
  let [logMoment, mean, variance] = [0, 0, 0];
  for (const { losses, times } of parts) {
    const one = tilted(losses, theta);
    logMoment += times * one.logMoment;
    mean += times * one.mean;
    variance += times * one.variance;
  }
  return { logMoment, mean, variance };
}

/** The largest loss that the sum can have, short of infinity. */
export function largestLoss(parts: readonly Part[]): number {
  return parts.reduce(
    (sum, { losses: { first, logMass, spacing }, times }) => sum + times * (first + logMass.length - 1) * spacing,
    0,
  );
}

/** 1 − Π (1 − m)^times: the chance that some release's loss is infinite. */
export function infiniteMass(parts: readonly Part[]): number {
  return -expm1(parts.reduce((sum, { losses, times }) => sum + times * log1p(-min(1, losses.infinity)), 0));
}

/** What a composition is asked for; the tilt and window are laid where the answer is. */
export type Question = { readonly delta: number } | { readonly epsilon: number };

export type Plan = {
  readonly theta: number;
  /** Losses of the sum outside which the tilted mass is at most e^logOutside. */
  readonly from: number;
  readonly to: number;
  /** δ in logarithms, and ε, to be expected: upper bounds but for the grid they were found on. */
  readonly logDelta: number;
  readonly epsilon: number;
  /** Steps away from θ at which the bounds of the window are best. */
  readonly below: number;
  readonly above: number;
};

const mostTilt = 1e7;

/** Where the answer lies, from losses on any grids (one for each part), also coarse ones. */
export function planFor(parts: readonly Part[], question: Question): Plan {
  const cost = (theta: number): number => {
    const { logMoment } = total(parts, theta);
    // The RDP of order θ + 1 is logMoment / θ: its conversion to (ε, δ), or Chernoff's bound.
    return 'delta' in question
      ? (logMoment - log(question.delta) - log1p(theta)) / theta + log(theta / (theta + 1))
      : logMoment - theta * question.epsilon;
  };
  const theta = leastAt(cost);
  return { theta, ...windowAt(parts, theta, cost, question) };
}

/** The tilt whose cost is least, to a per cent: it decides accuracy and speed, never correctness. */
function leastAt(cost: (theta: number) => number): number {
  let best = 1;
  let least = cost(1);
  for (const factor of [4, 1 / 4]) {
    for (let theta = factor; theta < mostTilt && theta > 1e-6; theta *= factor) {
      const here = cost(theta);
      if (!(here < least)) break;
      [best, least] = [theta, here];
    }
  }
  for (let factor = 2; factor > 1.02; factor = sqrt(factor)) {
    for (const theta of [best * factor, best / factor]) {
      const here = cost(theta);
      if (here < least) [best, least] = [theta, here];
    }
  }
  return best;
}

function windowAt(parts: readonly Part[], theta: number, cost: (theta: number) => number, question: Question) {
  const centre = total(parts, theta);
  // Where all but one loss has been tilted away, the grid is the finest there is.
  const finest = Math.min(...parts.map(({ losses: { spacing } }) => spacing));
  const step = sqrt(-2 * logOutside) / max(sqrt(centre.variance), finest / 10);
  const reach = (shift: number): number =>
    (total(parts, theta + shift).logMoment - centre.logMoment - logOutside) / shift;
  let [above, to, below, from] = [step, reach(step), step, reach(-step)];
  for (let factor = 1 / 8; factor <= 8; factor *= sqrt(2)) {
    const up = reach(step * factor);
    if (up < to) [above, to] = [step * factor, up];
    const down = reach(-step * factor);
    if (down > from) [below, from] = [step * factor, down];
  }
  const answer = cost(theta);
  const expected =
    'delta' in question
      ? { logDelta: log(question.delta), epsilon: max(0, answer) }
      : { logDelta: answer, epsilon: question.epsilon };
  return { from, to, below, above, ...expected };
}

/** The sum's masses from its largest loss down, as P has them. */
export type Composed = {
  readonly spacing: number;
  /** Grid place of the last, largest loss. */
  readonly last: number;
  /** Masses by falling loss. */
  readonly mass: (down: number) => number;
  readonly count: number;
  readonly infinity: number;
};

/**
 * The distribution of the sum of all losses, at least as large as it is.
 * @param parts on one grid.
 */
export function composed(parts: readonly Part[], plan: Plan): Composed {
  const { spacing } = parts[0]!.losses;
  if (parts.length === 1 && parts[0]!.times === 1) return single(parts[0]!.losses);
  const { theta } = plan;
  const ends = parts.map(({ losses, times }) => ({ losses, times, ...tilted(losses, theta) }));
  const logMoment = ends.reduce((sum, part) => sum + part.times * part.logMoment, 0);
  const at = (shift: number): number => total(parts, theta + shift).logMoment - logMoment;
  const to = min(largestLoss(parts), (at(plan.above) - logOutside) / plan.above);
  const from = min(to, (at(-plan.below) - logOutside) / -plan.below);
  const low = floor(from / spacing);
  const high = ceil(to / spacing);
  const length = 2 ** max(2, ceil(Math.log2(high - low + 1)));
  let product: Spectrum | null = null;
  let base = 0;
  for (const part of ends) {
    // Around its mean the part's transform turns slowly, and its powers lose little to rounding.
    const middle = round(part.mean / spacing);
    base += part.times * middle;
    const folded = new Float64Array(length);
    const { first, logMass } = part.losses;
    for (let i = 0; i < logMass.length; i++) {
      const place = (((first + i - middle) % length) + length) % length;
      folded[place] = folded[place]! + exp(logMass[i]! + theta * (first + i) * spacing - part.logMoment);
    }
    const spectrum = spectrumOf(folded);
    product ??= { re: new Float64Array(length / 2 + 1).fill(1), im: new Float64Array(length / 2 + 1) };
    multiplyByPower(product, spectrum, part.times);
  }
  const sequence = sequenceOf(product!);
  return {
    spacing,
    last: high,
    mass(down) {
      const loss = high - down;
      const place = (((loss - base) % length) + length) % length;
      // Rounding leaves values around zero; a negative mass would lower δ.
      return max(0, sequence[place]!) * exp(logMoment - theta * loss * spacing);
    },
    count: high - low + 1,
    // Beyond the window: at most e^logOutside of the tilted mass, at losses above its end.
    infinity: infiniteMass(parts) + (to < largestLoss(parts) ? exp(logOutside + logMoment - theta * to) : 0),
  };
}

function single({ spacing, first, logMass, infinity }: Losses): Composed {
  const count = logMass.length;
  return { spacing, last: first + count - 1, count, infinity, mass: (down) => exp(logMass[count - 1 - down]!) };
}

/** δ(ε): the masses above ε, weighted by 1 − e^{ε − loss}. */
export function deltaOfComposed({ spacing, last, count, mass, infinity }: Composed, epsilon: number): number {
  let delta = infinity;
  for (let down = 0; down < count; down++) {
    const loss = (last - down) * spacing;
    if (loss <= epsilon) break;
    delta -= mass(down) * expm1(epsilon - loss);
  }
  return min(1, delta);
}

/** ε(δ), and whether the window held it: if not, the value is a bound that a smaller tilt may better. */
export function epsilonOfComposed(
  { spacing, last, count, mass, infinity }: Composed,
  delta: number,
): { readonly epsilon: number; readonly found: boolean } {
  if (infinity > delta) return { epsilon: Infinity, found: true };
  const decay = exp(-spacing);
  // Of the masses from here up: their sum, and Q's sum times e^{this loss}.
  let [upper, lower] = [infinity, 0];
  for (let down = 0; down < count; down++) {
    const loss = (last - down) * spacing;
    const here = mass(down);
    upper += here;
    lower = lower * decay + here;
    if (upper - decay * lower >= delta) {
      const epsilon = loss + log((upper - delta) / lower);
      return { epsilon: max(0, min(loss, epsilon)), found: true };
    }
    if (loss - spacing <= 0) {
      const epsilon = upper > delta && lower > 0 ? loss + log((upper - delta) / lower) : 0;
      return { epsilon: max(0, min(loss, epsilon)), found: true };
    }
  }
  return { epsilon: max(0, (last - count + 1) * spacing), found: false };
}
