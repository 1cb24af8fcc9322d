// A relay between the institutions of its region and the coordinator in a simulated federation: the real reducer
// (app/round/relay.ts), vectors in a map that outlives it. It may be down for a while, and it may lie in every way that
// its place allows: add garbage, leave a vector out of what it signs for, show others, withhold, sign twice.

import { toHex } from '../encoding/bytes.ts';
import { InputError, RefusalError, UnavailableError } from '../errors.ts';
import type { Signer } from '../ports.ts';
import { statusFor } from '../round/coordinator-study.ts';
import { relaySender, signMessage } from '../round/messages.ts';
import type { Message } from '../round/messages.ts';
import type { Region } from '../round/parameters.ts';
import { addRegion, membersToAdd } from '../round/relay.ts';
import type { RelayRound } from '../round/relay.ts';
import { vectorRoot } from '../sealed-sum/vector-root.ts';
import type { CoordinatorCalls } from './memory-coordinator.ts';
import { relayDesk } from './relay-desk.ts';
import type { SimulatedCoordinator } from './simulated-coordinator.ts';
import type { SmallStudy } from './small-study.ts';
import type { VirtualTime } from './virtual-time.ts';

export const relayLies = [
  'adds-garbage',
  'leaves-a-vector-out',
  'shows-other-vectors',
  'withholds-vectors',
  'signs-twice',
  'drops-a-member',
] as const;
export type RelayLie = (typeof relayLies)[number];

export type RelayPlan = {
  /** Null: an honest relay. */
  readonly lie: RelayLie | null;
  /** Told in so many rounds, the first ones in which it adds. */
  readonly lies: number;
  /** When it cannot be reached, ms after the start. */
  readonly down: readonly { readonly from: number; readonly to: number }[];
};

export type SimulatedRelay = {
  readonly region: Region;
  /** What a member's calls become. */
  callsFor(index: number): CoordinatorCalls;
  /** Rounds in which it lied. */
  readonly lied: () => number;
};

export function simulatedRelay(around: {
  readonly study: SmallStudy;
  readonly region: Region;
  readonly signer: Signer;
  readonly center: SimulatedCoordinator;
  readonly time: VirtualTime;
  readonly plan: RelayPlan;
  readonly pollMs: number;
}): SimulatedRelay {
  const { study, region, signer, center, time, plan } = around;
  const { cipher, parameters } = study;
  const sender = relaySender(region.position);
  const start = time.now();
  const calls = () => center.central().callsFor(sender);
  const desk = relayDesk({ cipher, parameters, clock: time, calls }, region);
  const signed = new Map<number, Message<64>>();
  const sums = new Map<number, Uint8Array[]>();
  const liedIn = new Set<number>();
  const lieIn = (round: number): RelayLie | null => (liedIn.has(round) ? plan.lie : null);

  const isDown = (): boolean => plan.down.some(({ from, to }) => time.now() >= start + from && time.now() < start + to);
  function requireUp(): void {
    if (isDown()) throw new UnavailableError('coordinator-unreachable', 'The relay does not answer.');
  }

  function accept(index: number, round: number, chunks: readonly Uint8Array[]): void {
    desk.opened(round);
    if (signed.has(round)) {
      if (signed.get(round)!.body.members.some((member) => member.index === index)) return;
      throw new RefusalError('stage-over', 'The relay has added its region already.');
    }
    desk.accept(round, index, chunks);
  }

  async function sign(state: RelayRound, members: readonly number[]): Promise<void> {
    const { round } = state;
    if (plan.lie !== null && liedIn.size < plan.lies) liedIn.add(round);
    const lie = lieIn(round);
    const kept = lie === 'drops-a-member' && members.length > 1 ? members.slice(1) : members;
    const chunks: Uint8Array[] = [];
    const message = await addRegion(
      { cipher, parameters, signer },
      state,
      kept,
      async (index, chunk) => {
        const bytes = desk.held(round, index, chunk)!;
        return lie === 'leaves-a-vector-out' && index === kept[0] ? new Uint8Array(bytes.length) : bytes;
      },
      async (chunk, bytes) => void (chunks[chunk] = bytes),
    );
    signed.set(round, lie === 'adds-garbage' ? garbled(message, chunks) : message);
    sums.set(round, chunks);
  }

  function garbled(message: Message<64>, chunks: Uint8Array[]): Message<64> {
    chunks[0]![0]! ^= 1;
    const context = { study: parameters.study, round: message.round };
    const sum = toHex(vectorRoot(cipher, context, sender, chunks));
    return signMessage(cipher, signer, context, 64, sender, { ...message.body, sum });
  }

  async function forward(number: number): Promise<void> {
    if (!signed.has(number)) {
      const state = desk.opened(number);
      const members = membersToAdd(state, time.now());
      if (members === null || members.length === 0) return;
      await sign(state, members);
    }
    const message = signed.get(number)!;
    center.serve(() => {
      const own = calls();
      own.send(message);
      own.upload(number, sums.get(number)!);
      if (lieIn(number) !== 'signs-twice') return;
      const body = { ...message.body, sum: '0'.repeat(64) };
      const context = { study: parameters.study, round: number };
      own.send(signMessage(cipher, signer, context, 64, sender, body));
    })?.();
  }

  time.spawn(async (own) => {
    for (;;) {
      await own.sleep(around.pollMs);
      if (isDown()) continue;
      try {
        const status = center.serve(() => statusFor(center.central().study(), sender))?.();
        if (status?.round?.stage === 'masked') await forward(status.round.number);
      } catch (error) {
        const outside =
          error instanceof RefusalError || error instanceof UnavailableError || error instanceof InputError;
        if (!outside) throw error;
      }
    }
  });

  return {
    region,
    lied: () => liedIn.size,
    callsFor(index) {
      requireUp();
      const through = center.central().callsFor(index);
      return {
        ...through,
        send(message) {
          desk.passing(message);
          through.send(message);
          desk.passed(message, index);
        },
        upload: (round, chunks) => accept(index, round, chunks),
        maskedChunk(round, member, chunk) {
          const bytes = desk.held(round, member, chunk);
          if (bytes === undefined || lieIn(round) === 'withholds-vectors')
            throw new RefusalError('not-there', 'The relay has no such bytes (any more).');
          const shown = bytes.slice();
          if (lieIn(round) === 'shows-other-vectors' && member !== index) shown[0]! ^= 1;
          return shown;
        },
      };
    },
  };
}
