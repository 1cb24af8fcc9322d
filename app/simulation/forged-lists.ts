// Lists as a lying coordinator makes them: any members, in any order, under its valid signature and with the hash that
// fits them, in the wire's own bytes. Nothing is left out of a member's body, so that every lie is really carried.

import { toHex } from '../encoding/bytes.ts';
import { encodeBroadcast } from '../round/lists.ts';
import { bodyBytes, coordinatorSender, signMessage } from '../round/messages.ts';
import type { AnyMessage, BodyOf, Message, Stage } from '../round/messages.ts';
import { setHash, statementHash } from '../sealed-sum/context.ts';
import type { RoundContext } from '../sealed-sum/context.ts';
import { fromHex } from '../encoding/bytes.ts';
import type { SmallStudy } from './small-study.ts';

export const contextAt = (study: SmallStudy, round: number): RoundContext => ({
  study: study.parameters.study,
  round,
});

/** Signed with the coordinator's real key. */
export function signedByCoordinator<S extends 128 | 129 | 130 | 131 | 132 | 133>(
  study: SmallStudy,
  round: number,
  stage: S,
  body: BodyOf<S>,
): Message<S> {
  return signMessage(study.cipher, study.coordinator, contextAt(study, round), stage, coordinatorSender, body);
}

/** Another body for a member's message, signed anew by that member (a colluding peer). */
export function signedAgain<S extends Stage>(
  study: SmallStudy,
  original: Message<S>,
  change: Partial<BodyOf<S>>,
): Message<S> {
  const { sender, round, stage } = original;
  return signMessage(study.cipher, study.identities[sender]!, contextAt(study, round), stage, sender, {
    ...original.body,
    ...change,
  });
}

const inOrder = <M extends { readonly sender: number }>(members: readonly M[]): M[] =>
  [...new Map(members.map((member) => [member.sender, member])).values()].sort(
    (left, right) => left.sender - right.sender,
  );

/** Hash over what is left of a list once it is in order and each member is in it once. */
function hashOf(study: SmallStudy, round: number, tag: 'css1/U1' | 'css1/U2', members: readonly AnyMessage[]): string {
  const list = inOrder(members).map((member) => ({ index: member.sender, body: bodyBytes(member) }));
  return toHex(setHash(study.cipher, tag, contextAt(study, round), list));
}

export function cohortBytes(study: SmallStudy, round: number, members: readonly Message<0>[]): Uint8Array {
  const u1 = hashOf(study, round, 'css1/U1', members);
  return encodeBroadcast(signedByCoordinator(study, round, 128, { u1 }), members, {});
}

export function sharersBytes(study: SmallStudy, u1: string, members: readonly Message<1>[]): Uint8Array {
  const round = members[0]!.round;
  const u2 = sharersHash(study, members);
  return encodeBroadcast(signedByCoordinator(study, round, 129, { u1, u2 }), members, {});
}

export const sharersHash = (study: SmallStudy, members: readonly Message<1>[]): string =>
  hashOf(study, members[0]!.round, 'css1/U2', members);

/** The third list, whose statement names the sets that `sets` says. */
export function survivorsBytes(
  study: SmallStudy,
  sets: { readonly u1: string; readonly u2: string },
  members: readonly Message<2>[],
): Uint8Array {
  const round = members[0]!.round;
  const statement = statementOver(study, sets, members);
  return encodeBroadcast(signedByCoordinator(study, round, 130, { ...sets, statement }), members, {});
}

export function statementOver(
  study: SmallStudy,
  { u1, u2 }: { readonly u1: string; readonly u2: string },
  members: readonly Message<2>[],
): string {
  const roots = inOrder(members).map((member) => ({ index: member.sender, root: fromHex(member.body.root) }));
  const context = contextAt(study, members[0]!.round);
  return toHex(statementHash(study.cipher, context, fromHex(u1), fromHex(u2), roots));
}

export function transcriptBytes(study: SmallStudy, statement: string, members: readonly Message<3>[]): Uint8Array {
  const round = members[0]!.round;
  return encodeBroadcast(signedByCoordinator(study, round, 131, { statement }), members, {});
}
