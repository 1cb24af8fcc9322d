// A coordinator that lies, in one way a round: it shows false lists, sums, boxes, states and complaints to some, or takes a
// round over and shows everybody other lists (second-lists.ts). It holds its own key and those of c colluders. Between two
// lies it is the real one. Design 3, "The client refuses".

import { toHex } from '../encoding/bytes.ts';
import type { StudyStatus } from '../round/engine-ports.ts';
import { decodeMessage, encodeMessage, expectStage, signMessage } from '../round/messages.ts';
import type { Message } from '../round/messages.ts';
import { contextOf } from '../round/parameters.ts';
import { complaintAbout } from '../round/participant.ts';
import { sumHash } from '../round/result.ts';
import { decodeDelivery, encodeDelivery } from '../sealed-sum/box-frames.ts';
import type { DeliveryEntry } from '../sealed-sum/box-frames.ts';
import type { Draws } from './draws.ts';
import { cohortBytes, signedAgain, signedByCoordinator } from './forged-lists.ts';
import type { CoordinatorCalls, MemoryCoordinator } from './memory-coordinator.ts';
import type { Asked } from './simulated-institution.ts';
import type { SmallStudy } from './small-study.ts';
import { splitLists, takeOver } from './split-lists.ts';
import type { SplitLists, Takeover } from './split-lists.ts';
import type { VirtualTime } from './virtual-time.ts';

const smallLies = [
  'false-sum',
  'false-result',
  'wrong-seed',
  'altered-contribution',
  'boxes-swapped',
  'boxes-withheld',
  'boxes-altered',
  'status-goes-back',
  'ends-early',
  'false-newest-sum',
  'invented-complaint',
  'old-list',
  'altered-ready',
  'garbage-bytes',
] as const;
export const coordinatorLies = [...splitLists, ...smallLies] as const;
export type CoordinatorLie = (typeof coordinatorLies)[number];

const isSplit = (lie: CoordinatorLie): lie is SplitLists => (splitLists as readonly string[]).includes(lie);

/** `honestly`: the real coordinator, between two lies. */
export function lyingCoordinator(around: {
  readonly honestly: Asked;
  readonly study: SmallStudy;
  readonly time: VirtualTime;
  readonly central: () => MemoryCoordinator;
  readonly draws: Draws;
  readonly colluders: ReadonlySet<number>;
  readonly stageMs: number;
  readonly onLie: (lie: CoordinatorLie) => void;
  /** One lie in every round; null: another one each time. */
  readonly always: CoordinatorLie | null;
}): Asked {
  const { study, time, central, draws, colluders } = around;
  const roster = study.identities.map((_, index) => index);
  const honest = roster.filter((index) => !colluders.has(index));
  let current: { readonly round: number; readonly lie: CoordinatorLie | null; readonly victims: ReadonlySet<number> } =
    {
      round: 0,
      lie: null,
      victims: new Set(),
    };
  let taken: Takeover | null = null;
  const shown: Uint8Array[] = [];

  /** Draws the lie of a round when the round opens. */
  function look(): void {
    const open = central().study().round;
    if (open === null || open.round <= current.round) return;
    const lie = around.always ?? (draws.chance(0.15) ? null : draws.pick(coordinatorLies));
    const victims = new Set([draws.pick(honest), ...draws.some(honest, 0.3)]);
    current = { round: open.round, lie, victims };
  }

  function beginTakeover(): void {
    const open = central().study().round;
    if (taken !== null || current.lie === null || !isSplit(current.lie) || open?.round !== current.round) return;
    if (open.stage !== 'shares' || open.u1 === null) return;
    around.onLie(current.lie);
    const { lie } = current;
    const victim = [...current.victims][0]!;
    const begun = { round: open.round, readies: [...open.readies.values()], since: time.now() };
    taken = takeOver({ study, draws, colluders, victim, lie, ...begun, stageMs: around.stageMs });
  }

  const lied = <Result>(result: Result): Result => {
    around.onLie(current.lie!);
    return result;
  };

  return {
    ...around.honestly,
    status(index) {
      look();
      beginTakeover();
      const status = around.honestly.status(index);
      if (taken !== null) {
        const stage = taken.stage(time.now());
        if (stage !== null) {
          const eligible = status.round?.eligible ?? true;
          return { ...status, complaints: [], round: { number: taken.round, stage, eligible } };
        }
        taken = null;
      }
      return current.victims.has(index) ? falseStatus(status, index) : status;
    },
    callsFor(index) {
      const calls = around.honestly.callsFor(index);
      if (taken !== null) {
        const own = taken.callsFor(index);
        // The draw of a sparse graph cannot be shown twice: everybody committed to its part in the first list.
        const broadcast: CoordinatorCalls['broadcast'] = (round, stage) =>
          stage === 5 ? calls.broadcast(round, stage) : own.broadcast!(round, stage);
        return { ...calls, ...own, broadcast };
      }
      if (!current.victims.has(index) || current.lie === null) return { ...calls, broadcast: remembered(calls) };
      return { ...calls, ...falseCalls(calls, index) };
    },
  };

  function remembered(calls: CoordinatorCalls): CoordinatorCalls['broadcast'] {
    return (round, stage) => {
      const bytes = calls.broadcast(round, stage);
      if (bytes !== null && shown.length < 40) shown.push(bytes);
      return bytes;
    };
  }

  function falseStatus(status: StudyStatus, index: number): StudyStatus {
    const zeros = '0'.repeat(64);
    switch (current.lie) {
      case 'status-goes-back':
        return draws.chance(0.5)
          ? lied({ ...status, closed: 0, lastClosed: { round: 0, sum: zeros } })
          : lied({ ...status, round: status.round && { ...status.round, number: Math.max(1, current.round - 1) } });
      case 'ends-early':
        return draws.chance(0.3) ? lied({ ...status, outcome: draws.pick(['complete', 'attempts-spent']) }) : status;
      case 'invented-complaint': {
        const complaints = inventedComplaints(index);
        return complaints.length === 0 ? status : lied({ ...status, complaints });
      }
      case null:
      default:
        return status;
    }
  }

  /** In the names of others about boxes that this institution dealt; those of colluders are validly signed. */
  function inventedComplaints(dealer: number): Message<16>[] {
    const round = central().study().round;
    if (round === null || round.u2 === null || !round.sharers.includes(dealer)) return [];
    return draws.some(round.sharers, 0.5).flatMap((sender) => {
      if (sender === dealer) return [];
      const entry = decodeDelivery(central().callsFor(sender).boxes(round.round)).find((one) => one.dealer === dealer);
      if (entry === undefined) return [];
      const signer = colluders.has(sender) ? study.identities[sender]! : study.coordinator;
      const body = complaintAbout(round.u1!.body.u1, entry);
      return [signMessage(study.cipher, signer, contextOf(study.parameters, round.round), 16, sender, body)];
    });
  }

  function falseCalls(calls: CoordinatorCalls, index: number): Partial<CoordinatorCalls> {
    const boxes = (change: (entries: DeliveryEntry[]) => DeliveryEntry[]): Partial<CoordinatorCalls> => ({
      boxes: (round) => lied(encodeDelivery(change(decodeDelivery(calls.boxes(round))))),
    });
    const result = (change: (body: Message<132>['body']) => Message<132>['body']): Partial<CoordinatorCalls> => ({
      broadcast(round, stage) {
        const bytes = calls.broadcast(round, stage);
        if (stage !== 4 || bytes === null) return bytes;
        const { body } = expectStage(decodeMessage(bytes), 132);
        return lied(encodeMessage(signedByCoordinator(study, round, 132, change(body))));
      },
    });
    const others = roster.filter((one) => one !== index);
    switch (current.lie) {
      case 'false-sum':
        return { sumChunk: (round, chunk) => lied(calls.sumChunk(round, chunk).map((word) => word + 1)) };
      case 'false-result':
        return result((body) => ({ ...body, sum: '42'.repeat(32) }));
      case 'wrong-seed':
        return result((body) => ({
          ...body,
          seeds: body.seeds.map((seed, at) => (at === 0 ? { ...seed, secret: '42'.repeat(32) } : seed)),
        }));
      case 'altered-contribution':
        return {
          maskedChunk(round, member, chunk) {
            const bytes = calls.maskedChunk(round, member, chunk);
            if (draws.chance(0.5)) bytes[0]! ^= 1;
            return lied(bytes);
          },
        };
      case 'boxes-swapped':
        return boxes((entries) => {
          const [first, second] = [entries[0]!, entries.at(-1)!];
          return entries.map((entry) =>
            entry === first
              ? { ...second, dealer: first.dealer }
              : entry === second
                ? { ...first, dealer: second.dealer }
                : entry,
          );
        });
      case 'boxes-withheld':
        return boxes((entries) => entries.slice(1));
      case 'boxes-altered':
        return boxes((entries) => {
          // Nobody deals to an institution whose region is left out.
          if (entries.length > 0) draws.pick(entries).sealed.box[40]! ^= 4;
          return entries;
        });
      case 'false-newest-sum': {
        const words = new Uint32Array(study.parameters.dimension).fill(3);
        const survivors = others;
        const newest = (): number => central().study().closed.at(-1)?.round ?? 0;
        return {
          closedAfter(round) {
            const records = calls.closedAfter(round);
            const sum = toHex(sumHash(study.cipher, study.parameters, newest(), survivors, [words]));
            return records.map((record) => (record.round === newest() ? lied({ ...record, sum, survivors }) : record));
          },
          sumChunk: (round, chunk) => (round === newest() ? words.slice() : calls.sumChunk(round, chunk)),
        };
      }
      case 'old-list':
        return {
          broadcast: (round, stage) =>
            shown.length > 0 && draws.chance(0.5) ? lied(draws.pick(shown).slice()) : calls.broadcast(round, stage),
        };
      case 'altered-ready':
        return {
          broadcast(round, stage) {
            const open = central().study().round;
            const bytes = calls.broadcast(round, stage);
            const mine = [...(open?.readies.values() ?? [])].find((ready) => colluders.has(ready.sender));
            if (stage !== 0 || open?.round !== round || mine === undefined) return bytes;
            const change = draws.pick([
              { model: '31'.repeat(32) },
              { contract: '31'.repeat(32) },
              { config: '31'.repeat(32) },
              { counter: 0 },
              { last: { round: 0, sum: '31'.repeat(32), verified: true } },
              { head: '31'.repeat(32) },
            ]);
            const all = [...open.readies.values()];
            const altered = all.map((ready) => (ready === mine ? signedAgain(study, ready, change) : ready));
            return lied(cohortBytes(study, round, altered));
          },
        };
      case 'garbage-bytes':
        return {
          broadcast(round, stage) {
            const bytes = calls.broadcast(round, stage);
            if (bytes === null || draws.chance(0.5)) return bytes;
            const damaged = bytes.slice(0, draws.whole(0, bytes.length));
            if (damaged.length > 0) damaged[draws.whole(0, damaged.length - 1)]! ^= 1 << draws.whole(0, 7);
            return lied(damaged);
          },
        };
      case null:
      default:
        return {};
    }
  }
}
