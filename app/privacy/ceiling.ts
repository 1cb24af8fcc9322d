// A ceiling: one filter, fixed when the ceiling is set, because studies are chosen after earlier results were seen and
// only a filter composes such choices: RDP at one order α* (Feldman and Zrnic 2021, arXiv:2008.11193), or GDP for
// unsampled Gaussians (gdp-filter.ts). Design 4, "A dataset ceiling is one RDP filter", "Budgets and consent", "Units".

import { RefusalError } from '../errors.ts';
import { delta as checkedDelta } from '../units.ts';
import type { Delta, PrivacyUnit } from '../units.ts';
import { chargeFacts, simpleEvents } from './events.ts';
import type { PrivacyEvent } from './events.ts';
import { gdpCostCapacity, gdpCostOfEvent, gdpEpsilonOfCost } from './gdp-filter.ts';
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
  /** α* of the RDP filter; null: a GDP filter, which takes unsampled Gaussians only. */
  readonly order: number | null;
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
    const cost = planned === null ? candidate : costInUnit(planned, wanted.unit, (one) => rdpOfEvent(one, candidate));
    // Where nothing fits, dividing would turn the comparison round; the largest capacity is then the least far off.
    const room = capacity > 0 ? capacity / cost : capacity;
    if (room > most && (capacity > 0 || most <= 0)) [most, order] = [room, candidate];
  }
  return Object.freeze({ ...wanted, order });
}

/**
 * A ceiling that is a GDP filter: tighter than RDP, but every study under it must be unsampled.
 * @throws RangeError for ε or δ; RefusalError `unbounded-gdp-filter` for ε null.
 */
export function setGdpCeiling(wanted: Omit<Ceiling, 'order'>): Ceiling {
  checkedDelta(wanted.delta);
  if (wanted.epsilon === null)
    throw new RefusalError(
      'unbounded-gdp-filter',
      'A GDP filter needs an ε; "no bound" is said with the usual filter.',
    );
  if (!(wanted.epsilon >= 0 && Number.isFinite(wanted.epsilon)))
    throw new RangeError('epsilon must be a finite number ≥ 0');
  return Object.freeze({ ...wanted, order: null });
}

export function appliesTo(ceiling: Ceiling, charge: { readonly study: string; readonly dataset: string }): boolean {
  return (
    (ceiling.studies === null || ceiling.studies.includes(charge.study)) &&
    (ceiling.datasets === null || ceiling.datasets.includes(charge.dataset))
  );
}

const remembered = new WeakMap<PrivacyEvent, Map<string, number>>();

/**
 * What a charge takes of a ceiling, in the ceiling's unit and its filter's measure: RDP at α*, or μ² (gdp-filter.ts). Costs
 * of one ceiling add up.
 * @throws RefusalError `unit-finer-than-ceiling`, `coarser-unit-sampled`, `sampled-event-unsupported`, or the accountant's own.
 */
export function costAtCeiling(event: PrivacyEvent, ceiling: Ceiling): number {
  const { order, unit } = ceiling;
  const key = `${order ?? 'gdp'} ${unit}`;
  let known = remembered.get(event);
  if (known === undefined) remembered.set(event, (known = new Map()));
  let cost = known.get(key);
  if (cost === undefined) {
    const costOf = order === null ? gdpCostOfEvent : (one: PrivacyEvent): number => rdpOfEvent(one, order);
    known.set(key, (cost = costInUnit(event, unit, costOf)));
  }
  return cost;
}

/** ε that stands at a ceiling whose charges add up to `cost`. */
export function epsilonAtCeiling(cost: number, { order, delta }: Ceiling): number {
  return order === null ? gdpEpsilonOfCost(cost, delta as Delta) : epsilonAtOrder(order, cost, delta as Delta);
}

/** Part of the ceiling's capacity that `cost` uses: 0 before any charge, 1 when it is full; null for "no bound". */
export function shareOfCeiling(cost: number, ceiling: Ceiling): number | null {
  if (ceiling.epsilon === null) return null;
  if (cost === 0) return 0;
  const capacity = capacityOfCeiling(ceiling.epsilon, ceiling);
  return capacity > 0 ? cost / capacity : Infinity;
}

function capacityOfCeiling(epsilon: number, { order, delta }: Ceiling): number {
  return order === null ? gdpCostCapacity(epsilon, delta as Delta) : rdpCapacity(order, epsilon, delta as Delta);
}

const coarseness: { readonly [key in PrivacyUnit]: number } = { record: 0, person: 1, institution: 2 };

/**
 * A coarser event counts as replace-one in the finer unit: the clipped vector moves from one point of the ball to another,
 * at most 2 L̃ away.
 */
function costInUnit(event: PrivacyEvent, unit: PrivacyUnit, costOf: (event: PrivacyEvent) => number): number {
  const facts = chargeFacts(event);
  if (coarseness[facts.unit] < coarseness[unit])
    throw new RefusalError(
      'unit-finer-than-ceiling',
      `A study that protects each ${facts.unit} cannot be counted against a ceiling that protects each ${unit}; ask for a contract with the unit "${unit}".`,
    );
  if (facts.unit === unit) return costOf(event);
  let total = 0;
  for (const { event: part, times } of simpleEvents(event)) {
    if (part.mechanism === 'sealed-gaussian-sum' && part.samplingRate !== 1)
      throw new RefusalError(
        'coarser-unit-sampled',
        `A sampled study that protects each ${facts.unit} cannot yet be counted against a ceiling that protects each ${unit}; ask for a contract with the unit "${unit}".`,
      );
    const moved = part.mechanism === 'sealed-gaussian-sum' ? { ...part, sensitivity: 2 * part.sensitivity } : part;
    total += times * costOf(moved);
  }
  return total;
}
