// What participants fetch of a round, made once and kept while the round is: the lists never change after their stage,
// and 500 members ask for the same bytes.

import { RefusalError } from '../../app/errors.ts';
import { canonicalBytes } from '../../app/encoding/canonical-json.ts';
import { boxPaths, broadcastBytes, deliveryBytes, shownRegionSums } from '../../app/round/coordinator-lists.ts';
import type { BoxPaths } from '../../app/round/coordinator-lists.ts';
import type { CoordinatorRound } from '../../app/round/coordinator-state.ts';
import { roundOf } from '../../app/round/coordinator-study.ts';
import { encodeMessage, relaySender } from '../../app/round/messages.ts';
import type { Engine } from './engine.ts';
import { NotThereError } from './problems.ts';

export type BroadcastName = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 'aborted';

export type ServedBytes = {
  /** @throws NotThereError `not-there`. */
  broadcast(round: number, name: BroadcastName): Uint8Array;
  boxes(round: number, recipient: number): Uint8Array;
  /** A chunk of a member of U3, for members of U3, once the sum is open. @throws RefusalError `signer-outside-u3`. */
  masked(round: number, reader: number, index: number, chunk: number): Promise<Uint8Array>;
  /** Chunks of a sum that is open. */
  sum(round: number, chunk: number): Promise<Uint8Array>;
  /** With regions: the relays' signed sums, and their chunks once the sum is open. */
  regionSums(round: number): Uint8Array;
  regionChunk(round: number, position: number, chunk: number): Promise<Uint8Array>;
};

export function servedBytes(engine: Engine): ServedBytes {
  const { cipher, parameters, signer, store } = engine.options;
  const coordinator = { cipher, parameters, signer };
  const made = new Map<string, Uint8Array>();
  /** Of the round whose boxes were fetched last. */
  let dealt: { readonly round: number; readonly paths: BoxPaths } | null = null;

  function roundNamed(number: number): CoordinatorRound {
    const round = roundOf(engine.study(), number);
    if (round === null) throw notThere(`Round ${number} is not open and no longer kept.`);
    return round;
  }

  function once(round: number, name: string, make: () => Uint8Array | null): Uint8Array {
    const key = `${round}/${name}`;
    const known = made.get(key);
    if (known !== undefined) return known;
    const bytes = make();
    if (bytes === null) throw notThere('The coordinator has not made this yet.');
    for (const old of made.keys()) if (roundOf(engine.study(), Number(old.split('/')[0])) === null) made.delete(old);
    made.set(key, bytes);
    return bytes;
  }

  return {
    broadcast(number, name) {
      const round = roundNamed(number);
      return once(number, String(name), () => {
        if (name === 4) return round.result && encodeMessage(round.result);
        if (name === 'aborted') return round.aborted && encodeMessage(round.aborted);
        return broadcastBytes(round, name);
      });
    },
    boxes: (number, recipient) => {
      const round = roundNamed(number);
      if (round.u2 === null) throw notThere('The coordinator has not made this yet.');
      if (dealt?.round !== number) dealt = { round: number, paths: boxPaths(coordinator, round) };
      const bytes = deliveryBytes(coordinator, round, recipient, dealt.paths);
      if (bytes === null) throw notThere('This institution is not among those taking part in this round.');
      return bytes;
    },
    async masked(number, reader, index, chunk) {
      const round = roundNamed(number);
      if (round.result === null) throw notThere('The sum of this round is not open yet.');
      if (!round.survivors.includes(reader))
        throw new RefusalError('signer-outside-u3', 'Only institutions whose contribution is in the sum may check it.');
      if (!round.survivors.includes(index)) throw notThere('That institution’s contribution is not in the sum.');
      return stored(await store.files.readMasked(number, index, chunk));
    },
    async sum(number, chunk) {
      const open = roundOf(engine.study(), number)?.result ?? null;
      if (open === null && !engine.study().closed.some((record) => record.round === number))
        throw notThere(`Round ${number} has no sum.`);
      return stored(await store.files.readSum(number, chunk));
    },
    regionSums(number) {
      const round = roundNamed(number);
      if (round.result === null) throw notThere('The sum of this round is not open yet.');
      return canonicalBytes(shownRegionSums(round));
    },
    async regionChunk(number, position, chunk) {
      if (roundNamed(number).result === null) throw notThere('The sum of this round is not open yet.');
      return stored(await store.files.readMasked(number, relaySender(position), chunk));
    },
  };
}

function stored(bytes: Uint8Array | null): Uint8Array {
  if (bytes === null) throw notThere('There is no such chunk.');
  return bytes;
}

const notThere = (detail: string): NotThereError => new NotThereError('not-there', detail);
