// Proof against a liar that anybody can check who holds the signed contract: no trust in the coordinator, which collects
// it. What places a box or a key is taken from the whole list of Readies, whose hash the accused signed itself; a second
// list, or a second leaf for one holder under a dealer's root, therefore frames nobody. Design 3, "Stages".

import { z } from 'zod';
import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalBytes, canonicalJson, parseCanonical } from '../encoding/canonical-json.ts';
import { pathLeadsTo } from '../encoding/merkle.ts';
import { InputError, RefusalError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { boxLeafHash } from '../sealed-sum/boxes.ts';
import { setHash } from '../sealed-sum/context.ts';
import { shareHash } from '../sealed-sum/keys.ts';
import { judgeComplaint, onDealersRoot } from './complaints.ts';
import { accusationReasons } from './coordinator-state.ts';
import type { Accusation, ShownBox } from './coordinator-state.ts';
import { ringOf, roundGraph, usesSparseGraph } from './graph.ts';
import type { RoundGraph } from './graph.ts';
import { bodyBytes, coordinatorSender, isSignedBy, messageFrom } from './messages.ts';
import type { AnyMessage, Message, Stage } from './messages.ts';
import { isCommitted, joinedSecret } from './opening.ts';
import { contextOf, coordinatorKeyAt } from './parameters.ts';
import type { StudyParameters } from './parameters.ts';
import type { CohortMember } from './participant-state.ts';

/** `why`: what the proof lacks, in words. Silence on a complaint is never proven: it leaves nothing to show. */
export type Verdict = { readonly proven: true } | { readonly proven: false; readonly why: string };

/** Two lists of one stage and round, both signed by the coordinator. */
export type Equivocation = { readonly first: AnyMessage; readonly second: AnyMessage };

class NotProven extends Error {}

function need(holds: boolean, why: string): asserts holds {
  if (!holds) throw new NotProven(why);
}

export function verifyAccusation(cipher: Cipher, parameters: StudyParameters, accusation: Accusation): Verdict {
  const round = accusation.proof[0]?.round ?? 0;
  const proof = { cipher, parameters, round, accusation };
  return judged(() => {
    for (const message of accusation.proof) needSigned(proof, message as AnyMessage);
    switch (accusation.reason) {
      case 'two-messages-for-one-stage':
        return needTwoMessages(accusation);
      case 'bad-box':
      case 'false-complaint':
        return needLiar(proof);
      case 'wrong-share':
        return needWrongShare(proof);
      case 'wrong-secret':
        return needWrongSecret(proof);
      case 'silent-on-complaint':
        return need(false, 'Silence cannot be proven; the lead decides.');
    }
  });
}

export function verifyEquivocation(
  cipher: Cipher,
  parameters: StudyParameters,
  { first, second }: Equivocation,
): Verdict {
  return judged(() => {
    for (const message of [first, second]) {
      need(message.sender === coordinatorSender && message.stage >= 128, 'These are not lists of the coordinator.');
      need(
        isSignedBy(cipher, contextOf(parameters, message.round), message, coordinatorKeyAt(parameters, message.round)),
        'The coordinator did not sign both.',
      );
    }
    needDifferent(first, second);
  });
}

function judged(check: () => void): Verdict {
  try {
    check();
    return { proven: true };
  } catch (error) {
    if (!(error instanceof NotProven)) throw error;
    return { proven: false, why: error.message };
  }
}

type Proof = {
  readonly cipher: Cipher;
  readonly parameters: StudyParameters;
  readonly round: number;
  readonly accusation: Accusation;
};

function needSigned({ cipher, parameters, round }: Proof, message: AnyMessage): void {
  const key = parameters.identityKeys[message.sender];
  need(
    key !== undefined && isSignedBy(cipher, contextOf(parameters, round), message, key),
    'A message of the proof is not validly signed for that round.',
  );
}

function needDifferent(first: Message, second: Message): void {
  need(
    first.round === second.round && first.stage === second.stage && first.sender === second.sender,
    'The two messages are not of one sender for one stage.',
  );
  need(canonicalJson(first.body) !== canonicalJson(second.body), 'The two messages say the same.');
}

function needTwoMessages({ accused, proof }: Accusation): void {
  const [first, second] = proof;
  need(proof.length === 2 && first !== undefined && second !== undefined, 'Two messages are needed.');
  need(first.sender === accused && first.stage <= 5, 'The messages are not stages of the accused.');
  needDifferent(first, second);
}

function allOf<S extends Stage>({ accusation }: Proof, stage: S): Message<S>[] {
  return accusation.proof.filter((message): message is Message<S> & Message => message.stage === stage);
}

function oneOf<S extends Stage>(proof: Proof, stage: S, sender?: number): Message<S> {
  const found = allOf(proof, stage).find((message) => sender === undefined || message.sender === sender);
  need(found !== undefined, `The proof lacks a message of stage ${stage}.`);
  return found;
}

/** Who holds a dealer's boxes, in order: the ring, if there was one, follows from the reveals of the whole list. */
function needGraph(proof: Proof, u1: string, members: readonly CohortMember[]): RoundGraph {
  const { cipher, parameters, round } = proof;
  const readies = allOf(proof, 0);
  if (!usesSparseGraph(parameters, readies)) return roundGraph(parameters, members, undefined);
  const commitments = readies.map(({ sender, body }) => ({ index: sender, nonce: body.keys?.nonce ?? '' }));
  try {
    const ring = ringOf(cipher, parameters, round, u1, commitments, allOf(proof, 5));
    return roundGraph(parameters, members, ring);
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    return need(false, 'The proof does not show the graph that was drawn.') as never;
  }
}

/** The list that `u1` is the hash of. */
function needMembers(proof: Proof, u1: string): CohortMember[] {
  const readies = allOf(proof, 0);
  needHash(proof, 'css1/U1', readies, u1);
  return readies.map(({ sender, body }) => {
    need(body.keys !== null, 'A Ready of the list has no keys.');
    return { index: sender, boxes: body.keys.boxes, masks: body.keys.masks };
  });
}

function needHash(
  { cipher, parameters, round }: Proof,
  tag: 'css1/U1' | 'css1/U2',
  list: readonly AnyMessage[],
  hash: string,
): void {
  const ascends = list.every((message, at) => at === 0 || message.sender > list[at - 1]!.sender);
  need(list.length > 0 && ascends, 'A list of the proof is out of order.');
  const members = list.map((message) => ({ index: message.sender, body: bodyBytes(message) }));
  const found = toHex(setHash(cipher, tag, contextOf(parameters, round), members));
  need(found === hash, 'A list of the proof is not the one that was signed.');
}

/** Complaint and answer: whoever of the two is accused must be the one that lied. */
function needLiar(proof: Proof): void {
  const { cipher, parameters, accusation } = proof;
  const complaint = oneOf(proof, 16);
  const answer = oneOf(proof, 17);
  const { dealer, u1 } = complaint.body;
  const dealt = oneOf(proof, 1, dealer);
  need(answer.sender === dealer && answer.body.complainer === complaint.sender, 'The answer is to another complaint.');
  need(dealt.body.u1 === u1 && answer.body.u1 === u1, 'The messages belong to different lists.');
  const members = needMembers(proof, u1);
  const holders = needGraph(proof, u1, members).holdersOf(dealer);
  need(onDealersRoot(cipher, parameters, holders, dealt, complaint), 'The box is not under the dealer’s root.');
  const dealerLied = judgeComplaint(cipher, parameters, members, complaint, answer) === 'dealer';
  need(dealerLied === (accusation.reason === 'bad-box'), 'It was the other one who lied.');
  need(accusation.accused === (dealerLied ? dealer : complaint.sender), 'Another institution is accused.');
}

/** The hash that `dealer` committed to for one share of `holder`. */
function committedShare(proof: Proof, graph: RoundGraph, dealt: Message<1>, holder: number, kind: number): string {
  const { cipher, parameters, round, accusation } = proof;
  const shown = accusation.boxes.find((box) => box.dealer === dealt.sender && box.holder === holder);
  need(shown !== undefined, 'The proof lacks a box.');
  const holders = graph.holdersOf(dealt.sender);
  const place = holders.indexOf(holder);
  const leaf = boxLeafHash(cipher, contextOf(parameters, round), shown.dealer, holder, sealedOf(shown));
  const root = fromHex(dealt.body.boxes);
  const path = shown.path.map((hash) => fromHex(hash));
  need(
    place >= 0 && pathLeadsTo(cipher, root, leaf, place, holders.length, path),
    'A box of the proof is not under the dealer’s root at its holder’s place.',
  );
  return kind === 0 ? shown.shareHashes.self : shown.shareHashes.mask;
}

function hashOfShare({ cipher, parameters, round }: Proof, share: Share, holder: number): string {
  const kind = share.kind === 0 ? 'b' : 's';
  return toHex(shareHash(cipher, contextOf(parameters, round), share.dealer, holder, kind, fromHex(share.share)));
}

type Share = Message<4>['body']['shares'][number];

function needWrongShare(proof: Proof): void {
  const { accused } = proof.accusation;
  const answer = oneOf(proof, 4, accused);
  // Its signed R2 names both lists, and so every root that it accepted.
  const { u1, u2 } = oneOf(proof, 2, accused).body;
  const graph = needGraph(proof, u1, needMembers(proof, u1));
  const dealers = allOf(proof, 1);
  needHash(proof, 'css1/U2', dealers, u2);
  const wrong = answer.body.shares.filter((share) => proof.accusation.boxes.some((box) => box.dealer === share.dealer));
  need(wrong.length > 0, 'The proof shows no box for any of the shares.');
  for (const share of wrong) {
    const dealt = oneOf(proof, 1, share.dealer);
    const committed = committedShare(proof, graph, dealt, accused, share.kind);
    need(hashOfShare(proof, share, accused) !== committed, 'The share is the one that was dealt.');
  }
}

function needWrongSecret(proof: Proof): void {
  const { cipher, parameters, round } = proof;
  const { accused } = proof.accusation;
  const dealt = oneOf(proof, 1, accused);
  const members = needMembers(proof, dealt.body.u1);
  const masks = members.find((member) => member.index === accused)?.masks;
  need(masks !== undefined, 'The accused is not in the list.');
  const graph = needGraph(proof, dealt.body.u1, members);
  const answers = allOf(proof, 4);
  const holders = answers.map((answer) => answer.sender);
  need(
    new Set(holders).size === holders.length && holders.length >= graph.thresholdOf(accused),
    'The shares of as many different holders as open a secret are needed.',
  );
  const shares = answers.map((answer) => answer.body.shares.find((share) => share.dealer === accused));
  const kind = shares[0]?.kind === 1 ? 1 : 0;
  const bytes = shares.map((share, at) => {
    need(share !== undefined && share.kind === kind, 'The shares are not of one secret.');
    const committed = committedShare(proof, graph, dealt, holders[at]!, kind);
    need(hashOfShare(proof, share, holders[at]!) === committed, 'A share is not the one that was dealt.');
    return share.share;
  });
  const secret = joinedSecret(holders, bytes);
  const commitment = { selfMask: dealt.body.selfMask, masks };
  need(
    secret === null || !isCommitted(cipher, parameters, round, { index: accused, kind, secret }, commitment),
    'The shares give the secret that the accused committed to.',
  );
}

const sealedOf = (box: ShownBox) => ({
  box: fromHex(box.box),
  ephemeralPublicKey: fromHex(box.ephemeralKey),
  shareHashB: fromHex(box.shareHashes.self),
  shareHashS: fromHex(box.shareHashes.mask),
});

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const index = z.number().int().min(0).max(499);
const wire = z.array(
  z.strictObject({
    accused: index,
    reason: z.enum(accusationReasons),
    proof: z.array(z.unknown()).max(2000),
    boxes: z
      .array(
        z.strictObject({
          dealer: index,
          holder: index,
          box: z.string().regex(/^(?:[0-9a-f]{2}){1,2000}$/),
          ephemeralKey: hex32,
          shareHashes: z.strictObject({ self: hex32, mask: hex32 }),
          path: z.array(hex32).max(16),
        }),
      )
      .max(500),
  }),
);

export const encodeAccusations = (accusations: readonly Accusation[]): Uint8Array => canonicalBytes(accusations);

/** @throws InputError `message-malformed`, `not-json`, `not-canonical`. */
export function decodeAccusations(bytes: Uint8Array): Accusation[] {
  const parsed = wire.max(500).safeParse(parseCanonical(bytes));
  if (!parsed.success) throw new InputError('message-malformed', 'The coordinator’s list of exclusions is malformed.');
  return parsed.data.map((one) => ({ ...one, proof: one.proof.map((value) => messageFrom(value) as Message) }));
}
