// A relay of one region in a study that runs in one process: the real reducer (app/round/relay.ts) between its members' ports
// and the coordinator in memory. It never fails; relays that die or lie are simulated-relay.ts.

import { toHex } from '../encoding/bytes.ts';
import { RefusalError } from '../errors.ts';
import type { Cipher, Clock, Signer } from '../ports.ts';
import type { CoordinatorPort } from '../round/engine-ports.ts';
import { relaySender } from '../round/messages.ts';
import type { Region, StudyParameters } from '../round/parameters.ts';
import {
  addRegion,
  membersToAdd,
  openRelayRound,
  relayComplained,
  relayMasked,
  relayUploaded,
} from '../round/relay.ts';
import type { RelayRound } from '../round/relay.ts';
import { vectorRoot } from '../sealed-sum/vector-root.ts';
import type { MemoryCoordinator } from './memory-coordinator.ts';

export type MemoryRelay = {
  readonly region: Region;
  /** A member's port: contributions stay here, everything else passes. */
  portFor(index: number): CoordinatorPort;
  /** Adds and sends what is there once nobody is waited for. */
  forwardIfDue(): Promise<void>;
  /** When it stops waiting for its members, ms; null where it waits for none. */
  due(): number | null;
};

export function memoryRelay(
  around: {
    readonly cipher: Cipher;
    readonly parameters: StudyParameters;
    readonly clock: Clock;
    readonly central: MemoryCoordinator;
  },
  region: Region,
  signer: Signer,
): MemoryRelay {
  const { cipher, parameters, clock, central } = around;
  const sender = relaySender(region.position);
  const rounds = new Map<number, RelayRound>();
  const vectors = new Map<string, Uint8Array>();
  const sent = new Set<number>();
  const key = (round: number, index: number, chunk: number): string => `${round}/${index}/${chunk}`;

  function opened(number: number): RelayRound {
    const known = rounds.get(number);
    if (known !== undefined) return known;
    const calls = central.callsFor(sender);
    const [cohort, sharers] = [calls.broadcast(number, 0), calls.broadcast(number, 1)];
    if (cohort === null || sharers === null) throw new RefusalError('old-round', `Round ${number} is not open.`);
    const state = openRelayRound(cipher, parameters, region, number, { cohort, sharers }, clock.now());
    rounds.set(number, state);
    return state;
  }

  function accept(round: number, index: number, chunks: readonly Uint8Array[]): void {
    const state = opened(round);
    if (sent.has(round)) throw new RefusalError('stage-over', 'The relay has added its region already.');
    const announced = state.masked.get(index)?.message.body.root;
    if (announced === undefined) throw new RefusalError('not-announced', 'Chunks came before their signed root.');
    if (toHex(vectorRoot(cipher, { study: parameters.study, round }, index, chunks)) !== announced)
      throw new RefusalError('vector-off-root', 'The chunks do not give the signed root. Send them again.');
    for (const [chunk, bytes] of chunks.entries()) vectors.set(key(round, index, chunk), bytes);
    rounds.set(round, relayUploaded(state, index));
  }

  /** The open round, while it waits for contributions and the region's sum is not sent. */
  function waiting(): RelayRound | null {
    const { round } = central.study();
    if (round?.stage !== 'masked' || sent.has(round.round)) return null;
    return rounds.get(round.round) ?? null;
  }

  return {
    region,
    due: () => waiting()?.deadline ?? null,
    portFor(index) {
      const port = central.portFor(index);
      return {
        ...port,
        async send(message) {
          if (message.stage === 2)
            rounds.set(message.round, relayMasked(cipher, parameters, opened(message.round), message));
          await port.send(message);
          if (message.stage === 16) rounds.set(message.round, relayComplained(opened(message.round), index));
        },
        upload: async (round, chunks) => accept(round, index, chunks),
        async maskedChunk(round, member, chunk) {
          const bytes = vectors.get(key(round, member, chunk));
          if (bytes === undefined) throw new RefusalError('not-there', 'The relay has no such bytes (any more).');
          return bytes.slice();
        },
      };
    },
    async forwardIfDue() {
      const state = waiting();
      const members = state && membersToAdd(state, clock.now());
      if (state === null || members === null || members.length === 0) return;
      const { round } = state;
      const chunks: Uint8Array[] = [];
      const message = await addRegion(
        { cipher, parameters, signer },
        state,
        members,
        async (index, chunk) => vectors.get(key(round, index, chunk))!,
        async (chunk, bytes) => void (chunks[chunk] = bytes),
      );
      sent.add(round);
      const calls = central.callsFor(sender);
      calls.send(message);
      calls.upload(round, chunks);
      for (const name of vectors.keys()) if (Number(name.split('/')[0]) < round - 1) vectors.delete(name);
    },
  };
}
