// One study's side of an institution's ledger: every entry that a round depends on, and the guard in front of them. Pure
// over a writer that resolves when an entry is on disk; rebuilt from the entries after a restart. Design 4, "The ledger"
// and "Budgets and consent".

import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalJson } from '../encoding/canonical-json.ts';
import { RefusalError } from '../errors.ts';
import type { Entry, EntryBody, EntryKind, FreeBody } from '../ledger/entry.ts';
import { readyHead } from '../ledger/head.ts';
import type { Cipher, Clock } from '../ports.ts';
import { budgetReadings, rebuildBudget, reserve, settle, wouldExceed } from '../privacy/budget.ts';
import type { BudgetEntry, BudgetState, Reading } from '../privacy/budget.ts';
import type { Ceiling } from '../privacy/ceiling.ts';
import type { PrivacyEvent } from '../privacy/events.ts';
import { studyFilter } from '../review/study-filter.ts';
import type { LedgerPort } from './engine-ports.ts';
import type { StudyParameters } from './parameters.ts';

export type LedgerWriter = {
  append<Kind extends EntryKind>(
    kind: Kind,
    body: EntryBody<Kind>,
  ): Promise<{ readonly entry: Entry; readonly hash: string }>;
};

export type StudyLedgerOptions = {
  readonly cipher: Cipher;
  readonly clock: Clock;
  readonly parameters: StudyParameters;
  /** Name of the dataset that the consent binds. */
  readonly dataset: string;
  /** When the consent ends, milliseconds UTC. */
  readonly consentEnds: number;
  /** Of every study and dataset of this institution; the guard picks those that apply. */
  readonly ceilings: readonly Ceiling[];
  /** All entries so far, of every study, verified by the caller. */
  readonly entries: Iterable<EntryWithHash>;
  readonly writer: LedgerWriter;
  /** The keystore's 32-byte ledger-head secret. */
  readonly headSecret: Uint8Array;
};

export type StudyLedger = LedgerPort & {
  readonly readings: () => readonly Reading[];
  /** Newest Ready of this study by this ledger: its counter (0 before the first) and keyed head, hex. */
  readonly witness: () => { readonly counter: number; readonly head: string };
  /** Ends the consent from now on; what was charged stays charged. */
  readonly endConsent: (why: 'withdrawn' | 'expired') => void;
};

type WhyNot = { readonly code: string; readonly sentence: string };

export function studyLedger(options: StudyLedgerOptions): StudyLedger {
  const { cipher, clock, parameters, dataset, writer } = options;
  const study = toHex(parameters.study);
  const { schedule, expires } = parameters.contract;
  const budgetEntries: BudgetEntry[] = [];
  const reserved = new Map<number, number>();
  const settled = new Set<number>();
  /** Rounds that were charged for and came to nothing; those that closed here; what was noted of them already. */
  const abortedAfterCharge = new Set<number>();
  const closed = new Set<number>();
  const noted = new Set<string>();
  let newest = { counter: 0, head: '0'.repeat(64) };
  let ended: 'withdrawn' | 'expired' | null = null;

  const headOf = (entryHash: string): string => readyHead(cipher, options.headSecret, parameters.study, entryHash);

  /** Hash of the newest entry that announced; its head takes two MACs, so only that one's is computed. */
  let announced: { readonly counter: number; readonly hash: string } | null = null;
  for (const { entry, hash } of options.entries) {
    const { kind, body, seq } = entry;
    if (kind === 'budget-reserved' || kind === 'budget-settled') budgetEntries.push({ seq, kind, body } as BudgetEntry);
    if (body['study'] !== study) continue;
    if (kind === 'budget-reserved') reserved.set(body.round, seq);
    if (kind === 'budget-settled') settled.add(body.round);
    if (isNote(kind)) remember(kind, body as FreeBody);
    if (kind === 'round-stage-reached' && body['stage'] === 'ready')
      announced = { counter: Number(body['counter']), hash };
    if (kind === 'device-replaced') announced = { counter: Number(body['counter']), hash };
    if (kind === 'consent-given') ended = null;
    if (kind === 'consent-withdrawn') ended = 'withdrawn';
    if (kind === 'consent-expired') ended = 'expired';
  }

  if (announced !== null) newest = { counter: announced.counter, head: headOf(announced.hash) };

  function remember(kind: NoteKind, body: FreeBody): void {
    noted.add(canonicalJson([kind, body]));
    const round = Number(body['round']);
    if (kind === 'round-closed') closed.add(round);
    if (kind === 'round-aborted' && body['charged'] === true) abortedAfterCharge.add(round);
  }

  const filter = studyFilter(parameters.contract, study);
  const ceilings = filter === null ? options.ceilings : [...options.ceilings, filter];
  let budget: BudgetState = rebuildBudget(ceilings, budgetEntries);

  function whyNot(event: PrivacyEvent): WhyNot | null {
    if (ended !== null)
      return {
        code: `consent-${ended}`,
        sentence: 'This institution’s consent to the study has ended. Nothing was sent.',
      };
    if (clock.now() >= options.consentEnds)
      return { code: 'consent-expired', sentence: 'This institution’s consent has expired. Nothing was sent.' };
    if (clock.now() >= Date.parse(expires))
      return { code: 'contract-expired', sentence: 'The study terms have expired. Nothing was sent.' };
    if (reserved.size >= schedule.attempts)
      return {
        code: 'attempts-spent',
        sentence: `All ${schedule.attempts} attempts of the study terms are used. Nothing more will be sent.`,
      };
    const most = Math.max(2, Math.floor(schedule.attempts / 10));
    if (abortedAfterCharge.size > most)
      return {
        code: 'too-many-aborted',
        sentence: `${abortedAfterCharge.size} rounds were charged and then came to nothing, more than ${most}. The study pauses here; ask the lead.`,
      };
    const excess = wouldExceed(budget, { study, round: nextFree(reserved), dataset, event });
    if (excess === null) return null;
    return {
      code: 'budget-exceeded',
      sentence: `The ${excess.ceiling} ceiling of ε = ${excess.limit} would be exceeded by the next round. Nothing was sent.`,
    };
  }

  return {
    whyNot,
    isReserved: (round) => reserved.has(round),
    async readySigned(round, counter) {
      const { hash } = await writer.append('round-stage-reached', { study, round, stage: 'ready', counter });
      newest = { counter, head: headOf(hash) };
      return fromHex(newest.head, 32);
    },
    async reserve(round, event, outbox) {
      const why = whyNot(event);
      if (why !== null) throw new RefusalError(why.code, why.sentence);
      const { entry } = await writer.append('budget-reserved', {
        study,
        round,
        dataset,
        event: { ...event },
        outbox,
      });
      budget = reserve(budget, entry.seq, { study, round, dataset, event });
      reserved.set(round, entry.seq);
    },
    async settle(round, event, transcript) {
      const reservedSeq = reserved.get(round);
      if (reservedSeq === undefined || settled.has(round)) return;
      const { entry } = await writer.append('budget-settled', {
        study,
        round,
        reservedSeq,
        event: { ...event },
        transcript,
      });
      budget = settle(budget, entry.seq, reservedSeq, event);
      settled.add(round);
    },
    async note(kind, body) {
      // A crash between a note and the state that it belongs to brings the same note again.
      if (noted.has(canonicalJson([kind, body]))) return;
      await writer.append(kind, body);
      if (isNote(kind)) remember(kind, body);
    },
    closedRounds: () => closed.size,
    readings: () => budgetReadings(budget),
    witness: () => newest,
    endConsent(why) {
      ended = why;
    },
  };
}

export type EntryWithHash = { readonly entry: Entry; /** SHA-256 of its line, hex. */ readonly hash: string };

type NoteKind = 'round-closed' | 'round-aborted' | 'model-pinned';
const isNote = (kind: EntryKind): kind is NoteKind =>
  kind === 'round-closed' || kind === 'round-aborted' || kind === 'model-pinned';

const nextFree = (reserved: ReadonlyMap<number, number>): number => Math.max(0, ...reserved.keys()) + 1;
