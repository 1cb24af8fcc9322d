// A ceiling: one RDP filter whose order α* is fixed when the ceiling is set, because studies are chosen after earlier
// results were seen and only a filter composes such choices. Feldman and Zrnic 2021 (arXiv:2008.11193); design 4,
// "A dataset ceiling is one RDP filter", "Budgets and consent", "Units".

import { RefusalError } from '../errors.ts';
import { delta as checkedDelta } from '../units.ts';
import type { Delta, PrivacyUnit } from '../units.ts';
import { chargeFacts, simpleEvents } from './events.ts';
import type { PrivacyEvent } from './events.ts';
import { rdpOfEvent } from './rdp-accountant.ts';
import { defaultOrders, epsilonAtOrder, rdpCapacity } from './rdp.ts';

export type CeilingKind = 'consent' | 'dataset' | 'policy';

/** Plain data, as it may be stored. */
export type Ceiling = {
  readonly kind: CeilingKind;
  readonly id: string;
  /** Contract hashes whose charges count; null: every study. */
  readonly studies: readonly string[] | null;
  /** Datasets whose charges count: all versions in the lineage, and those it shares persons with; null: every dataset. */
  readonly datasets: readonly string[] | null;
  /** The canonical unit of what is protected. */
  readonly unit: PrivacyUnit;
  /** null: "no bound", said so on purpose by whoever set the ceiling. */
  readonly epsilon: number | null;
  readonly delta: number;
  /** α*. */
  readonly order: number;
};

/**
 * A ceiling with its order chosen once: the order of dp-accounting's grid that leaves most room, as a multiple of
 * `planned` (a study's whole worst-case schedule) or, without one, as a number of unsampled Gaussian releases (their RDP
 * grows like α), the charge about which nothing else is known.
 * @throws RangeError for ε or δ; RefusalError when `planned` is not supported.
 */
export function setCeiling(wanted: Omit<Ceiling, 'order'>, planned: PrivacyEvent | null): Ceiling {
  const { epsilon } = wanted;
  const delta = checkedDelta(wanted.delta);
  if (epsilon !== null && !(epsilon >= 0 && Number.isFinite(epsilon)))
    throw new RangeError('epsilon must be a finite number ≥ 0, or null for no bound');
  let order = defaultOrders[0]!;
  let most = -Infinity;
  for (const candidate of epsilon === null ? [] : defaultOrders) {
    const capacity = rdpCapacity(candidate, epsilon!, delta);
    const cost = planned === null ? candidate : rdpInUnit(planned, candidate, wanted.unit);
    // Where nothing fits, dividing would turn the comparison round; the largest capacity is then the least far off.
    const room = capacity > 0 ? capacity / cost : capacity;
    if (room > most && (capacity > 0 || most <= 0)) [most, order] = [room, candidate];
  }
  return Object.freeze({ ...wanted, order });
}

export function appliesTo(ceiling: Ceiling, charge: { readonly study: string; readonly dataset: string }): boolean {
  return (
    (ceiling.studies === null || ceiling.studies.includes(charge.study)) &&
    (ceiling.datasets === null || ceiling.datasets.includes(charge.dataset))
  );
}

const remembered = new WeakMap<PrivacyEvent, Map<string, number>>();

/** RDP of a charge at the ceiling's order, in the ceiling's unit. @throws RefusalError as `rdpInUnit`. */
export function rdpAtCeiling(event: PrivacyEvent, ceiling: Ceiling): number {
  const key = `${ceiling.order} ${ceiling.unit}`;
  let known = remembered.get(event);
  if (known === undefined) remembered.set(event, (known = new Map()));
  let rdp = known.get(key);
  if (rdp === undefined) known.set(key, (rdp = rdpInUnit(event, ceiling.order, ceiling.unit)));
  return rdp;
}

/** ε that stands at a ceiling whose charges add up to `rdp`. */
export function epsilonAtCeiling(rdp: number, ceiling: Ceiling): number {
  return epsilonAtOrder(ceiling.order, rdp, ceiling.delta as Delta);
}

/** Part of the ceiling's capacity at α* that `rdp` uses: 0 before any charge, 1 when it is full; null for "no bound". */
export function shareOfCeiling(rdp: number, ceiling: Ceiling): number | null {
  if (ceiling.epsilon === null) return null;
  if (rdp === 0) return 0;
  const capacity = rdpCapacity(ceiling.order, ceiling.epsilon, ceiling.delta as Delta);
  return capacity > 0 ? rdp / capacity : Infinity;
}

const coarseness: { readonly [key in PrivacyUnit]: number } = { record: 0, person: 1, institution: 2 };

/**
 * A coarser event counts as replace-one in the finer unit: the clipped vector moves from one point of the ball to another,
 * at most 2 L̃ away.
 * @throws RefusalError `unit-finer-than-ceiling`, `coarser-unit-sampled`, or the accountant's own.
 */
function rdpInUnit(event: PrivacyEvent, order: number, unit: PrivacyUnit): number {
  const facts = chargeFacts(event);
  if (coarseness[facts.unit] < coarseness[unit])
    throw new RefusalError(
      'unit-finer-than-ceiling',
      `A study that protects each ${facts.unit} cannot be counted against a ceiling that protects each ${unit}; ask for a contract with the unit "${unit}".`,
    );
  if (facts.unit === unit) return rdpOfEvent(event, order);
  let total = 0;
  for (const { event: part, times } of simpleEvents(event)) {
    if (part.mechanism === 'sealed-gaussian-sum' && part.samplingRate !== 1)
      throw new RefusalError(
        'coarser-unit-sampled',
        `A sampled study that protects each ${facts.unit} cannot yet be counted against a ceiling that protects each ${unit}; ask for a contract with the unit "${unit}".`,
      );
    const moved = part.mechanism === 'sealed-gaussian-sum' ? { ...part, sensitivity: 2 * part.sensitivity } : part;
    total += times * rdpOfEvent(moved, order);
  }
  return total;
}
