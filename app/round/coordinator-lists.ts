// What participants fetch of a round, in the wire's form, and what a proof shows of a box: read from the coordinator's
// state, which it never changes. Design 3, "Bytes".

import { toHex } from '../encoding/bytes.ts';
import { merklePath, merklePaths } from '../encoding/merkle.ts';
import { bundleEntry, decodeBundle, encodeDelivery } from '../sealed-sum/box-frames.ts';
import { boxLeafHash } from '../sealed-sum/boxes.ts';
import type { Coordinator } from './coordinator.ts';
import type { CoordinatorRound, ShownBox } from './coordinator-state.ts';
import { roundGraph } from './graph.ts';
import { encodeBroadcast } from './lists.ts';
import type { BodyOf, Message } from './messages.ts';
import { contextOf } from './parameters.ts';

/** The broadcast that ended `stage`, in the wire's form; null while the stage lasts. */
export function broadcastBytes(state: CoordinatorRound, stage: 0 | 1 | 2 | 3 | 5 | 6): Uint8Array | null {
  if (stage === 6)
    return (
      state.vouched &&
      encodeBroadcast(
        state.vouched,
        [...state.vouches.values()].filter((vouch) => vouch.body.agrees),
        state.vouched.body,
      )
    );
  if (stage === 0) return state.u1 && encodeBroadcast(state.u1, [...state.readies.values()], commonReadyFields(state));
  const common = { u1: state.u1?.body.u1 ?? '', u2: state.u2?.body.u2 ?? '' };
  if (stage === 5)
    return (
      state.drawn &&
      encodeBroadcast(state.drawn, [...state.reveals.values()], { u1: common.u1, u1Signature: state.u1!.signature })
    );
  const ring = state.drawn === null ? {} : { ring: state.drawn.body.ring };
  if (stage === 1)
    return (
      state.u2 &&
      encodeBroadcast(
        state.u2,
        state.sharers.map((index) => state.shares.get(index)!.message),
        { u1: common.u1, u1Signature: state.u1!.signature, ...ring },
      )
    );
  if (stage === 2)
    return (
      state.u3 &&
      encodeBroadcast(
        state.u3,
        state.survivors.map((index) => state.masked.get(index)!.message),
        common,
      )
    );
  return (
    state.transcript &&
    encodeBroadcast(
      state.transcript,
      state.signers.map((index) => state.consistency.get(index)!),
      { ...common, statement: state.u3!.body.statement },
    )
  );
}

function commonReadyFields(state: CoordinatorRound): Partial<BodyOf<0>> {
  const { round, contract, config, model } = state.expected;
  return { round, contract, config, model };
}

/** The box of `dealer` for `holder`, with what puts it under the dealer's root. */
export function shownBox(coordinator: Coordinator, state: CoordinatorRound, dealer: number, holder: number): ShownBox {
  const { cipher, parameters } = coordinator;
  const context = contextOf(parameters, state.round);
  const boxes = decodeBundle(state.shares.get(dealer)!.bundle);
  const leaves = boxes.map((entry) => boxLeafHash(cipher, context, dealer, entry.holder, entry.sealed));
  const place = boxes.findIndex((entry) => entry.holder === holder);
  const { sealed } = boxes[place]!;
  return {
    dealer,
    holder,
    box: toHex(sealed.box),
    ephemeralKey: toHex(sealed.ephemeralPublicKey),
    shareHashes: { self: toHex(sealed.shareHashB), mask: toHex(sealed.shareHashS) },
    path: merklePath(cipher, leaves, place).map(toHex),
  };
}

/** By dealer: the Merkle path of its box for each of its holders, in order. */
export type BoxPaths = ReadonlyMap<number, readonly (readonly Uint8Array[])[]>;

/** All paths of a round whose U2 is set: n² hashes, so worked out once and not for each recipient. */
export function boxPaths(coordinator: Coordinator, state: CoordinatorRound): BoxPaths {
  const { cipher } = coordinator;
  const context = contextOf(coordinator.parameters, state.round);
  return new Map(
    state.sharers.map((dealer) => {
      const boxes = decodeBundle(state.shares.get(dealer)!.bundle);
      const leaves = boxes.map(({ holder, sealed }) => boxLeafHash(cipher, context, dealer, holder, sealed));
      return [dealer, merklePaths(cipher, leaves)];
    }),
  );
}

/** The boxes dealt to `recipient` by every member of U2 that deals to it, each with its path. Null before U2 is set. */
export function deliveryBytes(
  coordinator: Coordinator,
  state: CoordinatorRound,
  recipient: number,
  paths: BoxPaths = boxPaths(coordinator, state),
): Uint8Array | null {
  if (state.u2 === null || !state.members.some((member) => member.index === recipient)) return null;
  const graph = roundGraph(coordinator.parameters, state.members, state.ring);
  return encodeDelivery(
    state.sharers.flatMap((dealer) => {
      const position = graph.holdersOf(dealer).indexOf(recipient);
      if (position < 0) return [];
      const { sealed } = bundleEntry(state.shares.get(dealer)!.bundle, position);
      return { dealer, sealed, path: paths.get(dealer)![position]! };
    }),
  );
}

/** Regions whose sum is there whole, ascending. */
export const completeRegions = (state: CoordinatorRound): number[] =>
  [...state.regionSums]
    // Of a region with too few members for a sum of its own nobody is in U3.
    .filter(
      ([, { complete, message }]) =>
        complete && (state.u3 === null || message.body.members.some(({ index }) => state.survivors.includes(index))),
    )
    .map(([position]) => position);

/** The relays' signed sums that are in the sum, for whoever checks it. */
export const shownRegionSums = (state: CoordinatorRound): Message<64>[] =>
  completeRegions(state).map((position) => state.regionSums.get(position)!.message);
