// What a participant requires of every list before it signs on. Each check refuses with a code of its own, so that a
// test can take it away and see what breaks. Design 3, stages R0–R4 and "The client refuses".

import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalJson } from '../encoding/canonical-json.ts';
import { isStrictX25519Key } from '../encoding/signature.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { setHash, statementHash } from '../sealed-sum/context.ts';
import { ringHash } from '../sealed-sum/harary-ring.ts';
import type { Ring } from '../sealed-sum/harary-ring.ts';
import { ringOf, roundGraph, unopenable, withWholeRegions } from './graph.ts';
import type { Broadcast } from './lists.ts';
import { bodyBytes, coordinatorSender, isSignedBy } from './messages.ts';
import type { AnyMessage, Message } from './messages.ts';
import { contextOf, coordinatorKeyAt, identityKeyOf, nameOf } from './parameters.ts';
import type { StudyParameters } from './parameters.ts';
import type { CohortMember, RoundState, StudyMemory } from './participant-state.ts';
import type { Equivocation } from './proofs.ts';
import { refuse } from './refuse.ts';

/** The coordinator signed two lists for one stage; `proof` convinces anybody (proofs.ts). */
export class EquivocationError extends RefusalError {
  readonly proof: Equivocation;
  constructor(proof: Equivocation) {
    super(
      'coordinator-equivocated',
      'The coordinator signed two first lists in one round; both are kept as proof. This round is left; nothing unsealed was sent.',
    );
    this.proof = proof;
  }
}

export const sameMessage = (left: AnyMessage, right: AnyMessage): boolean =>
  canonicalJson(left) === canonicalJson(right);

export function checkCoordinatorSigned(
  cipher: Cipher,
  parameters: StudyParameters,
  round: number,
  head: AnyMessage,
): void {
  if (head.round !== round) throw refuse('old-round', `The coordinator sent a list of round ${head.round}.`);
  if (
    head.sender !== coordinatorSender ||
    !isSignedBy(cipher, contextOf(parameters, round), head, coordinatorKeyAt(parameters, round))
  )
    throw refuse('coordinator-signature', 'A list does not carry the valid signature of the contract’s coordinator.');
}

/**
 * For what closes a round and proves itself: a result by its commitments and by adding up, regions' words by their own
 * signatures. The key that followed may sign it too, so that the last round before a lost key can be checked at all; every
 * other list needs the key of its round.
 */
export function checkCloserSigned(
  cipher: Cipher,
  parameters: StudyParameters,
  round: number,
  head: Message<132> | Message<134>,
): void {
  const newest = coordinatorKeyAt(parameters, 0xffff_ffff);
  const own = head.sender === coordinatorSender && head.round === round;
  if (!own || !isSignedBy(cipher, contextOf(parameters, round), head, newest))
    checkCoordinatorSigned(cipher, parameters, round, head);
}

export function checkAscending(members: readonly { readonly sender: number }[]): void {
  for (let i = 1; i < members.length; i++)
    if (members[i]!.sender <= members[i - 1]!.sender)
      throw refuse('list-order', 'A list is out of order or names an institution twice.');
}

export function checkMemberSignatures(
  cipher: Cipher,
  parameters: StudyParameters,
  round: number,
  members: readonly AnyMessage[],
): void {
  for (const member of members) {
    const key = identityKeyOf(parameters, member.sender);
    if (!isSignedBy(cipher, contextOf(parameters, round), member, key))
      throw refuse(
        'list-signature',
        `The message of ${nameOf(parameters, member.sender)} in a list is not validly signed.`,
      );
  }
}

export type ReadyExpectation = {
  readonly round: number;
  readonly contract: string;
  readonly config: string;
  readonly model: string;
  readonly last: { readonly round: number; readonly sum: string };
};

/** One Ready against what this round requires; the coordinator runs it too, before a Ready enters the list. */
export function checkReady(
  cipher: Cipher,
  parameters: StudyParameters,
  ready: Message<0>,
  expected: ReadyExpectation,
): CohortMember {
  const who = nameOf(parameters, ready.sender);
  const { body } = ready;
  if (body.round !== expected.round || ready.round !== expected.round)
    throw refuse('old-round', `The Ready of ${who} belongs to another round.`);
  if (body.contract !== expected.contract) throw refuse('contract-differs', `${who} agreed to another contract.`);
  if (body.config !== expected.config) throw refuse('config-differs', `${who} has another round configuration.`);
  if (body.last.round !== expected.last.round || body.last.sum !== expected.last.sum)
    throw refuse('last-sum-differs', `${who} names another last closed round or sum.`);
  if (body.model !== expected.model) throw refuse('model-differs', `${who} holds another model.`);
  if (body.keys === null) throw refuse('closing-ready', `${who} has closed the study for itself.`);
  for (const key of [body.keys.boxes, body.keys.masks])
    if (!isStrictX25519Key(fromHex(key, 32)))
      throw refuse('weak-key', `${who} sent a one-time key that is malformed or of small order.`);
  if (!isSignedBy(cipher, contextOf(parameters, expected.round), ready, identityKeyOf(parameters, ready.sender)))
    throw refuse('list-signature', `The Ready of ${who} is not validly signed.`);
  const member = { index: ready.sender, boxes: body.keys.boxes, masks: body.keys.masks };
  return parameters.sparse === null ? member : { ...member, nonce: body.keys.nonce };
}

/** A peer's counter never falls, and equal counters come with equal heads: else an old disk was restored. */
export function checkPeerCounter(parameters: StudyParameters, memory: StudyMemory, ready: Message<0>): void {
  const seen = memory.peers[String(ready.sender)];
  if (seen === undefined) return;
  const { counter, head } = ready.body;
  if (counter < seen.counter || (counter === seen.counter && head !== seen.head))
    throw refuse(
      'counter-rolled-back',
      `${nameOf(parameters, ready.sender)} came back with an older state than it had.`,
    );
}

/** U1. @returns its members and H(U1), hex. */
export function checkCohort(
  cipher: Cipher,
  parameters: StudyParameters,
  memory: StudyMemory,
  own: Message<0>,
  list: Broadcast<128, 0>,
): { readonly hash: string; readonly members: readonly CohortMember[] } {
  const round = own.round;
  checkCoordinatorSigned(cipher, parameters, round, list.head);
  checkAscending(list.members);
  const mine = list.members.find((member) => member.sender === own.sender);
  if (mine === undefined || !sameMessage(mine, own))
    throw refuse('self-missing', 'The list of this round does not hold this institution’s own message as it was sent.');
  const members = list.members.map((ready) => {
    identityKeyOf(parameters, ready.sender);
    return checkReady(cipher, parameters, ready, {
      round,
      contract: own.body.contract,
      config: own.body.config,
      model: own.body.model,
      last: own.body.last,
    });
  });
  const asked = parameters.selected?.(round) ?? null;
  const unasked = asked === null ? undefined : members.find((member) => !asked.includes(member.index));
  if (unasked !== undefined)
    throw refuse('not-asked', `It is not the turn of ${nameOf(parameters, unasked.index)}, which is in the list.`);
  if (members.length < parameters.least)
    throw refuse(
      'cohort-below-floor',
      `Only ${members.length} institutions take part; ${parameters.least} are needed.`,
    );
  const whole = withWholeRegions(
    parameters,
    members.map((member) => member.index),
  );
  if (!whole.includes(own.sender))
    throw refuse('region-below-floor', 'Too few institutions of this region take part for the region to have a sum.');
  const keys = members.flatMap((member) => [member.boxes, member.masks]);
  if (new Set(keys).size !== keys.length)
    throw refuse('keys-not-distinct', 'Two one-time keys of this round are equal.');
  for (const ready of list.members) if (ready.sender !== own.sender) checkPeerCounter(parameters, memory, ready);
  if (!own.body.last.verified) {
    const confirmed = list.members.filter((ready) => ready.sender !== own.sender && ready.body.last.verified).length;
    if (confirmed < parameters.colluders + 1)
      throw refuse('sum-not-confirmed', 'Too few institutions confirm the sum that this one took over on return.');
  }
  const hash = toHex(
    setHash(
      cipher,
      'css1/U1',
      contextOf(parameters, round),
      list.members.map((member) => ({ index: member.sender, body: bodyBytes(member) })),
    ),
  );
  if (list.head.body.u1 !== hash)
    throw refuse('u1-differs', 'The coordinator signed a hash that is not that of its list.');
  return { hash, members };
}

/** R0b: what every member of U1 committed to. @returns the ring, which follows from it. */
export function checkReveals(
  cipher: Cipher,
  parameters: StudyParameters,
  state: RoundState & Required<Pick<RoundState, 'u1' | 'reveal'>>,
  list: Broadcast<133, 5>,
): Ring {
  const { u1, round } = state;
  checkCoordinatorSigned(cipher, parameters, round, list.head);
  checkAscending(list.members);
  const mine = list.members.find((member) => member.sender === state.index);
  if (mine === undefined || !sameMessage(mine, state.reveal))
    throw refuse('self-missing', 'The draw of the graph does not hold this institution’s own part as it was sent.');
  const cohort = new Set(u1.members.map((member) => member.index));
  if (list.members.some((member) => !cohort.has(member.sender)))
    throw refuse('sets-not-nested', 'The draw of the graph names an institution that the first list did not.');
  checkMemberSignatures(cipher, parameters, round, list.members);
  const commitments = u1.members.map(({ index, nonce }) => ({ index, nonce: nonce! }));
  const ring = ringOf(cipher, parameters, round, u1.hash, commitments, list.members);
  const hash = toHex(ringHash(cipher, contextOf(parameters, round), fromHex(u1.hash), ring));
  if (list.head.body.u1 !== u1.hash || list.head.body.ring !== hash)
    throw refuse('ring-differs', 'The coordinator signed another graph than the one that was drawn.');
  return ring;
}

type WithU1 = RoundState & Required<Pick<RoundState, 'u1' | 'shares'>>;
type WithU2 = WithU1 & Required<Pick<RoundState, 'u2' | 'masked'>>;

/** U2, the list of signed R1 bodies. @returns H(U2), hex, and the members' commitments. */
export function checkSharers(
  cipher: Cipher,
  parameters: StudyParameters,
  state: WithU1,
  list: Broadcast<129, 1>,
): NonNullable<RoundState['u2']> {
  const context = contextOf(parameters, state.round);
  checkCoordinatorSigned(cipher, parameters, state.round, list.head);
  checkAscending(list.members);
  const cohort = new Set(state.u1.members.map((member) => member.index));
  if (list.members.some((member) => !cohort.has(member.sender)))
    throw refuse('sets-not-nested', 'The second list names an institution that the first did not.');
  const mine = list.members.find((member) => member.sender === state.index);
  if (mine === undefined || !sameMessage(mine, state.shares))
    throw refuse('self-missing', 'The second list does not hold this institution’s own message as it was sent.');
  checkMemberSignatures(cipher, parameters, state.round, list.members);
  if (list.head.body.u1 !== state.u1.hash)
    throw refuse('u1-differs', 'The coordinator goes on with another first list than it showed here.');
  for (const member of list.members) {
    if (member.body.u1 === state.u1.hash) continue;
    const shown = {
      round: state.round,
      stage: 128 as const,
      sender: coordinatorSender,
      body: { u1: member.body.u1 },
      signature: member.body.u1Signature,
    };
    if (isSignedBy(cipher, context, shown, coordinatorKeyAt(parameters, state.round)))
      throw new EquivocationError({
        first: { ...shown, body: { u1: state.u1.hash }, signature: state.u1.signature },
        second: shown,
      });
    throw refuse('u1-differs', `${nameOf(parameters, member.sender)} names a first list that nobody signed.`);
  }
  if (list.members.length < parameters.least)
    throw refuse(
      'cohort-below-floor',
      `Only ${list.members.length} institutions shared; ${parameters.least} are needed.`,
    );
  for (const member of list.members)
    if (member.body.ring !== state.shares.body.ring)
      throw refuse('ring-differs', `${nameOf(parameters, member.sender)} dealt its boxes on another graph.`);
  requireNeighbours(parameters, state, list);
  const hash = toHex(
    setHash(
      cipher,
      'css1/U2',
      context,
      list.members.map((member) => ({ index: member.sender, body: bodyBytes(member) })),
    ),
  );
  if (list.head.body.u2 !== hash)
    throw refuse('u2-differs', 'The coordinator signed a hash that is not that of its list.');
  return { hash, members: list.members.map((member) => ({ index: member.sender, selfMask: member.body.selfMask })) };
}

/** U3 and the statement over the sets and the signed roots. */
export function checkSurvivors(
  cipher: Cipher,
  parameters: StudyParameters,
  state: WithU2,
  list: Broadcast<130, 2>,
): NonNullable<RoundState['u3']> {
  checkCoordinatorSigned(cipher, parameters, state.round, list.head);
  checkAscending(list.members);
  const sharers = new Set(state.u2.members.map((member) => member.index));
  if (list.members.some((member) => !sharers.has(member.sender)))
    throw refuse('sets-not-nested', 'The third list names an institution that this one did not mask against.');
  const mine = list.members.find((member) => member.sender === state.index);
  if (mine === undefined || !sameMessage(mine, state.masked))
    throw refuse(
      'own-root-changed',
      'The third list does not hold this institution’s own sealed contribution as it was sent.',
    );
  checkMemberSignatures(cipher, parameters, state.round, list.members);
  if (list.head.body.u1 !== state.u1.hash || list.members.some((member) => member.body.u1 !== state.u1.hash))
    throw refuse('u1-differs', 'Another first list was shown to another institution.');
  if (list.head.body.u2 !== state.u2.hash || list.members.some((member) => member.body.u2 !== state.u2.hash))
    throw refuse('u2-differs', 'Another second list was shown to another institution.');
  if (list.members.length < parameters.least)
    throw refuse(
      'cohort-below-floor',
      `Only ${list.members.length} contributions arrived; ${parameters.least} are needed.`,
    );
  requireNeighbours(parameters, state, list);
  checkOpenable(
    parameters,
    list.members.map((member) => member.sender),
  );
  const members = list.members.map((member) => ({ index: member.sender, root: member.body.root }));
  const statement = toHex(
    statementHash(
      cipher,
      contextOf(parameters, state.round),
      fromHex(state.u1.hash),
      fromHex(state.u2.hash),
      members.map((member) => ({ index: member.index, root: fromHex(member.root) })),
    ),
  );
  if (list.head.body.statement !== statement)
    throw refuse('statement-differs', 'The coordinator signed a statement that is not that of its list.');
  return { statement, members };
}

/** On a sparse graph, and within regions that open their own sums: of everybody in U2 enough neighbours must be left, or its secret could never be opened. */
function requireNeighbours(
  parameters: StudyParameters,
  { u1, u2 }: WithU1,
  list: { readonly members: readonly { readonly sender: number }[] },
): void {
  if (u1.ring === undefined && !parameters.opensRegions) return;
  const present = list.members.map((member) => member.sender);
  const graph = roundGraph(parameters, u1.members, u1.ring);
  const who = (u2?.members.map((member) => member.index) ?? present).filter(graph.neededFor(new Set(present)));
  const [first] = unopenable(graph, who, new Set(present));
  if (first !== undefined)
    throw refuse('too-few-neighbours', `Too few neighbours of ${nameOf(parameters, first)} are left in this round.`);
}

/** Without noise only unions of the contract's fixed batches may be opened: two sums must not differ by one member. */
export function checkOpenable(parameters: StudyParameters, survivors: readonly number[]): void {
  const { privacy, sealing } = parameters.contract;
  if (privacy.noise !== 'none') return;
  const present = new Set(survivors);
  const covered = new Set(sealing.openableBatches.filter((batch) => batch.every((index) => present.has(index))).flat());
  if (covered.size !== present.size)
    throw refuse(
      'batch-not-whole',
      'Without noise only whole batches of the contract may be opened; one is incomplete.',
    );
}

/** ≥ t valid signatures of distinct U3 members on the statement this participant signed itself. */
export function checkTranscript(
  cipher: Cipher,
  parameters: StudyParameters,
  state: RoundState & Required<Pick<RoundState, 'u3'>>,
  list: Broadcast<131, 3>,
): readonly Message<3>[] {
  checkCoordinatorSigned(cipher, parameters, state.round, list.head);
  checkAscending(list.members);
  const survivors = new Set(state.u3.members.map((member) => member.index));
  if (list.members.some((member) => !survivors.has(member.sender)))
    throw refuse('signer-outside-u3', 'A signature comes from an institution whose contribution is not in the sum.');
  if (
    list.head.body.statement !== state.u3.statement ||
    list.members.some((member) => member.body.statement !== state.u3.statement)
  )
    throw refuse('statement-differs', 'The institutions did not sign one and the same statement.');
  checkMemberSignatures(cipher, parameters, state.round, list.members);
  if (list.members.length < parameters.threshold)
    throw refuse(
      'too-few-signatures',
      `Only ${list.members.length} signatures came; ${parameters.threshold} are needed.`,
    );
  return list.members;
}
