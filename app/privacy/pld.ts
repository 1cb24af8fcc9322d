// ε(δ) and δ(ε) of composed dominating pairs by privacy loss distributions: chooses the grid, composes both directions,
// takes the worse. Pessimistic throughout. Spec: design 4, "Accountants".

import {
  composed,
  deltaOfComposed,
  epsilonOfComposed,
  infiniteMass,
  largestLoss,
  planFor,
} from './loss-composition.ts';
import type { Part, Plan, Question } from './loss-composition.ts';
import { gridLosses, losses, lossRange, reversedLosses } from './loss-grid.ts';
import type { GridLosses, Losses } from './loss-grid.ts';
import type { LossPair } from './loss-pair.ts';

const { exp, log, log1p, max, min } = Math;

export type PairTimes = { readonly pair: LossPair; readonly times: number };

export type PldAnswer = {
  readonly value: number;
  /** Spacing d of the losses' grid. */
  readonly discretisation: number;
  /** How much ε may be too large because of the grid: (1 + θ)·releases·d²/8, θ being the tilt. */
  readonly looseness: number;
};

/** d unless there is a reason. */
export const defaultDiscretisation = 1e-4;
/** Coarser while ε loses at most this, where the sum is long; finer where 1e-4 loses more. */
const fineEnough = (epsilon: number): number => max(2.5e-4, 1e-5 * epsilon);
const comfortable = 2 ** 16;
const longest = 2 ** 21;
/** ln of the part of δ that goes to what is cut off each release. */
const logCut = log(1e-8);
const coarseCells = 512;

type Direction = { readonly name: 'forward' | 'reverse'; readonly of: (grid: GridLosses) => Losses };
const forward: Direction = { name: 'forward', of: losses };
const reverse: Direction = { name: 'reverse', of: reversedLosses };

const remembered = new Map<string, GridLosses>();
const mostRemembered = 24;

function gridOf(pair: LossPair, spacing: number, logTail: number): GridLosses {
  const key = `${pair.key} ${spacing} ${logTail}`;
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const made = gridLosses(pair, spacing, logTail);
  if (remembered.size >= mostRemembered) remembered.delete(remembered.keys().next().value!);
  remembered.set(key, made);
  return made;
}

/** Whole numbers of nepers, so that questions about nearly the same δ share their grids. */
const logTailFor = (logDelta: number, releases: number): number =>
  8 * Math.floor((max(logDelta, log(Number.MIN_VALUE)) + logCut - log(releases)) / 8);

type Planned = { readonly plan: Plan; readonly logTail: number; readonly releases: number };

/** @param logDelta ln of the δ that the cut must be small against. */
function planned(pairs: readonly PairTimes[], direction: Direction, question: Question, logDelta: number): Planned {
  const releases = pairs.reduce((sum, { times }) => sum + times, 0);
  const logTail = logTailFor(logDelta, releases);
  const coarse = pairs.map(({ pair, times }) => {
    const { least, most } = lossRange(pair, logTail);
    return { losses: direction.of(gridOf(pair, max(most - least, 1e-12) / coarseCells, logTail)), times };
  });
  return { logTail, plan: planFor(coarse, question), releases };
}

/** The spacing for one direction; powers of two away from 1e-4. */
function spacingFor(pairs: readonly PairTimes[], plan: Plan, logTail: number, releases: number): number {
  const widest = max(
    plan.to - plan.from,
    ...pairs.map(({ pair }) => {
      const { least, most } = lossRange(pair, logTail);
      return most - least;
    }),
  );
  const loose = (d: number): number => loosenessOf(plan, releases, d);
  const enough = fineEnough(plan.epsilon);
  let d = defaultDiscretisation;
  while (loose(d) > enough && widest / (d / 2) <= longest / 2) d /= 2;
  while (widest / d > comfortable && loose(2 * d) <= enough) d *= 2;
  while (widest / d > longest) d *= 2;
  return d;
}

const loosenessOf = (plan: Plan, releases: number, d: number): number => ((1 + plan.theta) * releases * d * d) / 8;

type Laid = Omit<PldAnswer, 'value'> & { readonly parts: readonly Part[] };

function laid(
  pairs: readonly PairTimes[],
  direction: Direction,
  { plan, logTail, releases }: Planned,
  coarser: number,
): Laid {
  const discretisation = coarser * spacingFor(pairs, plan, logTail, releases);
  return {
    discretisation,
    looseness: loosenessOf(plan, releases, discretisation),
    parts: pairs.map(({ pair, times }) => ({ losses: direction.of(gridOf(pair, discretisation, logTail)), times })),
  };
}

/** What rounding may lose, relative to δ: each squaring of a spectrum doubles its error. */
const roundingOf = (releases: number): number => 1e-10 + releases * 1e-15;

function epsilonOf(pairs: readonly PairTimes[], direction: Direction, coarser: number, delta: number): PldAnswer {
  const outline = planned(pairs, direction, { delta }, log(delta));
  const { parts, ...grid } = laid(pairs, direction, outline, coarser);
  const { plan, releases } = outline;
  for (let theta = plan.theta; ; theta = theta > 0.05 ? theta / 4 : 0) {
    // Where the answer lies below the window, a smaller tilt moves the window down.
    const sum = composed(parts, { ...plan, theta });
    const { epsilon, found } = epsilonOfComposed(sum, delta / (1 + roundingOf(releases)));
    if (found || theta === 0) return { value: epsilon, ...grid };
  }
}

function deltaOf(pairs: readonly PairTimes[], direction: Direction, coarser: number, epsilon: number): PldAnswer {
  // How small δ will be is known only afterwards: while the cut is a part of it, cut less.
  for (let logDelta = log(1e-12); ;) {
    const outline = planned(pairs, direction, { epsilon }, logDelta);
    const { parts, ...grid } = laid(pairs, direction, outline, coarser);
    const { plan, releases, logTail } = outline;
    const delta = epsilon >= largestLoss(parts) ? infiniteMass(parts) : deltaOfComposed(composed(parts, plan), epsilon);
    const own = 1 - exp(pairs.reduce((sum, { pair, times }) => sum + times * log1p(-pair.infinity), 0));
    if (releases * exp(logTail) <= 1e-7 * delta || delta <= own * (1 + 1e-6) || logDelta <= log(1e-300))
      return { value: min(1, delta * (1 + roundingOf(releases))), ...grid };
    logDelta = min(logDelta - 40, plan.logDelta - 20);
  }
}

/** How much coarser the grid may be on which the second direction is found not to matter. */
const glance = 8;

/** Of both directions the worse. On any grid the answer is an upper bound: a coarse one often settles the second. */
function worst(pairs: readonly PairTimes[], answer: (direction: Direction, coarser: number) => PldAnswer): PldAnswer {
  const first = answer(forward, 1);
  if (pairs.every(({ pair }) => pair.symmetric) || answer(reverse, glance).value <= first.value) return first;
  const second = answer(reverse, 1);
  return second.value > first.value ? second : first;
}

/** The smallest ε known at δ for all releases together; Infinity when nothing bounds it. @param delta in (0, 1). */
export function pldEpsilon(pairs: readonly PairTimes[], delta: number): PldAnswer {
  return worst(pairs, (direction, coarser) => epsilonOf(pairs, direction, coarser, delta));
}

/** The smallest δ known at ε ≥ 0 for all releases together. */
export function pldDelta(pairs: readonly PairTimes[], epsilon: number): PldAnswer {
  return worst(pairs, (direction, coarser) => deltaOf(pairs, direction, coarser, epsilon));
}
