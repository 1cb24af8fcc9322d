// The forecast of one study from its entries in the ledger: how many rounds its ceilings still allow, and until when at the
// pace so far. A view for status and windows.

import { forecast } from '../../../app/privacy/forecast.ts';
import { worstEverEvent } from '../../../app/round/charge.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { budgetOf } from './ceilings.ts';

export type StudyForecast = {
  readonly ceiling: 'consent' | 'dataset' | 'policy';
  /** First round that would be refused, and how many still fit. */
  readonly round: number;
  readonly rounds: number;
  /** UTC, ISO 8601; null while there is no pace. */
  readonly at: string | null;
};

/** Null where every attempt of the study fits. */
export function studyForecast(
  entries: readonly EntryWithHash[],
  study: { readonly hash: string; readonly contract: Contract; readonly dataset: string },
  now: number,
): StudyForecast | null {
  const { hash, contract, dataset } = study;
  const charged: number[] = [];
  for (const { entry } of entries)
    if (entry.kind === 'budget-reserved' && entry.body.study === hash) charged.push(Date.parse(entry.time));
  const attemptsLeft = Math.max(0, contract.schedule.attempts - charged.length);
  const asked = { study: hash, dataset, worstCase: worstEverEvent(contract), attemptsLeft, firstRound: 1 };
  const said = forecast(budgetOf(entries), asked, { now, charged });
  if (said === null) return null;
  // Beyond what a date can hold nobody plans.
  const at = said.at === null || !(said.at < 8e15) ? null : new Date(said.at).toISOString();
  return { ceiling: said.ceiling, round: said.round, rounds: said.rounds, at };
}
