// What the coordinator takes from participants and relays: each message is checked by its stage's own rules and by the
// clients' checks, so that one bad message never stops the others; a second, different one becomes a proof. Design 3.

import { fromHex, toHex } from '../encoding/bytes.ts';
import { RefusalError } from '../errors.ts';
import { decodeBundle } from '../sealed-sum/box-frames.ts';
import { boxRoot } from '../sealed-sum/boxes.ts';
import { nonceCommitment } from '../sealed-sum/harary-ring.ts';
import { checkMemberSignatures, checkReady, sameMessage } from './checks.ts';
import { checkComplaint, judgeComplaint } from './complaints.ts';
import type { Coordinator } from './coordinator.ts';
import { namesFirstList } from './coordinator-state.ts';
import type { Accusation, CoordinatorRound } from './coordinator-state.ts';
import { shownBox } from './coordinator-lists.ts';
import { roundGraph } from './graph.ts';
import type { Message, Stage } from './messages.ts';
import { checkShares } from './opening.ts';
import { contextOf } from './parameters.ts';
import { withWholeTime } from './pace.ts';
import { checkRegionSum, relayRegion } from './regions.ts';
const late = (what: string) =>
  new RefusalError('stage-over', `${what} came after its stage had ended. Wait for the next round; nothing was lost.`);

export function acceptMessage(
  coordinator: Coordinator,
  state: CoordinatorRound,
  message: Message,
  bundle: Uint8Array | undefined,
): CoordinatorRound {
  if (message.round !== state.round)
    throw new RefusalError('old-round', `The message belongs to round ${message.round}; round ${state.round} is open.`);
  const is = <S extends Stage>(stage: S): boolean => message.stage === stage;
  if (is(0)) return acceptReady(coordinator, state, message as Message<0>);
  if (is(1)) return acceptShares(coordinator, state, message as Message<1>, bundle);
  if (is(2)) return acceptMasked(coordinator, state, message as Message<2>);
  if (is(3)) return acceptConsistency(coordinator, state, message as Message<3>);
  if (is(4)) return acceptUnmask(coordinator, state, message as Message<4>);
  if (is(5)) return acceptReveal(coordinator, state, message as Message<5>);
  if (is(6)) return acceptVouch(coordinator, state, message as Message<6>);
  if (is(64)) return acceptRegionSum(coordinator, state, message as Message<64>);
  if (is(16)) return acceptComplaint(coordinator, state, message as Message<16>);
  if (is(17)) return acceptAnswer(coordinator, state, message as Message<17>);
  throw new RefusalError('wrong-stage', 'This stage is not for participants to send.');
}

/**
 * Null if nothing of this stage is held. The very same message again changes nothing; a second, different one is never
 * taken in its place, and where both are validly signed they are kept as proof.
 */
function onceHeld(
  coordinator: Coordinator,
  state: CoordinatorRound,
  held: Message | undefined,
  message: Message,
): CoordinatorRound | null {
  if (held === undefined) return null;
  if (sameMessage(held as never, message as never)) return state;
  signedByMember(coordinator, state, message);
  const accusation = { accused: message.sender, reason: 'two-messages-for-one-stage' as const };
  return accuse(state, { ...accusation, proof: [held, message], boxes: [] });
}

function signedByMember(coordinator: Coordinator, state: CoordinatorRound, message: Message): void {
  checkMemberSignatures(coordinator.cipher, coordinator.parameters, state.round, [message as never]);
}

const inserted = <V>(map: ReadonlyMap<number, V>, key: number, value: V): ReadonlyMap<number, V> =>
  new Map([...map, [key, value] as const].sort(([left], [right]) => left - right));

function acceptReady(coordinator: Coordinator, state: CoordinatorRound, message: Message<0>): CoordinatorRound {
  const held = onceHeld(coordinator, state, state.readies.get(message.sender), message);
  if (held !== null) return held;
  if (state.stage !== 'ready') throw late('The Ready');
  if (!state.eligible.includes(message.sender))
    throw new RefusalError('not-eligible', 'This institution is excluded, or has stopped taking part in this study.');
  checkReady(coordinator.cipher, coordinator.parameters, message, state.expected);
  const keys = [...state.readies.values()].flatMap((ready) => [ready.body.keys!.boxes, ready.body.keys!.masks]);
  const own = [message.body.keys!.boxes, message.body.keys!.masks];
  if (own[0] === own[1] || own.some((key) => keys.includes(key)))
    throw new RefusalError('keys-not-distinct', 'A one-time key of this Ready was already used by another.');
  return { ...state, readies: inserted(state.readies, message.sender, message) };
}

function acceptReveal(coordinator: Coordinator, state: CoordinatorRound, message: Message<5>): CoordinatorRound {
  const held = onceHeld(coordinator, state, state.reveals.get(message.sender), message);
  if (held !== null) return held;
  if (state.stage !== 'reveals' || state.u1 === null) throw late('The part of the draw');
  const ready = state.readies.get(message.sender);
  if (ready === undefined)
    throw new RefusalError('sets-not-nested', 'This institution is not among those taking part in this round.');
  if (!namesFirstList(state, message.body))
    throw new RefusalError('u1-differs', 'The part of the draw names another first list than the one that was sent.');
  const { cipher } = coordinator;
  if (toHex(nonceCommitment(cipher, fromHex(message.body.nonce, 32))) !== ready.body.keys!.nonce)
    throw new RefusalError('nonce-differs', 'The part of the draw is not the one that was committed to.');
  signedByMember(coordinator, state, message);
  return { ...state, reveals: inserted(state.reveals, message.sender, message) };
}

function acceptShares(
  coordinator: Coordinator,
  state: CoordinatorRound,
  message: Message<1>,
  bundle: Uint8Array | undefined,
): CoordinatorRound {
  const held = onceHeld(coordinator, state, state.shares.get(message.sender)?.message, message);
  if (held !== null) return held;
  if (state.stage !== 'shares' || state.u1 === null) throw late('The shares');
  if (!state.members.some((member) => member.index === message.sender))
    throw new RefusalError('sets-not-nested', 'This institution is not among those taking part in this round.');
  if (!namesFirstList(state, message.body))
    throw new RefusalError('u1-differs', 'The shares name another first list than the one that was sent.');
  signedByMember(coordinator, state, message);
  if (bundle === undefined) throw new RefusalError('boxes-missing', 'The shares came without their boxes.');
  const boxes = decodeBundle(bundle);
  const graph = roundGraph(coordinator.parameters, state.members, state.ring);
  if (message.body.ring !== state.drawn?.body.ring)
    throw new RefusalError('ring-differs', 'The boxes were dealt on another graph than the one that was drawn.');
  const holders = boxes.map((box) => box.holder).join();
  if (holders !== graph.holdersOf(message.sender).join())
    throw new RefusalError('boxes-incomplete', 'The boxes are not one for each of their holders, in order.');
  const context = contextOf(coordinator.parameters, state.round);
  const root = toHex(boxRoot(coordinator.cipher, context, message.sender, boxes));
  if (root !== message.body.boxes)
    throw new RefusalError('boxes-off-root', 'The boxes do not give the root that was signed with them.');
  return { ...state, shares: inserted(state.shares, message.sender, { message, bundle }) };
}

function acceptMasked(coordinator: Coordinator, state: CoordinatorRound, message: Message<2>): CoordinatorRound {
  const held = onceHeld(coordinator, state, state.masked.get(message.sender)?.message, message);
  if (held !== null) return held;
  if (state.stage !== 'masked' || state.u2 === null) throw late('The sealed contribution');
  if (!state.sharers.includes(message.sender))
    throw new RefusalError('sets-not-nested', 'This institution is not in the second list of this round.');
  if (message.body.u1 !== state.u2.body.u1 || message.body.u2 !== state.u2.body.u2)
    throw new RefusalError('u2-differs', 'The sealed contribution was made for other lists than were sent.');
  signedByMember(coordinator, state, message);
  return { ...state, masked: inserted(state.masked, message.sender, { message, complete: false }) };
}

/** A relay's sum, whose members' contributions are all announced here with the same roots. */
function acceptRegionSum(coordinator: Coordinator, state: CoordinatorRound, message: Message<64>): CoordinatorRound {
  const { cipher, parameters } = coordinator;
  const region = checkRegionSum(cipher, parameters, state.round, message);
  const held = state.regionSums.get(region.position)?.message;
  if (held !== undefined) {
    if (sameMessage(held, message)) return state;
    throw new RefusalError('region-sum-twice', `The relay of region ${region.name} signed two sums for one round.`);
  }
  if (state.stage !== 'masked' || state.u2 === null) throw late('The sum of a region');
  if (message.body.u1 !== state.u2.body.u1 || message.body.u2 !== state.u2.body.u2)
    throw new RefusalError('u2-differs', 'The sum of a region was made for other lists than were sent.');
  if (message.body.members.some(({ index, root }) => state.masked.get(index)?.message.body.root !== root))
    throw new RefusalError(
      'not-announced',
      'The sum of a region holds a contribution that its owner did not announce.',
    );
  return { ...state, regionSums: inserted(state.regionSums, region.position, { message, complete: false }) };
}

function acceptRegionUpload(state: CoordinatorRound, position: number): CoordinatorRound {
  const held = state.regionSums.get(position);
  if (held === undefined) throw new RefusalError('not-announced', 'Chunks came before the signed root they belong to.');
  if (held.complete) return state;
  if (state.stage !== 'masked') throw late('The last chunk');
  const masked = new Map(state.masked);
  for (const { index } of held.message.body.members) masked.set(index, { ...masked.get(index)!, complete: true });
  return { ...state, masked, regionSums: inserted(state.regionSums, position, { ...held, complete: true }) };
}

function acceptVouch(coordinator: Coordinator, state: CoordinatorRound, message: Message<6>): CoordinatorRound {
  const held = onceHeld(coordinator, state, state.vouches.get(message.sender), message);
  if (held !== null) return held;
  if (state.stage === 'closed') return state;
  if (state.stage !== 'vouching' || state.result === null) throw late('The word on the sum');
  if (!state.survivors.includes(message.sender))
    throw new RefusalError('signer-outside-u3', 'This institution’s contribution is not in the sum of this round.');
  const { statement, sum } = state.result.body;
  if (message.body.statement !== statement || message.body.sum !== sum)
    throw new RefusalError('vouch-differs', 'The institution speaks of another sum than the one that was sent.');
  signedByMember(coordinator, state, message);
  return { ...state, vouches: inserted(state.vouches, message.sender, message) };
}

export function acceptUpload(coordinator: Coordinator, state: CoordinatorRound, sender: number): CoordinatorRound {
  const region = relayRegion(coordinator.parameters, sender);
  if (region !== null) return acceptRegionUpload(state, region.position);
  if (coordinator.parameters.regions.length > 0)
    throw new RefusalError('through-relay', 'In this study contributions come through the region’s relay.');
  const held = state.masked.get(sender);
  if (held === undefined) throw new RefusalError('not-announced', 'Chunks came before the signed root they belong to.');
  if (held.complete) return state;
  if (state.stage !== 'masked') throw late('The last chunk');
  return { ...state, masked: inserted(state.masked, sender, { ...held, complete: true }) };
}

function acceptConsistency(coordinator: Coordinator, state: CoordinatorRound, message: Message<3>): CoordinatorRound {
  const held = onceHeld(coordinator, state, state.consistency.get(message.sender), message);
  if (held !== null) return held;
  if (state.stage !== 'consistency' || state.u3 === null) throw late('The signature on the statement');
  if (!state.survivors.includes(message.sender))
    throw new RefusalError('signer-outside-u3', 'This institution’s contribution is not in the sum of this round.');
  if (message.body.statement !== state.u3.body.statement)
    throw new RefusalError('statement-differs', 'The signature is on another statement than the one that was sent.');
  signedByMember(coordinator, state, message);
  return { ...state, consistency: inserted(state.consistency, message.sender, message) };
}

function acceptUnmask(coordinator: Coordinator, state: CoordinatorRound, message: Message<4>): CoordinatorRound {
  const held = onceHeld(coordinator, state, state.unmask.get(message.sender), message);
  if (held !== null) return held;
  // After enough shares came, further ones are thanked for and not needed.
  if (state.stage === 'opening' || state.stage === 'vouching' || state.stage === 'closed') return state;
  if (state.stage !== 'unmask' || state.u3 === null) throw late('The shares for opening');
  if (!state.survivors.includes(message.sender))
    throw new RefusalError('signer-outside-u3', 'This institution’s contribution is not in the sum of this round.');
  signedByMember(coordinator, state, message);
  const dealer = checkShares(coordinator.cipher, coordinator.parameters, state, message);
  if (dealer !== null)
    return accuse(state, {
      accused: message.sender,
      reason: 'wrong-share',
      proof: [
        ...drawOf(state),
        ...state.sharers.map((index) => state.shares.get(index)!.message),
        state.masked.get(message.sender)!.message,
        message,
      ],
      boxes: [shownBox(coordinator, state, dealer, message.sender)],
    });
  return { ...state, unmask: inserted(state.unmask, message.sender, message) };
}

/** What places a box and a key: the whole first list, and what drew the graph. */
export const drawOf = (state: CoordinatorRound): Message[] => [...state.readies.values(), ...state.reveals.values()];

export function accuse(state: CoordinatorRound, accusation: Accusation): CoordinatorRound {
  if (state.accusations.some((other) => other.accused === accusation.accused && other.reason === accusation.reason))
    return state;
  return { ...state, accusations: [...state.accusations, accusation] };
}

function acceptComplaint(coordinator: Coordinator, state: CoordinatorRound, message: Message<16>): CoordinatorRound {
  const same = (other: Message<16>): boolean =>
    other.sender === message.sender && other.body.dealer === message.body.dealer;
  if (state.complaints.some(same)) return state;
  if (state.stage !== 'masked' || state.u1 === null) throw late('The complaint');
  const dealer = state.shares.get(message.body.dealer);
  if (!state.sharers.includes(message.sender) || dealer === undefined || message.body.u1 !== state.u1.body.u1)
    throw new RefusalError('complaint-off-root', 'The complaint is not about a box of this round.');
  signedByMember(coordinator, state, message);
  const holders = roundGraph(coordinator.parameters, state.members, state.ring).holdersOf(message.body.dealer);
  checkComplaint(coordinator.cipher, coordinator.parameters, holders, dealer.message, message);
  return withWholeTime(coordinator.parameters, { ...state, complaints: [...state.complaints, message] });
}

function acceptAnswer(coordinator: Coordinator, state: CoordinatorRound, message: Message<17>): CoordinatorRound {
  const complaint = state.complaints.find(
    (other) => other.body.dealer === message.sender && other.sender === message.body.complainer,
  );
  if (complaint === undefined || message.body.u1 !== complaint.body.u1)
    throw new RefusalError('no-such-complaint', 'The answer is to a complaint that nobody made.');
  if (state.answers.some((other) => other.sender === message.sender && other.body.complainer === complaint.sender))
    return state;
  signedByMember(coordinator, state, message);
  const { cipher, parameters } = coordinator;
  const liar = judgeComplaint(cipher, parameters, state.members, complaint, message);
  const dealt = state.shares.get(message.sender)!.message;
  const proof = [...drawOf(state), dealt, complaint, message];
  const accusation: Accusation =
    liar === 'dealer'
      ? { accused: message.sender, reason: 'bad-box', proof, boxes: [] }
      : { accused: complaint.sender, reason: 'false-complaint', proof, boxes: [] };
  return accuse({ ...state, answers: [...state.answers, message] }, accusation);
}
