// The PLD accountant: the exact loss distributions of everything composed, up to a grid on which it errs upwards. It
// describes one fixed schedule; what is chosen after results were seen goes through a filter (ceiling.ts). Spec: design 4.

import type { Adjacency, Delta } from '../units.ts';
import { accountant } from './accountant.ts';
import type { Accountant, Unsupported } from './accountant.ts';
import type { SealedGaussianSumEvent, SimpleEvent } from './events.ts';
import { gaussianDelta, gaussianEpsilon } from './gdp-accountant.ts';
import {
  discreteGaussianPair,
  epsilonDeltaPair,
  gaussianMixturePair,
  laplacePair,
  replacedGaussianPair,
  sampledGaussianPair,
} from './loss-pair.ts';
import type { LossPair } from './loss-pair.ts';
import { pldDelta, pldEpsilon } from './pld.ts';
import type { PairTimes, PldAnswer } from './pld.ts';
import { mostSamplingInstitutions, personInTooMany } from './rdp-mixture.ts';
import { samplerDistance, sealedLogRatio, sealedNoiseMultiplier } from './sealed-sum-loss.ts';

const { exp, log, log1p, sqrt } = Math;

export type PldAccountant = Accountant & {
  /** ε at δ with the grid it was computed on; the grid is null where a closed form was. */
  answer(delta: Delta): { readonly epsilon: number; readonly grid: Omit<PldAnswer, 'value'> | null };
};

type Spent = {
  /** 1/σ² of each unsampled Gaussian, rising: together they are one. */
  readonly squaredMus: readonly number[];
  readonly pairs: readonly PairTimes[];
  /** ln of the ratio of what was released to the pairs, either way (sealed sums). */
  readonly logRatio: number;
  /** Total variation distance of what was released to what is charged (the sampler's tables). */
  readonly distance: number;
};

const nothing: Spent = { squaredMus: [], pairs: [], logRatio: 0, distance: 0 };

export function pldAccountant(adjacency: Adjacency): PldAccountant {
  let total = nothing;
  const known = new Map<number, ReturnType<PldAccountant['answer']>>();
  const answer = (delta: Delta): ReturnType<PldAccountant['answer']> => {
    let found = known.get(delta);
    if (found === undefined) known.set(delta, (found = answerOf(total, delta)));
    return found;
  };
  const base = accountant<Spent>({
    name: 'pld',
    adjacency,
    unsupported: unsupportedByPld,
    prepare: spentBy,
    commit(prepared) {
      total = prepared.reduce(together, total);
      known.clear();
    },
    epsilon: (delta) => answer(delta).epsilon,
    delta: (epsilon) => deltaOf(total, epsilon),
  });
  return { ...base, answer };
}

export function unsupportedByPld(event: SimpleEvent): Unsupported | null {
  if (event.mechanism === 'fixed-size-sampled-gaussian')
    return {
      code: 'fixed-size-unsupported',
      sentence: 'The PLD accountant does not know batches of fixed size; use Poisson sampling, or RDP.',
    };
  if (event.mechanism === 'skellam')
    return {
      code: 'skellam-unsupported',
      sentence:
        'The PLD accountant does not know Skellam noise in many coordinates; use RDP, which takes it unsampled.',
    };
  if (
    (event.mechanism === 'laplace' || event.mechanism === 'discrete-gaussian') &&
    event.adjacency === 'replace-one' &&
    event.samplingRate !== 1
  )
    return {
      code: 'sampled-replace-one-unsupported',
      sentence: `The PLD accountant does not bound a sampled "${event.mechanism}" under replace-one neighbours; use add-or-remove.`,
    };
  if (
    event.mechanism === 'sealed-gaussian-sum' &&
    isMixture(event) &&
    event.institutionsPerPerson > mostSamplingInstitutions
  )
    return personInTooMany;
  return null;
}

/** Several institutions sample one person, each for itself, into one sum. */
const isMixture = (event: SealedGaussianSumEvent): boolean =>
  event.institutionsPerPerson > 1 && event.samplingRate !== 1 && event.honestShares > 1;

function together(left: Spent, right: Spent): Spent {
  const pairs = new Map(left.pairs.map((one) => [one.pair.key, one]));
  for (const { pair, times } of right.pairs)
    pairs.set(pair.key, { pair, times: times + (pairs.get(pair.key)?.times ?? 0) });
  return {
    squaredMus: [...left.squaredMus, ...right.squaredMus].sort((one, other) => one - other),
    // In the order of their names, so that the order of composing leaves no trace.
    pairs: [...pairs.values()].sort((one, other) => (one.pair.key < other.pair.key ? -1 : 1)),
    logRatio: left.logRatio + right.logRatio,
    distance: left.distance + right.distance,
  };
}

function spentBy(event: SimpleEvent, times: number): Spent {
  const releases = times * event.steps;
  const of = (pair: LossPair): Spent => ({ ...nothing, pairs: [{ pair, times: releases }] });
  // Replacing a unit moves a whole release twice as far.
  const moved = event.adjacency === 'replace-one' ? 2 : 1;
  switch (event.mechanism) {
    case 'gaussian':
      return { ...nothing, ...gaussianSpent(event.samplingRate, event.noiseMultiplier, releases, moved) };
    case 'laplace':
      return of(laplacePair(event.samplingRate, event.noiseMultiplier / moved));
    case 'discrete-gaussian':
      return of(discreteGaussianPair(event.samplingRate, event.variance, event.sensitivity * moved));
    case 'gaussian-mixture':
      return event.sensitivities.every((s) => s === 0)
        ? nothing
        : of(gaussianMixturePair(event.standardDeviation, event.sensitivities, event.probabilities));
    case 'epsilon-delta':
      return of(epsilonDeltaPair(event.epsilon, event.delta));
    case 'unbounded':
      return { ...nothing, squaredMus: [Infinity] };
    case 'sealed-gaussian-sum':
      return sealedSpent(event, releases);
    case 'skellam':
    case 'fixed-size-sampled-gaussian':
      throw new TypeError('event must be one that unsupportedByPld allows');
  }
}

function gaussianSpent(
  rate: number,
  sigma: number,
  releases: number,
  moved: number,
): Pick<Spent, 'squaredMus' | 'pairs'> {
  if (rate === 1) return { squaredMus: [releases * (moved / sigma) ** 2], pairs: [] };
  const pair = moved === 1 ? sampledGaussianPair(rate, sigma) : replacedGaussianPair(rate, sigma);
  return { squaredMus: [], pairs: [{ pair, times: releases }] };
}

function sealedSpent(event: SealedGaussianSumEvent, releases: number): Spent {
  const k = event.institutionsPerPerson;
  const multiplier = sealedNoiseMultiplier(event);
  // h = 1: a person in k institutions is in k releases. Else k vectors move in one sum: together, or as each is sampled.
  const count = event.honestShares === 1 ? k * releases : releases;
  const extra = { logRatio: count * sealedLogRatio(event), distance: count * samplerDistance(event) };
  if (isMixture(event))
    return {
      ...extra,
      squaredMus: [],
      pairs: [{ pair: binomialPair(multiplier, k, event.samplingRate), times: count }],
    };
  const sigma = event.honestShares === 1 ? multiplier : multiplier / k;
  return { ...extra, ...gaussianSpent(event.samplingRate, sigma, count, 1) };
}

/** Binomial(k, q) of k vectors move; outcomes rarer than 1e-40 count as infinite loss. */
export function binomialPair(sigma: number, k: number, rate: number): LossPair {
  const sensitivities: number[] = [];
  const probabilities: number[] = [];
  let rare = 0;
  let logProbability = k * log1p(-rate);
  for (let j = 0; j <= k; j++) {
    if (j > 0) logProbability += log((k - j + 1) / j) + log(rate) - log1p(-rate);
    if (logProbability < log(1e-40)) rare += exp(logProbability);
    else {
      sensitivities.push(j);
      probabilities.push(exp(logProbability));
    }
  }
  return gaussianMixturePair(sigma, sensitivities, probabilities, rare);
}

const muOf = ({ squaredMus }: Spent): number => sqrt(squaredMus.reduce((sum, one) => sum + one, 0));

/** All pairs, the unsampled Gaussians among them as one. */
function allPairs(spent: Spent): readonly PairTimes[] {
  const mu = muOf(spent);
  return mu === 0 ? spent.pairs : [...spent.pairs, { pair: sampledGaussianPair(1, 1 / mu), times: 1 }];
}

function gridEpsilon(spent: Spent, delta: number): ReturnType<PldAccountant['answer']> {
  if (delta <= 0) return { epsilon: Infinity, grid: null };
  if (spent.pairs.length === 0) return { epsilon: gaussianEpsilon(muOf(spent), delta as Delta), grid: null };
  const { value, ...grid } = pldEpsilon(allPairs(spent), delta);
  return { epsilon: value, grid };
}

/**
 * P̃ ≤ e^x P and Q ≤ e^x Q̃ pointwise, and both within the distance t of what was released: from P(S) ≤ e^ε Q(S) + δ follows
 * δ̃ = e^x δ + (1 + e^{ε + 2x}) t at ε + 2x.
 */
function answerOf(spent: Spent, delta: Delta): ReturnType<PldAccountant['answer']> {
  if (muOf(spent) === Infinity) return { epsilon: Infinity, grid: null };
  const { logRatio, distance } = spent;
  const at = (rest: number): ReturnType<PldAccountant['answer']> => {
    const { epsilon, grid } = gridEpsilon(spent, rest * exp(-logRatio));
    return { epsilon: epsilon + 2 * logRatio, grid };
  };
  const first = at(delta);
  if (distance === 0 || first.epsilon === Infinity) return first;
  // With room of 1 in ε for what the distance adds; where that is too little, nothing sensible is left.
  const charged = (1 + exp(first.epsilon + 1)) * distance;
  if (charged <= 1e-12 * delta) return at(delta * (1 - 1e-12));
  const second = at(delta - charged);
  return second.epsilon <= first.epsilon + 1 ? second : { epsilon: Infinity, grid: null };
}

function deltaOf(spent: Spent, epsilon: number): number {
  if (muOf(spent) === Infinity) return 1;
  const rest = epsilon - 2 * spent.logRatio;
  if (muOf(spent) === 0 && spent.pairs.length === 0 && spent.logRatio === 0 && spent.distance === 0) return 0;
  if (rest < 0) return 1;
  const plain = spent.pairs.length === 0 ? gaussianDelta(muOf(spent), rest) : pldDelta(allPairs(spent), rest).value;
  // e^ε may be beyond float64, and 0 times that is no number.
  const apart = spent.distance === 0 ? 0 : (1 + exp(epsilon)) * spent.distance;
  return Math.min(1, exp(spent.logRatio) * plain + apart);
}
