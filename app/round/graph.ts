// Who holds shares of whom in a round, and how many of them open a secret: everybody of everybody (t of U1) on the complete
// graph; everybody of the region (t_r) where regions open their own sums; the neighbours on the ring, without the dealer, on a
// sparse one. Which it is follows from the contract and U1 alone, so that no coordinator chooses. Design 3, "Complete graph",
// R0b and "Trees".

import { fromHex, toHex } from '../encoding/bytes.ts';
import type { Cipher } from '../ports.ts';
import { neighboursOn, nonceCommitment, ringOrder } from '../sealed-sum/harary-ring.ts';
import type { Ring } from '../sealed-sum/harary-ring.ts';
import { refuse } from './refuse.ts';
import type { Message } from './messages.ts';
import { contextOf, nameOf } from './parameters.ts';
import type { Region, StudyParameters } from './parameters.ts';

/** After so many rings drawn in vain the complete graph is used until a round closes. */
export const mostRedraws = 2;

export type RoundGraph = {
  /** Shares that open a secret of `dealer`. */
  readonly thresholdOf: (dealer: number) => number;
  /** Who holds a box of `dealer`, ascending: its place there is a holder's place under the dealer's root. */
  readonly holdersOf: (dealer: number) => readonly number[];
  /** Whether the two share a mask. */
  readonly areNeighbours: (left: number, right: number) => boolean;
  /** Of whom a secret has to be opened for the sum of `survivors`: of everybody, or of the regions that are in it. */
  readonly neededFor: (survivors: ReadonlySet<number>) => (dealer: number) => boolean;
};

const everybody = () => true;

/** @param ring absent on the complete graph; a ring implies a contract that allows it. */
export function roundGraph(
  parameters: StudyParameters,
  members: readonly { readonly index: number }[],
  ring: Ring | undefined,
): RoundGraph {
  const { sparse } = parameters;
  if (parameters.opensRegions) return regionGraph(parameters, members);
  if (ring === undefined || sparse === null) {
    const all = members.map((member) => member.index);
    return {
      thresholdOf: () => parameters.threshold,
      holdersOf: () => all,
      areNeighbours: (left, right) => left !== right,
      neededFor: () => everybody,
    };
  }
  const known = new Map<number, { readonly list: readonly number[]; readonly set: ReadonlySet<number> }>();
  const neighbours = (index: number) => {
    const there = known.get(index);
    if (there !== undefined) return there;
    const list = neighboursOn(ring, sparse.degree, index);
    const found = { list, set: new Set(list) };
    known.set(index, found);
    return found;
  };
  return {
    thresholdOf: () => sparse.shareThreshold,
    holdersOf: (dealer) => neighbours(dealer).list,
    areNeighbours: (left, right) => neighbours(left).set.has(right),
    neededFor: () => everybody,
  };
}

/** Complete within each region, nothing between them. */
function regionGraph({ regions }: StudyParameters, members: readonly { readonly index: number }[]): RoundGraph {
  const places = new Map<number, Region>();
  for (const region of regions) for (const index of region.members) places.set(index, region);
  const present = new Map(regions.map((region) => [region, [] as number[]]));
  for (const { index } of members) present.get(places.get(index)!)!.push(index);
  return {
    thresholdOf: (dealer) => places.get(dealer)!.threshold!,
    holdersOf: (dealer) => present.get(places.get(dealer)!)!,
    areNeighbours: (left, right) => left !== right && places.get(left) === places.get(right),
    neededFor(survivors) {
      const inSum = new Set([...survivors].map((index) => places.get(index)));
      return (dealer) => inSum.has(places.get(dealer));
    },
  };
}

/** Those of `who` whose region, where regions open their own sums, has its threshold among them; else all. */
export function withWholeRegions(
  { regions, opensRegions }: StudyParameters,
  who: readonly number[],
): readonly number[] {
  if (!opensRegions) return who;
  const there = new Set(who);
  const whole = regions.filter(
    ({ members, threshold }) => members.filter((one) => there.has(one)).length >= threshold!,
  );
  const kept = new Set(whole.flatMap(({ members }) => members));
  return who.filter((index) => kept.has(index));
}

/** Whether the cohort of these Readies draws a ring. */
export function usesSparseGraph({ sparse }: StudyParameters, readies: readonly Message<0>[]): boolean {
  return sparse !== null && readies.length > sparse.degree + 1 && redrawsOf(readies) < mostRedraws;
}

/** The most rings drawn in vain that any of them knows of. */
export const redrawsOf = (readies: readonly Message<0>[]): number =>
  readies.reduce((most, { body }) => Math.max(most, body.redraws ?? 0), 0);

/** Members of `who` of whom too few holders are in `present` to open their secret. */
export const unopenable = (graph: RoundGraph, who: readonly number[], present: ReadonlySet<number>): number[] =>
  who.filter(
    (dealer) => graph.holdersOf(dealer).filter((index) => present.has(index)).length < graph.thresholdOf(dealer),
  );

/**
 * The ring of a cohort, from the nonces that each of its members committed to in U1.
 * @param commitments of U1, hex, ascending by index
 * @throws RefusalError `reveal-missing`, `nonce-differs`.
 */
export function ringOf(
  cipher: Cipher,
  parameters: StudyParameters,
  round: number,
  u1: string,
  commitments: readonly { readonly index: number; readonly nonce: string }[],
  reveals: readonly Message<5>[],
): Ring {
  const bySender = new Map(reveals.map((reveal) => [reveal.sender, reveal]));
  const nonces = commitments.map(({ index, nonce: commitment }) => {
    const reveal = bySender.get(index);
    if (reveal === undefined)
      throw refuse('reveal-missing', `${nameOf(parameters, index)} did not show its part of the graph’s draw.`);
    const nonce = fromHex(reveal.body.nonce, 32);
    if (reveal.body.u1 !== u1 || toHex(nonceCommitment(cipher, nonce)) !== commitment)
      throw refuse(
        'nonce-differs',
        `${nameOf(parameters, index)} shows another part of the draw than it committed to.`,
      );
    return { index, nonce };
  });
  return ringOrder(cipher, contextOf(parameters, round), fromHex(u1), nonces);
}
