// The coordinator's round as a pure reducer: an event and the state give the next state, or a refusal that changes
// nothing. It decides when a stage ends and signs the list that ends it; adding vectors is the caller's work, chunk by
// chunk. Stages R0–R5 of design 3; the coordinator runs the clients' own checks first, so that one bad message never
// stops the others.

import { fromHex, toHex } from '../encoding/bytes.ts';
import { InvariantError, RefusalError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import { setHash, statementHash } from '../sealed-sum/context.ts';
import { ringHash } from '../sealed-sum/harary-ring.ts';
import { checkOpenable } from './checks.ts';
import { accuse, acceptMessage, acceptUpload, drawOf } from './coordinator-messages.ts';
import { ascending, unsigned } from './coordinator-state.ts';
import type { CoordinatorEvent, CoordinatorRound, CoordinatorStage } from './coordinator-state.ts';
import { shownBox } from './coordinator-lists.ts';
import { ringOf, roundGraph, unopenable, usesSparseGraph, withWholeRegions } from './graph.ts';
import { abortedStage, bodyBytes, broadcastStage, coordinatorSender, signMessage } from './messages.ts';
import type { BodyOf, Message } from './messages.ts';
import { canOpen, openSeeds } from './opening.ts';
import { acceptKeyChange, contextOf } from './parameters.ts';
import { longestWait, paced } from './pace.ts';
import type { StudyParameters } from './parameters.ts';
import { vouched } from './regions.ts';
import type { SignedKeyChange } from '../study/coordinator-key.ts';

export type Coordinator = {
  readonly cipher: Cipher;
  readonly parameters: StudyParameters;
  readonly signer: Signer;
  /**
   * First round that this signer signs: earlier ones were signed by a key that may be lost. Replaying their events gives
   * their lists without a signature, which nobody needs any more.
   */
  readonly signsFrom?: number;
};

/** Takes up the changes of its key, oldest first; the newest key is the signer's. @throws RefusalError as checkKeyChange. */
export function coordinatorUnder(
  cipher: Cipher,
  parameters: StudyParameters,
  signer: Signer,
  keyChanges: readonly SignedKeyChange[],
): Coordinator {
  for (const change of keyChanges) acceptKeyChange(cipher, parameters, change);
  const signsFrom = parameters.keyChanges.at(-1)?.fromRound;
  return { cipher, parameters, signer, ...(signsFrom === undefined ? {} : { signsFrom }) };
}

/**
 * @returns the next state; the same object where the event changed nothing (a message that was already accepted).
 * @throws RefusalError with the reason; the state is unchanged.
 */
export function reduceRound(
  coordinator: Coordinator,
  state: CoordinatorRound,
  event: CoordinatorEvent,
): CoordinatorRound {
  let next = state;
  if (event.kind === 'message') next = acceptMessage(coordinator, state, event.message, event.bundle);
  else if (event.kind === 'uploaded') next = acceptUpload(coordinator, state, event.sender);
  else if (event.kind === 'opened') return closeRound(coordinator, state, event.sum, event.now);
  if (next !== state && next.stage === 'ready' && next.deadline === null)
    next = withDeadline(coordinator, next, event.now);
  next = paced(coordinator.parameters, state, next, event.now);
  return advance(coordinator, next, event.now);
}

/** Gives the present stage its whole time from `now` on. */
export function withDeadline(coordinator: Coordinator, state: CoordinatorRound, now: number): CoordinatorRound {
  const longest = longestWait(coordinator.parameters, state.stage);
  return { ...state, since: now, deadline: longest === null ? null : now + longest };
}

function entering(
  coordinator: Coordinator,
  state: CoordinatorRound,
  stage: CoordinatorStage,
  now: number,
): CoordinatorRound {
  return withDeadline(coordinator, { ...state, stage }, now);
}

function broadcast<S extends 128 | 129 | 130 | 131 | 132 | 133 | 134 | 255>(
  coordinator: Coordinator,
  state: CoordinatorRound,
  stage: S,
  body: BodyOf<S>,
): Message<S> {
  const context = contextOf(coordinator.parameters, state.round);
  // What closed a round is signed anew: whoever was in the sum has still to check it.
  if (state.round < (coordinator.signsFrom ?? 0) && stage !== 132 && stage !== 134)
    return { round: state.round, stage, sender: coordinatorSender, body, signature: unsigned };
  return signMessage(coordinator.cipher, coordinator.signer, context, stage, coordinatorSender, body);
}

/** Ends the round without a sum. Its number is spent, and so is every charge made for it. */
export function abortRound(coordinator: Coordinator, state: CoordinatorRound, reason: string): CoordinatorRound {
  if (state.stage === 'closed' || state.stage === 'aborted') return state;
  const aborted = broadcast(coordinator, state, abortedStage, { reason });
  return { ...state, stage: 'aborted', deadline: null, aborted };
}

function advance(coordinator: Coordinator, state: CoordinatorRound, now: number): CoordinatorRound {
  const { parameters } = coordinator;
  const over = state.deadline !== null && now >= state.deadline;
  switch (state.stage) {
    case 'ready': {
      if (state.readies.size < state.eligible.length && !over) return state;
      const cohort = withWholeRegions(parameters, [...state.readies.keys()]);
      if (cohort.length >= parameters.least) return endReady(coordinator, state, cohort, now);
      return over ? abortRound(coordinator, state, 'cohort-below-floor') : state;
    }
    case 'reveals': {
      if (state.reveals.size === state.members.length) return endReveals(coordinator, state, now);
      return over ? abortRound(coordinator, state, 'reveal-missing') : state;
    }
    case 'shares': {
      if (state.shares.size < state.members.length && !over) return state;
      if (state.shares.size < parameters.least) return abortRound(coordinator, state, 'too-few-shares');
      return endShares(coordinator, state, now);
    }
    case 'masked':
      return advanceMasked(coordinator, state, now, over);
    case 'consistency': {
      if (state.consistency.size < state.survivors.length && !over) return state;
      if (state.consistency.size < parameters.threshold) return abortRound(coordinator, state, 'too-few-signatures');
      const statement = state.u3!.body.statement;
      const transcript = broadcast(coordinator, state, broadcastStage(3) as 131, { statement });
      const signers = [...state.consistency.keys()];
      return entering(coordinator, { ...state, transcript, signers }, 'unmask', now);
    }
    case 'unmask':
      return advanceUnmask(coordinator, state, now, over);
    case 'vouching':
      return advanceVouching(coordinator, state, over);
    case 'opening':
    case 'closed':
    case 'aborted':
      return state;
  }
}

/** @param cohort U1: without regions that have too few members for a sum of their own */
function endReady(
  coordinator: Coordinator,
  before: CoordinatorRound,
  cohort: readonly number[],
  now: number,
): CoordinatorRound {
  const { cipher, parameters } = coordinator;
  const state = { ...before, readies: new Map(cohort.map((index) => [index, before.readies.get(index)!])) };
  const readies = [...state.readies.values()];
  const list = readies.map((ready) => ({ index: ready.sender, body: bodyBytes(ready) }));
  const hash = toHex(setHash(cipher, 'css1/U1', contextOf(parameters, state.round), list));
  const members = readies.map((ready) => ({
    index: ready.sender,
    boxes: ready.body.keys!.boxes,
    masks: ready.body.keys!.masks,
  }));
  const u1 = broadcast(coordinator, state, 128, { u1: hash });
  const next = usesSparseGraph(parameters, readies) ? 'reveals' : 'shares';
  return entering(coordinator, { ...state, u1, members }, next, now);
}

function endReveals(coordinator: Coordinator, state: CoordinatorRound, now: number): CoordinatorRound {
  const { cipher, parameters } = coordinator;
  const u1 = state.u1!.body.u1;
  const commitments = [...state.readies].map(([index, { body }]) => ({ index, nonce: body.keys!.nonce }));
  const ring = ringOf(cipher, parameters, state.round, u1, commitments, [...state.reveals.values()]);
  const hash = toHex(ringHash(cipher, contextOf(parameters, state.round), fromHex(u1), ring));
  const drawn = broadcast(coordinator, state, broadcastStage(5) as 133, { u1, ring: hash });
  return entering(coordinator, { ...state, drawn, ring }, 'shares', now);
}

function endShares(coordinator: Coordinator, state: CoordinatorRound, now: number): CoordinatorRound {
  const { cipher, parameters } = coordinator;
  const sharers = withNeighbours(coordinator, state, [...state.shares.keys()]);
  if (sharers.length < parameters.least) return abortRound(coordinator, state, 'too-few-neighbours');
  const list = sharers.map((index) => ({ index, body: bodyBytes(state.shares.get(index)!.message) }));
  const hash = toHex(setHash(cipher, 'css1/U2', contextOf(parameters, state.round), list));
  const u2 = broadcast(coordinator, state, 129, { u1: state.u1!.body.u1, u2: hash });
  return entering(coordinator, { ...state, u2, sharers }, 'masked', now);
}

/** Without those, on a sparse graph or in regions, of whom too few neighbours shared: nobody could ever open their secrets. */
function withNeighbours(
  { parameters }: Coordinator,
  state: CoordinatorRound,
  shared: readonly number[],
): readonly number[] {
  const graph = roundGraph(parameters, state.members, state.ring);
  let left = shared;
  for (;;) {
    const gone = unopenable(graph, left, new Set(left));
    if (gone.length === 0) return left;
    left = left.filter((index) => !gone.includes(index));
  }
}

function advanceMasked(
  coordinator: Coordinator,
  state: CoordinatorRound,
  now: number,
  over: boolean,
): CoordinatorRound {
  const { cipher, parameters } = coordinator;
  const arrived = ascending([...state.masked].filter(([, held]) => held.complete).map(([index]) => index));
  const complete = withWholeRegions(parameters, arrived);
  const gone = new Set(state.complaints.map((complaint) => complaint.sender));
  // Whom a relay left out of its signed sum does not come any more.
  const delivered = new Set(
    coordinator.parameters.regions
      .filter(({ position }) => state.regionSums.get(position)?.complete === true)
      .flatMap((region) => region.members),
  );
  const awaited = state.sharers.filter(
    (index) => !gone.has(index) && !delivered.has(index) && state.masked.get(index)?.complete !== true,
  );
  const unanswered = state.complaints.filter(
    (complaint) =>
      !state.answers.some(
        (answer) => answer.sender === complaint.body.dealer && answer.body.complainer === complaint.sender,
      ),
  );
  if ((awaited.length > 0 || unanswered.length > 0) && !over) return state;
  let next = state;
  for (const complaint of unanswered)
    next = accuse(next, {
      accused: complaint.body.dealer,
      reason: 'silent-on-complaint',
      proof: [complaint],
      boxes: [],
    });
  if (complete.length < parameters.least) return abortRound(coordinator, next, 'too-few-contributions');
  const graph = roundGraph(parameters, state.members, state.ring);
  const needed = state.sharers.filter(graph.neededFor(new Set(complete)));
  if (unopenable(graph, needed, new Set(complete)).length > 0)
    return abortRound(coordinator, next, 'too-few-neighbours');
  try {
    checkOpenable(parameters, complete);
  } catch (error) {
    if (error instanceof RefusalError) return abortRound(coordinator, next, error.code);
    throw error;
  }
  const u1 = state.u1!.body.u1;
  const u2 = state.u2!.body.u2;
  const members = complete.map((index) => ({ index, root: fromHex(state.masked.get(index)!.message.body.root) }));
  const context = contextOf(parameters, state.round);
  const statement = toHex(statementHash(cipher, context, fromHex(u1), fromHex(u2), members));
  const u3 = broadcast(coordinator, next, 130, { u1, u2, statement });
  return entering(coordinator, { ...next, u3, survivors: complete }, 'consistency', now);
}

function advanceUnmask(
  coordinator: Coordinator,
  state: CoordinatorRound,
  now: number,
  over: boolean,
): CoordinatorRound {
  if (!canOpen(coordinator.parameters, state))
    return over ? abortRound(coordinator, state, 'too-few-shares-for-opening') : state;
  const opened = openSeeds(coordinator.cipher, coordinator.parameters, state);
  if ('dealer' in opened) {
    const { dealer, answers } = opened;
    const accused = accuse(state, {
      accused: dealer,
      reason: 'wrong-secret',
      proof: [...drawOf(state), state.shares.get(dealer)!.message, ...answers],
      boxes: answers.map((answer) => shownBox(coordinator, state, dealer, answer.sender)),
    });
    return abortRound(coordinator, accused, 'wrong-secret');
  }
  return entering(coordinator, { ...state, seeds: opened.seeds }, 'opening', now);
}

function closeRound(coordinator: Coordinator, state: CoordinatorRound, sum: string, now: number): CoordinatorRound {
  if ((state.stage === 'closed' || state.stage === 'vouching') && state.result?.body.sum === sum) return state;
  if (state.stage !== 'opening') throw new InvariantError('not-opening', 'A sum came for a round that is not opening.');
  const statement = state.u3!.body.statement;
  const result = broadcast(coordinator, state, 132, { statement, sum, seeds: [...state.seeds] });
  // With regions nobody outside one has seen its vectors: its own members have to speak first.
  if (coordinator.parameters.regions.length > 0) return entering(coordinator, { ...state, result }, 'vouching', now);
  return { ...state, stage: 'closed', deadline: null, result };
}

function advanceVouching(coordinator: Coordinator, state: CoordinatorRound, over: boolean): CoordinatorRound {
  const { enough, hopeless } = vouched(coordinator.parameters, state.survivors, state.vouches.values());
  if (!enough) {
    if (hopeless) return abortRound(coordinator, state, 'region-sum-differs');
    return over ? abortRound(coordinator, state, 'region-not-vouched') : state;
  }
  const { statement, sum } = state.result!.body;
  const list = broadcast(coordinator, state, 134, { statement, sum });
  return { ...state, stage: 'closed', deadline: null, vouched: list };
}
