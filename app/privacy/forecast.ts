// When a ceiling will be reached if a study goes on as it did: every next round needs room for its worst case, and then
// costs what rounds cost on average so far. A reading for people; what may be sent is decided by budget.ts alone.

import { budgetReadings } from './budget.ts';
import type { BudgetState } from './budget.ts';
import { appliesTo, costAtCeiling, shareOfCeiling } from './ceiling.ts';
import type { CeilingKind } from './ceiling.ts';
import type { PrivacyEvent } from './events.ts';

export type Forecast = {
  readonly ceiling: CeilingKind;
  readonly id: string;
  /** Rounds of the study that still fit. */
  readonly rounds: number;
  /** Number of the first round that would be refused. */
  readonly round: number;
  /** Milliseconds UTC at which that round would begin at the pace so far; null where there is no pace yet. */
  readonly at: number | null;
};

export type ForecastStudy = {
  /** Contract hash. */
  readonly study: string;
  readonly dataset: string;
  /** One round at the worst case. */
  readonly worstCase: PrivacyEvent;
  /** Rounds that the contract's attempts still allow. */
  readonly attemptsLeft: number;
  /** Number of the next round, where the study has charged none yet. */
  readonly firstRound: number;
};

/** Times of charges, milliseconds UTC: the pace is their mean distance. */
export type Pace = { readonly now: number; readonly charged: readonly number[] };

/** Sums of shares and the budget's own sums may differ by rounding. */
const slack = 1e-9;

/**
 * The ceiling that would stop the study first; null where all its attempts fit.
 * @throws RangeError for attempts below 0; RefusalError where a ceiling cannot count the study's events.
 */
export function forecast(state: BudgetState, study: ForecastStudy, pace: Pace): Forecast | null {
  if (!(study.attemptsLeft >= 0)) throw new RangeError('attemptsLeft must be at least 0');
  const own = state.charges.filter((charge) => charge.study === study.study);
  const next = own.reduce((most, { round }) => Math.max(most, round + 1), study.firstRound);
  let first: Forecast | null = null;
  for (const { ceiling, share } of budgetReadings(state)) {
    if (share === null || !appliesTo(ceiling, study)) continue;
    const cost = (event: PrivacyEvent): number => shareOfCeiling(costAtCeiling(event, ceiling), ceiling)!;
    const worst = cost(study.worstCase);
    const counted = own.filter((charge) => appliesTo(ceiling, charge));
    const total = counted.reduce((sum, charge) => sum + cost(charge.settled?.event ?? charge.event), 0);
    const usual = counted.length === 0 ? worst : total / counted.length;
    const room = 1 + slack - share - worst;
    const rounds = room >= 0 ? Math.floor(room / usual) + 1 : 0;
    if (rounds >= study.attemptsLeft || (first !== null && rounds >= first.rounds)) continue;
    first = { ceiling: ceiling.kind, id: ceiling.id, rounds, round: next + rounds, at: timeAfter(rounds, pace) };
  }
  return first;
}

function timeAfter(rounds: number, { now, charged }: Pace): number | null {
  if (charged.length < 2) return null;
  const [earliest, latest] = [Math.min(...charged), Math.max(...charged)];
  const between = (latest - earliest) / (charged.length - 1);
  return Math.max(now, latest + (rounds + 1) * between);
}
