// From shares to secrets: checks what participants return in R4 against the hashes their dealers signed, rebuilds each
// secret and holds it against its commitment. A share that misses its hash names its sender; t valid shares that miss
// the commitment name the dealer. Design 3, R4–R5.

import { fromHex, toHex } from '../encoding/bytes.ts';
import { InputError, RefusalError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { bundleEntry } from '../sealed-sum/box-frames.ts';
import { selfSeedCommitment, shareHash } from '../sealed-sum/keys.ts';
import { joinerFor } from '../sealed-sum/shamir.ts';
import type { CoordinatorRound, OpenedSeed } from './coordinator-state.ts';
import { roundGraph, unopenable } from './graph.ts';
import type { Message } from './messages.ts';
import { contextOf } from './parameters.ts';
import type { StudyParameters } from './parameters.ts';

/** Which secret of `member` may be opened: its self-mask seed if its vector is in the sum, else its mask key. */
export const kindFor = (survivors: ReadonlySet<number>, member: number): 0 | 1 => (survivors.has(member) ? 0 : 1);

/**
 * The form of an R4 is refused outright (it proves nothing about its sender's shares); of a share that misses its hash
 * the dealer is returned.
 */
export function checkShares(
  cipher: Cipher,
  parameters: StudyParameters,
  state: CoordinatorRound,
  message: Message<4>,
): number | null {
  const survivors = new Set(state.survivors);
  const { shares, statement } = message.body;
  if (statement !== state.u3?.body.statement)
    throw new RefusalError('statement-differs', 'The shares are for another statement than the one that was signed.');
  const graph = roundGraph(parameters, state.members, state.ring);
  const dealers = state.sharers.filter((dealer) => graph.holdersOf(dealer).includes(message.sender));
  const asked = dealers.map((dealer) => `${dealer}:${kindFor(survivors, dealer)}`).join();
  if (shares.map((share) => `${share.dealer}:${share.kind}`).join() !== asked)
    throw new RefusalError(
      'both-shares',
      'The shares are not exactly one for each member, of the kind its state asks for.',
    );
  const context = contextOf(parameters, state.round);
  for (const { dealer, kind, share } of shares) {
    const dealt = state.shares.get(dealer)!;
    const position = graph.holdersOf(dealer).indexOf(message.sender);
    const { sealed } = bundleEntry(dealt.bundle, position);
    const wanted = kind === 0 ? sealed.shareHashB : sealed.shareHashS;
    const found = shareHash(cipher, context, dealer, message.sender, kind === 0 ? 'b' : 's', fromHex(share, 32));
    if (toHex(found) !== toHex(wanted)) return dealer;
  }
  return null;
}

/** Whether enough holders of every dealer's shares have answered. */
export function canOpen(parameters: StudyParameters, state: CoordinatorRound): boolean {
  const graph = roundGraph(parameters, state.members, state.ring);
  const needed = state.sharers.filter(graph.neededFor(new Set(state.survivors)));
  return unopenable(graph, needed, new Set(state.unmask.keys())).length === 0;
}

/** Rebuilds every secret from the first valid answers of its holders, as many as the share threshold. */
export function openSeeds(
  cipher: Cipher,
  parameters: StudyParameters,
  state: CoordinatorRound,
): { readonly seeds: readonly OpenedSeed[] } | { readonly dealer: number; readonly answers: readonly Message<4>[] } {
  const survivors = new Set(state.survivors);
  const graph = roundGraph(parameters, state.members, state.ring);
  /** The weights of a set of holders are worked out once: on the complete graph there is one. */
  const joiners = new Map<string, ReturnType<typeof joinerFor>>();
  const joinerOf = (answers: readonly Message<4>[]) => {
    const holders = answers.map((answer) => answer.sender);
    const join = joiners.get(holders.join()) ?? joinerFor(holders);
    joiners.set(holders.join(), join);
    return join;
  };
  const seeds: OpenedSeed[] = [];
  for (const dealer of state.sharers.filter(graph.neededFor(survivors))) {
    const kind = kindFor(survivors, dealer);
    const held = new Set(graph.holdersOf(dealer));
    const answers = [...state.unmask.values()]
      .filter(({ sender }) => held.has(sender))
      .slice(0, graph.thresholdOf(dealer));
    const secret = joined(
      joinerOf(answers),
      answers.map((answer) => answer.body.shares.find((share) => share.dealer === dealer)!.share),
    );
    const dealt = state.shares.get(dealer)!.message;
    if (
      secret === null ||
      !isCommitted(cipher, parameters, state.round, { index: dealer, kind, secret }, commitmentOf(state, dealt))
    )
      return { dealer, answers };
    seeds.push({ index: dealer, kind, secret: toHex(secret) });
  }
  return { seeds };
}

/** The secret that `shares` (hex) of these holders give; null where a share is no number of the field. */
export function joinedSecret(holders: readonly number[], shares: readonly string[]): Uint8Array | null {
  return joined(joinerFor(holders), shares);
}

/** Null where a dealt share, true to its hash, is no number of the field: then its dealer lied. */
function joined(join: (shares: readonly Uint8Array[]) => Uint8Array, shares: readonly string[]): Uint8Array | null {
  try {
    return join(shares.map((share) => fromHex(share, 32)));
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}

function commitmentOf(
  state: CoordinatorRound,
  dealt: Message<1>,
): { readonly selfMask: string; readonly masks: string } {
  const member = state.members.find((one) => one.index === dealt.sender)!;
  return { selfMask: dealt.body.selfMask, masks: member.masks };
}

/** Whether a secret is the one its owner committed to: H(b) for a seed, spk for a mask key. */
export function isCommitted(
  cipher: Cipher,
  parameters: StudyParameters,
  round: number,
  opened: { readonly index: number; readonly kind: 0 | 1; readonly secret: Uint8Array },
  commitment: { readonly selfMask: string; readonly masks: string },
): boolean {
  return opened.kind === 0
    ? toHex(selfSeedCommitment(cipher, contextOf(parameters, round), opened.index, opened.secret)) ===
        commitment.selfMask
    : toHex(cipher.x25519PublicKey(opened.secret)) === commitment.masks;
}
