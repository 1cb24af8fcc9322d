// Allowances as a window shows them: what stands at every ceiling, the step curve that led there and how long it lasts at
// the present pace. Numbers come from the budget's own functions; nothing is accounted here. Design 4, "Budgets".

import type { OutputOf } from '../../app/bridge.ts';
import { budgetReadings } from '../../app/privacy/budget.ts';
import type { Reading, ReservedCharge } from '../../app/privacy/budget.ts';
import { appliesTo, epsilonAtCeiling, costAtCeiling, shareOfCeiling } from '../../app/privacy/ceiling.ts';
import type { Ceiling } from '../../app/privacy/ceiling.ts';
import type { PrivacyEvent } from '../../app/privacy/events.ts';
import type { EntryWithHash } from '../../app/round/study-ledger.ts';
import { budgetOf } from './participant-ceilings.ts';

type Allowance = OutputOf<'budget.get'>[number];

/** Amounts that the forecast's pace is taken from. */
const paceOver = 10;

/** @param titleOf a study's title by its hash, where it is known here. */
export function allowances(
  entries: readonly EntryWithHash[],
  titleOf: (study: string) => string | null,
): OutputOf<'budget.get'> {
  const state = budgetOf(entries);
  const timeOf = (seq: number): string => entries[seq - 1]!.entry.time;
  return budgetReadings(state).map((reading) => {
    const { ceiling } = reading;
    const charges = state.charges.filter((charge) => appliesTo(ceiling, charge));
    const { curve, reserved } = curveOf(ceiling, charges, timeOf);
    return {
      kind: ceiling.kind,
      id: ceiling.id,
      label: labelOf(ceiling, titleOf),
      unit: ceiling.unit,
      epsilon: ceiling.epsilon,
      delta: ceiling.delta,
      used: charges.length === 0 ? 0 : finite(reading.used),
      share: reading.share === null ? null : finite(reading.share),
      reservedShare: reserved,
      forecast: forecastOf(reading, curve),
      curve,
    };
  });
}

/** What the ceiling that counts for a dataset reads, for the list of data; null where none is set. */
export function datasetReading(entries: readonly EntryWithHash[], name: string): Reading | null {
  const covers = ({ kind, datasets }: Ceiling): boolean =>
    kind === 'dataset' && (datasets === null || datasets.includes(name));
  return budgetReadings(budgetOf(entries)).find(({ ceiling }) => covers(ceiling)) ?? null;
}

function curveOf(
  ceiling: Ceiling,
  charges: readonly ReservedCharge[],
  timeOf: (seq: number) => string,
): { curve: Allowance['curve']; reserved: number | null } {
  const known = new Map<string, number>();
  const rdpOf = (event: PrivacyEvent): number => {
    const key = JSON.stringify(event);
    const rdp = known.get(key) ?? costAtCeiling(event, ceiling);
    known.set(key, rdp);
    return rdp;
  };
  let sum = 0;
  let open = 0;
  const curve = charges.map((charge) => {
    const event = charge.settled?.event ?? charge.event;
    const rdp = rdpOf(event);
    sum += rdp;
    if (charge.settled === null) open += rdp;
    const share = shareOfCeiling(sum, ceiling);
    return {
      seq: charge.seq,
      time: timeOf(charge.seq),
      study: charge.study,
      round: charge.round,
      state: charge.settled === null ? ('reserved' as const) : ('settled' as const),
      mechanism: event.mechanism,
      used: finite(epsilonAtCeiling(sum, ceiling)),
      share: share === null ? null : finite(share),
    };
  });
  const reserved = shareOfCeiling(open, ceiling);
  return { curve, reserved: reserved === null ? null : finite(reserved) };
}

function forecastOf({ share }: Reading, curve: Allowance['curve']): Allowance['forecast'] {
  const last = curve.at(-1);
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

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
