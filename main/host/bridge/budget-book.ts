// The budget's entries as windows read them: charges and what they add up to at every ceiling, taken up from the log as it
// grows, in slices, so that neither a long log nor a new charge holds anything up. Only a view: the guard rebuilds its own
// budget and checks every entry. Design 4, "Budgets".

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ReservedCharge } from '../../../app/privacy/budget.ts';
import { appliesTo, costAtCeiling, epsilonAtCeiling, shareOfCeiling } from '../../../app/privacy/ceiling.ts';
import type { Ceiling } from '../../../app/privacy/ceiling.ts';
import { parsePrivacyEvent } from '../../../app/privacy/events.ts';
import type { PrivacyEvent } from '../../../app/privacy/events.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import { ceilingsFrom } from '../participant/ceilings.ts';

/** A charge that counts at a ceiling, its cost there, and the cost of all up to it. */
export type Step = { readonly charge: ReservedCharge; readonly cost: number; readonly sum: number };

/** What stands at one ceiling; steps in the log's order. `used` and `share` as budgetReadings gives them. */
export type Standing = {
  readonly ceiling: Ceiling;
  readonly steps: readonly Step[];
  readonly used: number;
  readonly share: number | null;
};

export type BudgetBook = {
  /** At every ceiling in force, in the order in which they were last set, by all entries so far. */
  standings(): Promise<readonly Standing[]>;
};

/** Entries or charges taken up before other work of the host gets its turn. */
export const takenAtOnce = 500;

type Series = { readonly ceiling: Ceiling; readonly steps: Step[]; readonly places: number[]; next: number };

/**
 * @param entries all of the log, growing; another array when the log was read anew
 * @param turn gives other work its turn; tests count in it
 */
export function budgetBook(
  entries: () => readonly EntryWithHash[],
  turn: () => Promise<unknown> = () => nextTurn(),
): BudgetBook {
  let read: readonly EntryWithHash[] = [];
  let taken = 0;
  let settings: EntryWithHash[] = [];
  let charges: ReservedCharge[] = [];
  let series: Series[] = [];
  let placeOf = new Map<number, number>();
  /** Rounds of a study differ in nothing here, and one object's cost is computed once. */
  const events = new Map<string, PrivacyEvent>();
  let queue: Promise<unknown> = Promise.resolve();

  function eventOf(body: unknown): PrivacyEvent {
    const key = JSON.stringify(body);
    const known = events.get(key) ?? parsePrivacyEvent(body);
    events.set(key, known);
    return known;
  }

  function take({ entry, hash }: EntryWithHash): void {
    if (entry.kind === 'settings-changed') settings.push({ entry, hash });
    if (entry.kind === 'budget-reserved') {
      const { study, round, dataset, event } = entry.body;
      placeOf.set(entry.seq, charges.length);
      charges.push({ seq: entry.seq, study, round, dataset, event: eventOf(event), settled: null });
    }
    if (entry.kind === 'budget-settled') {
      const place = placeOf.get(entry.body.reservedSeq);
      if (place === undefined) return;
      charges[place] = { ...charges[place]!, settled: { seq: entry.seq, event: eventOf(entry.body.event) } };
      for (const one of series) takeBack(one, place);
    }
  }

  async function takeUp(): Promise<readonly Standing[]> {
    const all = entries();
    if (all !== read || all.length < taken)
      [read, taken, settings, charges, series, placeOf] = [all, 0, [], [], [], new Map<number, number>()];
    const knownSettings = settings.length;
    while (taken < all.length) {
      const end = Math.min(all.length, taken + takenAtOnce);
      for (; taken < end; taken++) take(all[taken]!);
      if (taken < all.length) await turn();
    }
    if (settings.length !== knownSettings)
      series = ceilingsFrom(settings).map((ceiling) => ({ ceiling, steps: [], places: [], next: 0 }));
    for (const one of series)
      while (one.next < charges.length) {
        extend(one, Math.min(charges.length, one.next + takenAtOnce));
        if (one.next < charges.length) await turn();
      }
    return series.map(({ ceiling, steps }) => {
      const sum = steps.at(-1)?.sum ?? 0;
      const standing = { used: epsilonAtCeiling(sum, ceiling), share: shareOfCeiling(sum, ceiling) };
      return { ceiling, steps: [...steps], ...standing };
    });
  }

  function extend(one: Series, end: number): void {
    const { ceiling, steps, places } = one;
    for (; one.next < end; one.next++) {
      const charge = charges[one.next]!;
      if (!appliesTo(ceiling, charge)) continue;
      const cost = costAtCeiling(charge.settled?.event ?? charge.event, ceiling);
      steps.push({ charge, cost, sum: (steps.at(-1)?.sum ?? 0) + cost });
      places.push(one.next);
    }
  }

  return {
    standings() {
      const next = queue.then(takeUp, takeUp);
      queue = next.catch(() => {});
      return next;
    },
  };
}

/** A charge was settled: what was added up from its place on is added up anew. It is among the last, so this is short. */
function takeBack(one: Series, place: number): void {
  while (one.places.length > 0 && one.places.at(-1)! >= place) {
    one.places.pop();
    one.steps.pop();
  }
  one.next = Math.min(one.next, place);
}
