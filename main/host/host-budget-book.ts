// The budget's entries as windows read them: charges and ceilings taken up from the log as it grows, in pieces, so that a
// long log holds nothing up. Only a view: the guard rebuilds its own budget and checks every entry. Design 4, "Budgets".

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BudgetState, ReservedCharge } from '../../app/privacy/budget.ts';
import { parsePrivacyEvent } from '../../app/privacy/events.ts';
import type { PrivacyEvent } from '../../app/privacy/events.ts';
import type { EntryWithHash } from '../../app/round/study-ledger.ts';
import { ceilingsFrom } from './participant-ceilings.ts';

export type BudgetBook = {
  /** The budget of all entries so far. */
  state(): Promise<BudgetState>;
};

const entriesAtOnce = 2000;

/** @param entries all of the log, growing; another array when the log was read anew. */
export function budgetBook(entries: () => readonly EntryWithHash[]): BudgetBook {
  let read: readonly EntryWithHash[] = [];
  let taken = 0;
  let settings: EntryWithHash[] = [];
  let charges: ReservedCharge[] = [];
  let ceilings: BudgetState['ceilings'] = [];
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
      if (place !== undefined)
        charges[place] = { ...charges[place]!, settled: { seq: entry.seq, event: eventOf(entry.body.event) } };
    }
  }

  async function takeUp(): Promise<BudgetState> {
    const all = entries();
    if (all !== read || all.length < taken)
      [read, taken, settings, charges, ceilings, placeOf] = [all, 0, [], [], [], new Map<number, number>()];
    const knownSettings = settings.length;
    while (taken < all.length) {
      for (const one of all.slice(taken, taken + entriesAtOnce)) take(one);
      taken = Math.min(all.length, taken + entriesAtOnce);
      if (taken < all.length) await nextTurn();
    }
    if (settings.length !== knownSettings) ceilings = ceilingsFrom(settings);
    return { ceilings, charges: [...charges] };
  }

  return {
    state() {
      const next = queue.then(takeUp, takeUp);
      queue = next.catch(() => {});
      return next;
    },
  };
}
