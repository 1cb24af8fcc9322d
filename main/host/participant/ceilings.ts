// Privacy ceilings of this institution, kept in its ledger: each is written whole, with its fixed order α*, when it is
// set, so that a restart finds the very same ones without asking a clock or a policy file. Design 4, "Budgets and consent".

import { InvariantError, RefusalError } from '../../../app/errors.ts';
import { rebuildBudget, withCeiling, wouldExceed } from '../../../app/privacy/budget.ts';
import type { BudgetEntry, BudgetState } from '../../../app/privacy/budget.ts';
import { setCeiling, setGdpCeiling } from '../../../app/privacy/ceiling.ts';
import type { Ceiling } from '../../../app/privacy/ceiling.ts';
import type { PrivacyUnit } from '../../../app/units.ts';
import { chargedDelta } from '../../../app/review/privacy-figures.ts';
import { scheduleEvent, worstCaseEvent } from '../../../app/round/charge.ts';
import type { EntryWithHash, LedgerWriter } from '../../../app/round/study-ledger.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { datasetCeiling } from '../../../app/study/policy.ts';
import type { Policy } from '../../../app/study/policy.ts';

const settingName = 'privacy-ceiling';

export type CeilingReason = 'consent' | 'policy' | 'first-consent' | 'steward' | 'lineage';

/** Ledger entry `settings-changed` that sets one ceiling; its members lie flat, so that the report says them. */
export async function writeCeiling(writer: LedgerWriter, ceiling: Ceiling, because: CeilingReason): Promise<void> {
  const { kind, id, studies, datasets, unit, epsilon, delta, order } = ceiling;
  await writer.append('settings-changed', {
    setting: settingName,
    because,
    kind,
    id,
    studies: studies === null ? null : [...studies],
    datasets: datasets === null ? null : [...datasets],
    unit,
    epsilon,
    delta,
    order,
  });
}

/** The ceilings in force, in the order in which they were last set. @throws RefusalError as withCeiling. */
export function ceilingsFrom(entries: Iterable<EntryWithHash>): readonly Ceiling[] {
  return budgetOf(entries).ceilings;
}

/** Budget of all studies from all entries. */
export function budgetOf(entries: Iterable<EntryWithHash>): BudgetState {
  let ceilings: BudgetState = rebuildBudget([], []);
  const charges: BudgetEntry[] = [];
  for (const { entry } of entries) {
    const { kind, seq } = entry;
    if (kind === 'budget-reserved' || kind === 'budget-settled')
      charges.push({ seq, kind, body: entry.body } as BudgetEntry);
    if (kind !== 'settings-changed' || entry.body['setting'] !== settingName) continue;
    ceilings = withCeiling(ceilings, ceilingOf(entry.body));
  }
  return rebuildBudget(ceilings.ceilings, charges);
}

/** Written only by writeCeiling and covered by the hash chain, so a wrong shape is a defect. */
function ceilingOf(body: { readonly [name: string]: unknown }): Ceiling {
  const { kind, id, studies, datasets, unit, epsilon, delta, order } = body as Partial<Ceiling>;
  if (
    kind === undefined ||
    id === undefined ||
    studies === undefined ||
    datasets === undefined ||
    unit === undefined ||
    epsilon === undefined ||
    delta === undefined ||
    order === undefined
  )
    throw new InvariantError('ceiling-malformed', 'A privacy ceiling in the ledger cannot be read.');
  return Object.freeze({ kind, id, studies, datasets, unit, epsilon, delta, order });
}

export type WantedCeilings = {
  readonly contract: Contract;
  readonly study: string;
  readonly dataset: string;
  /** Every dataset name of its lineage, its own among them: one allowance counts for all. */
  readonly lineage: readonly string[];
  /** ε of this consent; null: no noise. */
  readonly epsilon: number | null;
  /** ε of the dataset across all studies where a steward names it. */
  readonly datasetEpsilon: number | null;
  /** Filter of a dataset ceiling that is first set: RDP unless a steward wants only unsampled studies there. */
  readonly datasetFilter?: DatasetFilter | null;
  readonly policy: Policy | null;
};

export type DatasetFilter = 'rdp' | 'gdp';

export type ChosenCeiling = { readonly ceiling: Ceiling; readonly because: CeilingReason };

/**
 * The ceilings that a consent sets. A lineage's stand once they are set, unless policy or steward name another ε for it;
 * a lineage that was joined from several keeps the ceilings of all, and each counts what any of its datasets spent.
 * @throws RefusalError `policy-epsilon-per-dataset` where a steward asks for more than the policy allows; `ceiling-fixed`
 * for another filter than stands, `unbounded-gdp-filter` without an ε.
 */
export function wantedCeilings(state: BudgetState, wanted: WantedCeilings): ChosenCeiling[] {
  const { contract, study, dataset, lineage, epsilon } = wanted;
  const planned = contract.privacy.noise === 'none' ? null : scheduleEvent(contract);
  const shared: { readonly unit: PrivacyUnit; readonly delta: number } = {
    unit: contract.training.unit,
    delta: chargedDelta(contract),
  };
  const standing = state.ceilings.filter((one) => one.kind === 'dataset' && covers(one, lineage));
  // What was counted once stays counted: a ceiling's datasets only grow.
  const datasets = [...new Set([...standing.flatMap((one) => one.datasets ?? []), ...lineage])];
  requireFilter(standing, wanted.datasetFilter ?? null);
  const make = (kind: 'consent' | 'dataset', id: string, studies: string[] | null, limit: number | null): Ceiling => {
    const terms = { kind, id, studies, datasets, epsilon: limit, ...shared };
    return kind === 'dataset' && wanted.datasetFilter === 'gdp' ? setGdpCeiling(terms) : setCeiling(terms, planned);
  };
  const consent = state.ceilings.find((one) => one.kind === 'consent' && one.id === study);
  const chosen: ChosenCeiling[] = [
    {
      // Order, δ and unit are fixed when a ceiling is first set; only its ε may change.
      ceiling:
        consent === undefined
          ? make('consent', study, [study], epsilon)
          : Object.freeze({ ...consent, epsilon, datasets: grown(consent.datasets, datasets) }),
      because: 'consent',
    },
  ];
  const { limit, because } = datasetLimit(wanted);
  if (standing.length === 0) chosen.push({ ceiling: make('dataset', dataset, null, limit), because });
  for (const one of standing) {
    const next = because === 'first-consent' ? one.epsilon : limit;
    if (next === one.epsilon && datasets.every((name) => one.datasets === null || one.datasets.includes(name)))
      continue;
    const ceiling = Object.freeze({ ...one, epsilon: next, datasets: grown(one.datasets, datasets) });
    chosen.push({ ceiling, because: next === one.epsilon ? 'lineage' : because });
  }
  return chosen;
}

function requireFilter(standing: readonly Ceiling[], filter: DatasetFilter | null): void {
  if (filter === null || standing.every((one) => (one.order === null) === (filter === 'gdp'))) return;
  throw new RefusalError(
    'ceiling-fixed',
    'These records already have a ceiling of the other kind, and its kind is fixed. Leave --dataset-filter out.',
  );
}

const covers = (ceiling: Ceiling, names: readonly string[]): boolean =>
  ceiling.datasets === null || names.some((name) => ceiling.datasets!.includes(name));

const grown = (before: readonly string[] | null, more: readonly string[]): readonly string[] | null =>
  before === null ? null : [...new Set([...before, ...more])];

/** The ceilings of a dataset's lineage. */
export function datasetCeilings(state: BudgetState, dataset: string): readonly Ceiling[] {
  return state.ceilings.filter((one) => one.kind === 'dataset' && covers(one, [dataset]));
}

/** The least that IT allows for any name of the lineage; null where it says nothing. */
function allowedByPolicy(policy: Policy | null, names: readonly string[]): number | null {
  if (policy === null) return null;
  const limits = names.map((name) => datasetCeiling(policy, name)).filter((limit) => limit !== null);
  return limits.length === 0 ? null : Math.min(...limits);
}

function datasetLimit(wanted: WantedCeilings): { limit: number | null; because: CeilingReason } {
  const { policy, dataset, lineage, epsilon, datasetEpsilon } = wanted;
  const allowed = allowedByPolicy(policy, lineage);
  if (datasetEpsilon !== null) {
    if (allowed !== null && datasetEpsilon > allowed)
      throw new RefusalError(
        'policy-epsilon-per-dataset',
        `The policy allows the dataset "${dataset}" ε = ${allowed} across all studies; ${datasetEpsilon} was asked for.`,
      );
    return { limit: datasetEpsilon, because: 'steward' };
  }
  return allowed === null ? { limit: epsilon, because: 'first-consent' } : { limit: allowed, because: 'policy' };
}

/** A policy that changed since: the ceilings of the dataset's lineage that IT now allows less. */
export function policyCeilings(state: BudgetState, policy: Policy | null, dataset: string): readonly Ceiling[] {
  return datasetCeilings(state, dataset).flatMap((standing) => {
    const allowed = allowedByPolicy(policy, standing.datasets ?? [dataset]);
    if (allowed === null || (standing.epsilon !== null && standing.epsilon <= allowed)) return [];
    return [Object.freeze({ ...standing, epsilon: allowed })];
  });
}

/**
 * Whether the whole schedule fits under every ceiling together with what is spent already; every attempt is charged to
 * a round number that no charge has.
 * @throws RefusalError `budget-exceeded`.
 */
export function requireRoom(state: BudgetState, contract: Contract, study: string, dataset: string): void {
  const spent = state.charges.filter((one) => one.study === study).length;
  const planned = contract.privacy.noise === 'none' ? contract.schedule.attempts : scheduleEvent(contract).times;
  const left = Math.max(0, planned - spent);
  if (left === 0) return;
  const event =
    contract.privacy.noise === 'none'
      ? worstCaseEvent(contract)
      : ({ mechanism: 'repeated', event: worstCaseEvent(contract), times: left } as const);
  const round = 1 + state.charges.reduce((most, one) => Math.max(most, one.round), 0);
  const excess = wouldExceed(state, { study, round, dataset, event });
  if (excess === null) return;
  throw new RefusalError(
    'budget-exceeded',
    `With this study the ${excess.ceiling} ceiling of ε = ${excess.limit} would be exceeded (ε = ${excess.wouldBe.toPrecision(3)} in the worst case). Refuse the study, or raise the ceiling on purpose: --epsilon or --dataset-epsilon.`,
  );
}
