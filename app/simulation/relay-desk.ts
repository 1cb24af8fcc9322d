// What every relay in memory keeps, honest or lying: the reducer's state of each round (app/round/relay.ts) and the vectors
// that its members sent, taken in under their signed roots only. Used by memory-relay.ts and simulated-relay.ts.

import { toHex } from '../encoding/bytes.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher, Clock } from '../ports.ts';
import type { AnyMessage } from '../round/messages.ts';
import type { Region, StudyParameters } from '../round/parameters.ts';
import { openRelayRound, relayComplained, relayMasked, relayUploaded } from '../round/relay.ts';
import type { RelayRound } from '../round/relay.ts';
import { vectorRoot } from '../sealed-sum/vector-root.ts';
import type { CoordinatorCalls } from './memory-coordinator.ts';

export type RelayDesk = {
  /** The state of a round, if it was opened here. */
  readonly known: (round: number) => RelayRound | null;
  /** @throws RefusalError `old-round`. */
  readonly opened: (round: number) => RelayRound;
  /** Before a member's message is passed on. */
  readonly passing: (message: AnyMessage) => void;
  /** After it was accepted by the coordinator. */
  readonly passed: (message: AnyMessage, index: number) => void;
  /** @throws RefusalError `not-announced`, `vector-off-root`; nothing is kept then. */
  readonly accept: (round: number, index: number, chunks: readonly Uint8Array[]) => void;
  readonly held: (round: number, index: number, chunk: number) => Uint8Array | undefined;
  /** Vectors of rounds before this one are needed no more. */
  readonly forgetBefore: (round: number) => void;
};

export function relayDesk(
  around: {
    readonly cipher: Cipher;
    readonly parameters: StudyParameters;
    readonly clock: Clock;
    /** The coordinator as the relay calls it. */
    readonly calls: () => CoordinatorCalls;
  },
  region: Region,
): RelayDesk {
  const { cipher, parameters, clock } = around;
  const rounds = new Map<number, RelayRound>();
  const vectors = new Map<string, Uint8Array>();
  const key = (round: number, index: number, chunk: number): string => `${round}/${index}/${chunk}`;

  function opened(number: number): RelayRound {
    const known = rounds.get(number);
    if (known !== undefined) return known;
    const calls = around.calls();
    const [cohort, sharers] = [calls.broadcast(number, 0), calls.broadcast(number, 1)];
    if (cohort === null || sharers === null) throw new RefusalError('old-round', `Round ${number} is not open.`);
    const state = openRelayRound(cipher, parameters, region, number, { cohort, sharers }, clock.now());
    rounds.set(number, state);
    return state;
  }

  return {
    known: (round) => rounds.get(round) ?? null,
    opened,
    passing(message) {
      if (message.stage === 2)
        rounds.set(message.round, relayMasked(cipher, parameters, opened(message.round), message));
    },
    passed(message, index) {
      if (message.stage === 16) rounds.set(message.round, relayComplained(opened(message.round), index));
    },
    accept(round, index, chunks) {
      const state = opened(round);
      const announced = state.masked.get(index)?.message.body.root;
      if (announced === undefined) throw new RefusalError('not-announced', 'Chunks came before their signed root.');
      if (toHex(vectorRoot(cipher, { study: parameters.study, round }, index, chunks)) !== announced)
        throw new RefusalError('vector-off-root', 'The chunks do not give the signed root. Send them again.');
      for (const [chunk, bytes] of chunks.entries()) vectors.set(key(round, index, chunk), bytes);
      rounds.set(round, relayUploaded(state, index));
    },
    held: (round, index, chunk) => vectors.get(key(round, index, chunk)),
    forgetBefore(round) {
      for (const name of vectors.keys()) if (Number(name.split('/')[0]) < round) vectors.delete(name);
    },
  };
}
