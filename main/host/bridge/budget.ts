// Allowances as a window shows them: what stands at every ceiling, the step curve that led there and how long it lasts at
// the present pace. Numbers come from the budget's own functions; nothing is accounted here. Design 4, "Budgets".

import type { OutputOf } from '../../../app/bridge.ts';
import { mostCurvePoints } from '../../../app/bridge.ts';
import { RefusalError } from '../../../app/errors.ts';
import { epsilonAtCeiling, shareOfCeiling } from '../../../app/privacy/ceiling.ts';
import type { Ceiling } from '../../../app/privacy/ceiling.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import type { Standing, Step } from './budget-book.ts';

type Allowance = OutputOf<'budget.get'>[number];
type CurvePoint = Allowance['curve'][number];

/** Amounts that the forecast's pace is taken from. */
const paceOver = 10;

/** @param titleOf a study's title by its hash, where it is known here. */
export function allowances(
  standings: readonly Standing[],
  entries: readonly EntryWithHash[],
  titleOf: (study: string) => string | null,
): OutputOf<'budget.get'> {
  return standings.map((standing) => {
    const { ceiling, steps } = standing;
    const reserved = shareOfCeiling(openCost(steps), ceiling);
    return {
      kind: ceiling.kind,
      id: ceiling.id,
      label: labelOf(ceiling, titleOf),
      unit: ceiling.unit,
      epsilon: ceiling.epsilon,
      delta: ceiling.delta,
      used: steps.length === 0 ? 0 : finite(standing.used),
      share: shareOrAll(standing.share),
      reservedShare: shareOrAll(reserved),
      forecast: forecastOf(
        standing,
        steps.slice(-(paceOver + 1)).map((step) => pointOf(step, ceiling, entries)),
      ),
      curve: thinned(steps).map((step) => pointOf(step, ceiling, entries)),
      amounts: steps.length,
    };
  });
}

/** The amounts of one ceiling, newest first. @throws RefusalError `ceiling-unknown`. */
export function amountsOf(
  standings: readonly Standing[],
  entries: readonly EntryWithHash[],
  { kind, id }: Pick<Ceiling, 'kind' | 'id'>,
  from: number,
  count: number,
): OutputOf<'budget.amounts'> {
  const standing = standings.find(({ ceiling }) => ceiling.kind === kind && ceiling.id === id);
  if (standing === undefined) throw new RefusalError('ceiling-unknown', 'The privacy log sets no such allowance.');
  const { ceiling, steps } = standing;
  const end = Math.max(0, steps.length - from);
  return {
    total: steps.length,
    rows: steps
      .slice(Math.max(0, end - count), end)
      .reverse()
      .map((step) => pointOf(step, ceiling, entries)),
  };
}

/** What the ceiling that counts for a dataset reads, for the list of data; null where none is set. */
export function datasetStanding(standings: readonly Standing[], name: string): Standing | null {
  const covers = ({ kind, datasets }: Ceiling): boolean =>
    kind === 'dataset' && (datasets === null || datasets.includes(name));
  return standings.find(({ ceiling }) => covers(ceiling)) ?? null;
}

function openCost(steps: readonly Step[]): number {
  let sum = 0;
  for (const { charge, cost } of steps) if (charge.settled === null) sum += cost;
  return sum;
}

function pointOf({ charge, sum }: Step, ceiling: Ceiling, entries: readonly EntryWithHash[]): CurvePoint {
  const share = shareOfCeiling(sum, ceiling);
  return {
    seq: charge.seq,
    time: entries[charge.seq - 1]!.entry.time,
    study: charge.study,
    round: charge.round,
    state: charge.settled === null ? 'reserved' : 'settled',
    mechanism: (charge.settled?.event ?? charge.event).mechanism,
    used: finite(epsilonAtCeiling(sum, ceiling)),
    share: shareOrAll(share),
  };
}

/** The first, the last, and as many evenly between them as a curve shows. */
function thinned(steps: readonly Step[]): readonly Step[] {
  if (steps.length <= mostCurvePoints) return steps;
  const last = steps.length - 1;
  return Array.from({ length: mostCurvePoints }, (_, at) => steps[Math.round((at * last) / (mostCurvePoints - 1))]!);
}

function forecastOf({ share }: Standing, curve: Allowance['curve']): Allowance['forecast'] {
  const last = curve.at(-1);
  if (share !== null && share >= 1 && last !== undefined) return { rounds: 0, at: last.time };
  const first = curve.at(-Math.min(curve.length, paceOver + 1));
  if (share === null || last === undefined || first === undefined || first === last) return null;
  const steps = Math.min(curve.length - 1, paceOver);
  const perRound = ((last.share ?? 0) - (first.share ?? 0)) / steps;
  const msPerRound = (Date.parse(last.time) - Date.parse(first.time)) / steps;
  if (!(perRound > 0) || !(msPerRound > 0)) return null;
  const rounds = Math.max(0, Math.floor((1 - share) / perRound + 1e-9));
  const at = Date.parse(last.time) + rounds * msPerRound;
  return Number.isFinite(at) && at < 8e15 ? { rounds, at: new Date(at).toISOString() } : null;
}

function labelOf({ kind, id, datasets }: Ceiling, titleOf: (study: string) => string | null): string {
  if (kind === 'consent') return titleOf(id) ?? id.slice(0, 8);
  return datasets === null ? id : datasets.join(', ');
}

/** A ceiling that was lowered below what its order can hold has no room at all: everything of it is used. */
const shareOrAll = (share: number | null): number | null =>
  share === null ? null : Number.isFinite(share) ? share : 1;

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
