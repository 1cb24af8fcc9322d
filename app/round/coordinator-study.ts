// The coordinator's view of a whole study: who consented, which round is open, which rounds are closed, who is excluded
// and with what proof. A pure reducer over stored events, like the round inside it. Design 3 ("Catching up") and 6.

import { toHex } from '../encoding/bytes.ts';
import { InvariantError, RefusalError } from '../errors.ts';
import { evidenceFor } from './catch-up.ts';
import type { ClosedRecord } from './catch-up.ts';
import { checkMemberSignatures } from './checks.ts';
import { abortRound, reduceRound, withDeadline } from './coordinator.ts';
import type { Coordinator } from './coordinator.ts';
import { openRound } from './coordinator-state.ts';
import type { Accusation, CoordinatorEvent, CoordinatorRound } from './coordinator-state.ts';
import type { StudyStatus } from './engine-ports.ts';
import type { Message } from './messages.ts';
import { costAtCeiling, epsilonAtCeiling } from '../privacy/ceiling.ts';
import { studyFilter } from '../review/study-filter.ts';
import { roundTerms } from './adaptation.ts';
import type { Adaptation } from './adaptation.ts';
import { worstCaseEvent } from './charge.ts';
import { configHash, isAsked } from './parameters.ts';
import type { StudyParameters } from './parameters.ts';

export type StudyEvent =
  | CoordinatorEvent
  /** A consent (checked by the caller against the contract) or a withdrawal of roster position `index` came in. */
  | { readonly kind: 'consented'; readonly index: number; readonly now: number }
  | { readonly kind: 'withdrawn'; readonly index: number; readonly now: number }
  /** A device replacement (checked by the caller) of roster position `index`: its count of Readies goes on above it. */
  | {
      readonly kind: 'replaced';
      readonly index: number;
      readonly counter: number;
      readonly head: string;
      readonly now: number;
    }
  /** The sum of the open round is computed and stored, and with it the next model. */
  | {
      readonly kind: 'summed';
      /** H(sum), hex. */
      readonly sum: string;
      /** H(model) after this round, hex; unchanged where the round is spoiled. */
      readonly model: string;
      /** What the sums so far decide about the next round; absent where nothing adapts. */
      readonly adaptation?: Adaptation;
      readonly spoiled: boolean;
      readonly now: number;
    }
  /** The coordinator was down, or its clock was set back: the open stage gets its whole time again. */
  | { readonly kind: 'resumed'; readonly now: number }
  /**
   * The store was put back from an archive: the open round is given up, and `skip` numbers are passed over, which may have
   * been used since.
   */
  | { readonly kind: 'restored'; readonly skip: number; readonly now: number }
  /** The open round cannot be finished (a stored contribution is damaged): its number is spent. */
  | { readonly kind: 'abandoned'; readonly reason: string; readonly now: number };

export type CoordinatorStudy = {
  readonly consented: ReadonlySet<number>;
  readonly withdrawn: ReadonlySet<number>;
  /** Excluded until the lead decides, with the proof against each. */
  readonly excluded: ReadonlyMap<number, Accusation>;
  readonly round: CoordinatorRound | null;
  /** Ended rounds that participants may still ask about, newest last; the newest closed one is among them. */
  readonly ended: readonly CoordinatorRound[];
  readonly closed: readonly { readonly round: number; readonly sum: string; readonly survivors: readonly number[] }[];
  /** Every accepted Ready: the evidence of closed rounds and the witness against restored disks. */
  readonly readies: readonly Message<0>[];
  /** Newest device replacement of an institution, by roster position. */
  readonly replaced: ReadonlyMap<number, { readonly counter: number; readonly head: string }>;
  /** H(model) that the next Ready must name, hex. */
  readonly model: string;
  /** Absent before the first sum, or where nothing adapts. */
  readonly adaptation?: Adaptation;
  /** What the opened sum of the open round will make of the model, once the round is closed. */
  readonly pending?: { readonly model: string; readonly adaptation?: Adaptation; readonly spoiled: boolean };
  /** Where noise adapts: what charged rounds took of the study's filter, and what the open one will. */
  readonly filter?: Filter;
  readonly nextRound: number;
  /** Rounds in which a charge may have been made (R2 was reached). */
  readonly charged: number;
  readonly spoiled: number;
  readonly opensAt: number | null;
  readonly outcome: 'complete' | 'attempts-spent' | 'too-few-left' | null;
};

type Filter = { readonly spent: number; readonly open: number };

/** How many ended rounds stay fetchable in full, beside the newest closed one. */
const keptRounds = 3;

/**
 * The newest closed round stays however many came to nothing after it: whoever was in it and away has still to check its
 * sum, and without enough who did no further round can close.
 */
function keptOf(ended: readonly CoordinatorRound[]): readonly CoordinatorRound[] {
  const closed = ended.findLastIndex((round) => round.stage === 'closed');
  const from = Math.max(0, ended.length - keptRounds);
  return closed === -1 || closed >= from ? ended.slice(from) : [ended[closed]!, ...ended.slice(from)];
}

export function newStudy(model: string): CoordinatorStudy {
  return {
    consented: new Set(),
    withdrawn: new Set(),
    excluded: new Map(),
    round: null,
    ended: [],
    closed: [],
    readies: [],
    replaced: new Map(),
    model,
    nextRound: 1,
    charged: 0,
    spoiled: 0,
    opensAt: null,
    outcome: null,
  };
}

/**
 * @returns the next state; the same object where nothing changed (then the event need not be stored).
 * @throws RefusalError; the state is unchanged.
 */
export function reduceStudy(coordinator: Coordinator, study: CoordinatorStudy, event: StudyEvent): CoordinatorStudy {
  switch (event.kind) {
    case 'consented': {
      if (study.consented.has(event.index)) return study;
      if (study.withdrawn.has(event.index))
        throw new RefusalError(
          'withdrawn',
          'This institution has stopped taking part; a new study is needed to return.',
        );
      return settle(coordinator, { ...study, consented: new Set([...study.consented, event.index]) }, event.now);
    }
    case 'withdrawn': {
      if (study.withdrawn.has(event.index)) return study;
      const withdrawn = new Set([...study.withdrawn, event.index]);
      const round = study.round && withEligible(study.round, (index) => !withdrawn.has(index));
      return tickRound(coordinator, { ...study, withdrawn, round }, event.now);
    }
    case 'replaced':
      return replaceDevice(study, event);
    case 'tick':
      return tickRound(coordinator, study, event.now);
    case 'summed': {
      if (study.round === null) throw new InvariantError('not-opening', 'A sum came while no round was open.');
      const round = reduceRound(coordinator, study.round, { kind: 'opened', sum: event.sum, now: event.now });
      const { model, adaptation, spoiled } = event;
      const pending = { model, ...(adaptation === undefined ? {} : { adaptation }), spoiled };
      return settle(coordinator, { ...study, round, pending }, event.now);
    }
    case 'resumed':
      if (study.round === null) return withoutLongPause(coordinator, study, event.now);
      if (study.round.deadline === null) return study;
      return { ...study, round: withDeadline(coordinator, study.round, event.now) };
    case 'restored': {
      const next = abortOpenRound(coordinator, study, 'restored', event.now);
      return { ...next, nextRound: next.nextRound + event.skip };
    }
    case 'abandoned':
      return abortOpenRound(coordinator, study, event.reason, event.now);
    case 'message':
      if (event.message.stage === 0 && (event.message as Message<0>).body.keys === null)
        return acceptClosing(coordinator, study, event.message as Message<0>);
      return inRound(coordinator, study, event);
    case 'uploaded':
    case 'opened':
      return inRound(coordinator, study, event);
  }
}

function inRound(coordinator: Coordinator, study: CoordinatorStudy, event: CoordinatorEvent): CoordinatorStudy {
  if (study.round === null)
    throw new RefusalError('no-round-open', 'No training round is open now. Wait for the next one; nothing was lost.');
  // A second Ready in one round is the round's to refuse.
  if (event.kind === 'message' && event.message.stage === 0 && !study.round.readies.has(event.message.sender))
    requireNotBehind(study, event.message as Message<0>);
  const round = reduceRound(coordinator, study.round, event);
  if (round === study.round) return study;
  const heard = event.kind === 'message' && event.message.stage === 0 && round.readies.size > study.round.readies.size;
  const readies = heard ? [...study.readies, event.message as Message<0>] : study.readies;
  return settle(coordinator, { ...study, round, readies }, event.now);
}

/** Peers would refuse the whole list over one Ready of an old disk, so it never enters the list. */
function requireNotBehind(study: CoordinatorStudy, ready: Message<0>): void {
  const seen = witnessOf(study, ready.sender);
  const { counter, head } = ready.body;
  if (seen === null || counter > seen.counter || (counter === seen.counter && head === seen.head)) return;
  throw new RefusalError(
    'counter-rolled-back',
    `This institution announced itself with number ${counter}, but number ${seen.counter} is known already: an older copy of its folder seems to be in use. Bring the newest folder back, or use: consilience participant recover`,
  );
}

function replaceDevice(
  study: CoordinatorStudy,
  { index, counter, head }: { readonly index: number; readonly counter: number; readonly head: string },
): CoordinatorStudy {
  const seen = witnessOf(study, index);
  if (seen !== null && seen.counter === counter && seen.head === head) return study;
  if (seen !== null && seen.counter >= counter)
    throw new RefusalError(
      'replacement-behind',
      `The device replacement goes on from number ${counter}, but number ${seen.counter} is known already. Sign it anew with: consilience participant recover`,
    );
  return { ...study, replaced: new Map([...study.replaced, [index, { counter, head }]]) };
}

function acceptClosing(coordinator: Coordinator, study: CoordinatorStudy, ready: Message<0>): CoordinatorStudy {
  if (study.outcome === null)
    throw new RefusalError('study-not-over', 'A closing message came while the study still goes on.');
  if (study.readies.some((other) => other.sender === ready.sender && other.body.keys === null)) return study;
  const { cipher, parameters } = coordinator;
  const last = lastClosed(study);
  const { body } = ready;
  if (body.contract !== toHex(parameters.study) || body.last.sum !== last.sum || body.last.round !== last.round)
    throw new RefusalError('last-sum-differs', 'The closing message names another last closed round or sum.');
  checkMemberSignatures(cipher, parameters, ready.round, [ready]);
  return { ...study, readies: [...study.readies, ready] };
}

/** A clock that was set back would stretch the pause between rounds by as much. */
function withoutLongPause(coordinator: Coordinator, study: CoordinatorStudy, now: number): CoordinatorStudy {
  const latest = now + Math.max(1000, 1000 * coordinator.parameters.contract.schedule.intervalSeconds);
  return study.opensAt === null || study.opensAt <= latest ? study : { ...study, opensAt: latest };
}

function withEligible(round: CoordinatorRound, may: (index: number) => boolean): CoordinatorRound {
  return { ...round, eligible: round.eligible.filter(may) };
}

function tickRound(coordinator: Coordinator, study: CoordinatorStudy, now: number): CoordinatorStudy {
  if (study.round === null) return settle(coordinator, study, now);
  const round = reduceRound(coordinator, study.round, { kind: 'tick', now });
  return settle(coordinator, round === study.round ? study : { ...study, round }, now);
}

export function lastClosed(study: CoordinatorStudy): { readonly round: number; readonly sum: string } {
  return study.closed.at(-1) ?? { round: 0, sum: '0'.repeat(64) };
}

/** Ends what is over and opens what is due. */
function settle(coordinator: Coordinator, before: CoordinatorStudy, now: number): CoordinatorStudy {
  const { parameters } = coordinator;
  const { schedule } = parameters.contract;
  let study = before;
  const { round } = study;
  if (round !== null && (round.stage === 'closed' || round.stage === 'aborted')) {
    const excluded = new Map(study.excluded);
    for (const accusation of round.accusations) excluded.set(accusation.accused, accusation);
    const closed =
      round.stage === 'closed'
        ? [...study.closed, { round: round.round, sum: round.result!.body.sum, survivors: round.survivors }]
        : study.closed;
    // A round that aborted gives the others a second to hear of it, whatever the interval.
    const pause = Math.max(1000 * schedule.intervalSeconds, round.stage === 'aborted' ? 1000 : 0);
    const { pending, ...rest } = study;
    study = {
      ...(round.stage === 'closed' ? withModel(rest, pending) : rest),
      excluded,
      closed,
      round: null,
      ended: keptOf([...study.ended, round]),
      charged: study.charged + (round.u2 === null ? 0 : 1),
      ...(study.filter === undefined || round.u2 === null
        ? {}
        : { filter: { spent: study.filter.spent + study.filter.open, open: 0 } }),
      opensAt: now + pause,
    };
  }
  if (study.round !== null || study.outcome !== null) return study;
  const roster = parameters.identityKeys.map((_, index) => index);
  const left = roster.filter((index) => !study.withdrawn.has(index) && !study.excluded.has(index));
  if (study.closed.length >= schedule.rounds) return { ...study, outcome: 'complete', opensAt: null };
  if (study.charged >= schedule.attempts) return { ...study, outcome: 'attempts-spent', opensAt: null };
  if (left.length < parameters.least) return { ...study, outcome: 'too-few-left', opensAt: null };
  if (!left.every((index) => study.consented.has(index))) return study;
  if (study.opensAt !== null && now < study.opensAt) return study;
  const filter = filterWith(coordinator, study);
  if (filter === 'full') return { ...study, outcome: 'attempts-spent', opensAt: null };
  const number = nextNumber(parameters, study.nextRound, left);
  if (number === null) return { ...study, outcome: 'too-few-left', opensAt: null };
  const eligible = left.filter((index) => isAsked(parameters, number, index));
  const expected = {
    round: number,
    contract: toHex(parameters.study),
    config: toHex(configHash(coordinator.cipher, parameters, number, study.adaptation)),
    model: study.model,
    last: lastClosed(study),
  };
  const next = { ...study, round: openRound(number, expected, eligible), nextRound: number + 1, opensAt: null };
  return filter === null ? next : { ...next, filter };
}

function withModel(study: CoordinatorStudy, pending: CoordinatorStudy['pending']): CoordinatorStudy {
  if (pending === undefined) throw new InvariantError('sum-missing', 'A round closed without its sum.');
  const { spoiled, ...model } = pending;
  return { ...study, ...model, spoiled: study.spoiled + (spoiled ? 1 : 0) };
}

/** The first number from `from` on in which enough of those who are left are asked; null where none comes. */
function nextNumber(parameters: StudyParameters, from: number, left: readonly number[]): number | null {
  if (parameters.selected === null) return from;
  // Both rings stand as they stood after as many rounds as the roster has pairs.
  const turns = parameters.identityKeys.length ** 2;
  for (let number = from; number < from + turns; number++) {
    const asked = new Set(parameters.selected(number));
    if (left.filter((index) => asked.has(index)).length >= parameters.least) return number;
  }
  return null;
}

/** The study's filter with one more round at the worst case of the present noise; null where noise does not adapt. */
function filterWith({ parameters }: Coordinator, study: CoordinatorStudy): Filter | 'full' | null {
  const ceiling = studyFilter(parameters.contract, toHex(parameters.study));
  if (ceiling === null) return null;
  const spent = study.filter?.spent ?? 0;
  const open = costAtCeiling(worstCaseEvent(roundTerms(parameters.contract, study.adaptation ?? null)), ceiling);
  return epsilonAtCeiling(spent + open, ceiling) > ceiling.epsilon! * (1 + 1e-9) ? 'full' : { spent, open };
}

/** Ends the open round by decision (shutdown for good, operator): its number is spent. */
export function abortOpenRound(
  coordinator: Coordinator,
  study: CoordinatorStudy,
  reason: string,
  now: number,
): CoordinatorStudy {
  if (study.round === null) return study;
  return settle(coordinator, { ...study, round: abortRound(coordinator, study.round, reason) }, now);
}

/** What a returning participant needs: every closed round after `round`, with what proves its sum. */
export function closedAfter(study: CoordinatorStudy, round: number): ClosedRecord[] {
  return study.closed
    .filter((record) => record.round > round)
    .map((record) => ({ ...record, evidence: evidenceFor(record, study.readies) }));
}

/** The highest counter and its head that this coordinator saw of an institution; null if none. */
export function witnessOf(study: CoordinatorStudy, index: number): { counter: number; head: string } | null {
  let newest = study.replaced.get(index) ?? null;
  for (const { sender, body } of study.readies)
    if (sender === index && body.counter > (newest?.counter ?? 0)) newest = body;
  return newest === null ? null : { counter: newest.counter, head: newest.head };
}

/** The round of that number if it is open or still kept. */
export function roundOf(study: CoordinatorStudy, number: number): CoordinatorRound | null {
  if (study.round?.round === number) return study.round;
  return study.ended.find((round) => round.round === number) ?? null;
}

/** What participant `index` is told of the study (engine-ports.ts). */
export function statusFor(study: CoordinatorStudy, index: number): StudyStatus {
  const { round } = study;
  const answered = (complaint: Message<16>): boolean =>
    round!.answers.some((answer) => answer.sender === index && answer.body.complainer === complaint.sender);
  return {
    outcome: study.outcome,
    closed: study.closed.length,
    lastClosed: lastClosed(study),
    round: round && { number: round.round, stage: round.stage, eligible: round.eligible.includes(index) },
    complaints: round?.complaints.filter((complaint) => complaint.body.dealer === index && !answered(complaint)) ?? [],
    witness: witnessOf(study, index),
  };
}
