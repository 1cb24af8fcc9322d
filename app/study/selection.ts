// Which institutions are asked in a round: fair turns on a ring whose order follows from the contract's hash, so that
// everybody works out the same, and no coordinator chooses. Consecutive rounds share members, who vouch for the last sum.
// It amplifies nothing: everybody sees who is asked. Design 3, "Weights", and 6.

import { compareBytes, concat, u16, utf8 } from '../encoding/bytes.ts';
import type { Cipher } from '../ports.ts';
import type { Contract, ContractDraft } from './contract.ts';

type Selection = NonNullable<Contract['schedule']['selection']>;

/** Institutions asked in each round. */
export const askedIn = ({ roster, schedule }: Pick<ContractDraft, 'roster' | 'schedule'>): number =>
  schedule.selection?.institutions ?? roster.length;

/**
 * How far the ring of those that are not slow turns from one round to the next: as far as it may while c + 1 institutions
 * that were in the last sum are asked again, whoever of them was lost. Below 1 there is no such turn.
 */
export function turnOf(least: number, colluders: number, { slowPerRound }: Pick<Selection, 'slowPerRound'>): number {
  return least - colluders - 1 - slowPerRound;
}

/** The roster's positions on the ring: by SHA-256("consilience/selection/1\0" ‖ study ‖ u16 index). */
export function selectionRing(cipher: Cipher, study: Uint8Array, institutions: number): readonly number[] {
  return Array.from({ length: institutions }, (_, index) => ({
    index,
    place: cipher.sha256(utf8('consilience/selection/1\0'), concat(study, u16(index))),
  }))
    .sort((left, right) => compareBytes(left.place, right.place))
    .map(({ index }) => index);
}

/** The largest turn up to `most` that comes to every place of the ring before it comes to one again. */
function coprimeTurn(most: number, length: number): number {
  const divisor = (left: number, right: number): number => (right === 0 ? left : divisor(right, left % right));
  let turn = most;
  while (turn > 1 && divisor(turn, length) > 1) turn--;
  return turn;
}

/** `count` of the ring's members from where round `round` stands on it. */
function window(ring: readonly number[], round: number, turn: number, count: number): number[] {
  if (ring.length === 0) return [];
  const from = ((round - 1) * turn) % ring.length;
  return Array.from({ length: Math.min(count, ring.length) }, (_, at) => ring[(from + at) % ring.length]!);
}

/** Roster positions asked in each round, ascending; null where all are asked always. */
export function selectionOf(
  cipher: Cipher,
  contract: Contract,
  study: Uint8Array,
): ((round: number) => readonly number[]) | null {
  const { selection } = contract.schedule;
  if (selection === undefined) return null;
  const { institutions, slow, slowPerRound } = selection;
  const ring = selectionRing(cipher, study, contract.roster.length);
  const isSlow = new Set(slow);
  const others = ring.filter((index) => !isSlow.has(index));
  const slowRing = ring.filter((index) => isSlow.has(index));
  const { cohortFloor, threshold, colluders } = contract.sealing;
  const most = Math.max(1, turnOf(Math.max(cohortFloor, threshold), colluders, selection));
  const turn = coprimeTurn(most, others.length);
  return (round) =>
    [
      ...window(others, round, turn, institutions - slowPerRound),
      ...window(slowRing, round, slowPerRound, slowPerRound),
    ].sort((left, right) => left - right);
}
