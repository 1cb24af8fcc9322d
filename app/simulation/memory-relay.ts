// A relay of one region in a study that runs in one process: the real reducer (app/round/relay.ts) between its members' ports
// and the coordinator in memory. It never fails; relays that die or lie are simulated-relay.ts.

import { RefusalError } from '../errors.ts';
import type { Cipher, Clock, Signer } from '../ports.ts';
import type { CoordinatorPort } from '../round/engine-ports.ts';
import { relaySender } from '../round/messages.ts';
import type { Region, StudyParameters } from '../round/parameters.ts';
import { addRegion, membersToAdd } from '../round/relay.ts';
import type { RelayRound } from '../round/relay.ts';
import type { MemoryCoordinator } from './memory-coordinator.ts';
import { relayDesk } from './relay-desk.ts';

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
  const desk = relayDesk({ cipher, parameters, clock, calls: () => central.callsFor(sender) }, region);
  const sent = new Set<number>();

  /** The open round, while it waits for contributions and the region's sum is not sent. */
  function waiting(): RelayRound | null {
    const { round } = central.study();
    if (round?.stage !== 'masked' || sent.has(round.round)) return null;
    return desk.known(round.round);
  }

  return {
    region,
    due: () => waiting()?.deadline ?? null,
    portFor(index) {
      const port = central.portFor(index);
      return {
        ...port,
        async send(message) {
          desk.passing(message);
          await port.send(message);
          desk.passed(message, index);
        },
        async upload(round, chunks) {
          desk.opened(round);
          if (sent.has(round)) throw new RefusalError('stage-over', 'The relay has added its region already.');
          desk.accept(round, index, chunks);
        },
        async maskedChunk(round, member, chunk) {
          const bytes = desk.held(round, member, chunk);
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
        async (index, chunk) => desk.held(round, index, chunk)!,
        async (chunk, bytes) => void (chunks[chunk] = bytes),
      );
      sent.add(round);
      const calls = central.callsFor(sender);
      calls.send(message);
      calls.upload(round, chunks);
      desk.forgetBefore(round - 1);
    },
  };
}
