// A whole study in memory in which one party lies: the true engine, reducers, codecs and ledger of every institution on
// a coordinator in memory, and between institution 0 (the victim) and that coordinator a hand that changes bytes. It holds
// every key but the victim's, as a coordinator with colluders would.

import assert from 'node:assert/strict';
import { fromUtf8, toHex } from '../../../../app/encoding/bytes.ts';
import { appendEntry, emptyHead } from '../../../../app/ledger/chain.ts';
import { hostActor } from '../../../../app/ledger/entry.ts';
import type { Entry } from '../../../../app/ledger/entry.ts';
import type { Machine, Store } from '../../../../app/ports.ts';
import { setCeiling } from '../../../../app/privacy/ceiling.ts';
import { scheduleEvent } from '../../../../app/round/charge.ts';
import { statusFor } from '../../../../app/round/coordinator-study.ts';
import type { CoordinatorRound } from '../../../../app/round/coordinator-state.ts';
import { openEngine } from '../../../../app/round/engine.ts';
import type { Engine, EngineEvent } from '../../../../app/round/engine.ts';
import type { CoordinatorPort } from '../../../../app/round/engine-ports.ts';
import { encodeMessage } from '../../../../app/round/messages.ts';
import type { AnyMessage } from '../../../../app/round/messages.ts';
import { createModelChain, decodeModelChain } from '../../../../app/round/model-chain.ts';
import { studyLedger } from '../../../../app/round/study-ledger.ts';
import type { EntryWithHash } from '../../../../app/round/study-ledger.ts';
import { memoryCoordinator } from '../../../../app/simulation/memory-coordinator.ts';
import type { MemoryCoordinator } from '../../../../app/simulation/memory-coordinator.ts';
import { seededRandom, simulatedClock } from '../../../../app/simulation/seeded-machine.ts';
import type { SimulatedClock } from '../../../../app/simulation/seeded-machine.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { sampleStudy } from '../sample-study.ts';
import type { SampleStudy } from '../sample-study.ts';

export type Party = {
  engine: Engine;
  readonly events: EngineEvent[];
  readonly entries: EntryWithHash[];
  readonly records: Map<string, Uint8Array>;
  /** Stages of what it sent, in order, and the bytes. */
  readonly sent: number[];
  readonly bytes: string[];
  /** Begins the process again on what the disk holds. */
  restart(): Promise<void>;
};

export type LyingStudy = {
  readonly study: SampleStudy;
  readonly central: MemoryCoordinator;
  readonly clock: SimulatedClock;
  readonly parties: readonly Party[];
  readonly victim: Party;
  /** The open round; fails the test where there is none. */
  round(): CoordinatorRound;
  /** Everybody but `silent` does what is due until nothing moves or `until` says enough. */
  settle(options?: { readonly silent?: readonly number[]; readonly until?: () => boolean }): Promise<void>;
  /** Lets the present deadline or pause pass. */
  pass(): void;
};

export type LyingOptions = {
  readonly institutions?: number;
  readonly study?: SampleStudy;
  /** What stands between the victim and the coordinator. */
  readonly lie?: (port: CoordinatorPort, self: () => LyingStudy) => Partial<CoordinatorPort>;
  readonly vectorOf?: (index: number, round: number) => Uint32Array;
  /** ε of the victim's ceiling; the contract's otherwise. */
  readonly ceiling?: number;
  readonly consentEnds?: number;
};

export async function lyingStudy(options: LyingOptions = {}): Promise<LyingStudy> {
  const study = options.study ?? pausingStudy(options.institutions ?? 4);
  const { parameters, contract } = study;
  const cipher = nodeCipher;
  const clock = simulatedClock(Date.parse(contract.created));
  const firstModel = createModelChain(cipher, contract);
  const central = memoryCoordinator({ cipher, parameters, signer: study.coordinator }, firstModel, clock);
  const dimension = contract.sealing.dimension;
  const vectorOf = options.vectorOf ?? ((index, round) => new Uint32Array(dimension).fill(index + round));

  const self: LyingStudy = {
    study,
    central,
    clock,
    parties: [],
    get victim() {
      return self.parties[0]!;
    },
    round() {
      const { round } = central.study();
      assert.ok(round !== null, 'a round is open');
      return round;
    },
    async settle({ silent = [], until = () => false } = {}) {
      for (let turn = 0; turn < 200; turn++) {
        const before = central.study();
        const stages = self.parties.map(({ engine }) => engine.round()?.stage).join();
        for (const [index, { engine }] of self.parties.entries()) {
          if (silent.includes(index)) continue;
          await engine.advance(statusFor(central.study(), index));
          central.openIfDue();
          if (until()) return;
        }
        if (central.study() === before && self.parties.map(({ engine }) => engine.round()?.stage).join() === stages)
          return;
      }
      assert.fail('the study never comes to rest');
    },
    pass() {
      const due = central.study().round?.deadline ?? central.study().opensAt;
      assert.ok(due !== null && due !== undefined, 'something is due');
      clock.advanceTo(due + 1);
      central.apply({ kind: 'tick', now: clock.now() });
    },
  };

  const parties = self.parties as Party[];
  for (const [index, identity] of study.identities.entries()) {
    const machine: Machine = { cipher, clock, random: seededRandom(cipher, 'attack', String(index)) };
    const port = recorded(central.portFor(index));
    const coordinator = index === 0 && options.lie !== undefined ? { ...port, ...options.lie(port, () => self) } : port;
    const party: Party = {
      engine: null as never,
      events: [],
      entries: [],
      records: new Map(),
      sent: [],
      bytes: [],
      restart,
    };
    let head = emptyHead;
    const dataset = contract.roster[index]!.name;
    const epsilon = (index === 0 ? options.ceiling : undefined) ?? contract.privacy.epsilon;
    const { delta } = contract.privacy;
    const hash = toHex(parameters.study);
    const limits = { unit: contract.training.unit, epsilon, delta, datasets: [dataset] };
    const planned = contract.privacy.noise === 'none' || options.ceiling !== undefined ? null : scheduleEvent(contract);
    const guardOptions = {
      cipher,
      clock,
      parameters,
      dataset,
      consentEnds: (index === 0 ? options.consentEnds : undefined) ?? Date.parse(contract.expires),
      ceilings: [
        setCeiling({ kind: 'consent', id: hash, studies: [hash], ...limits }, planned),
        setCeiling({ kind: 'dataset', id: dataset, studies: null, ...limits }, planned),
      ],
      writer: {
        async append(kind: never, body: never): Promise<EntryWithHash> {
          const appended = appendEntry(cipher, head, clock.now(), hostActor, kind, body);
          head = appended.head;
          party.entries.push({ entry: appended.entry, hash: head.last });
          return party.entries.at(-1)!;
        },
      },
      headSecret: new Uint8Array(32).fill(index + 1),
    };
    function record(message: AnyMessage): void {
      party.sent.push(message.stage);
      party.bytes.push(fromUtf8(encodeMessage(message)));
    }
    function recorded(real: CoordinatorPort): CoordinatorPort {
      return {
        ...real,
        send: (message) => (record(message), real.send(message)),
        sendShares: (message, bundle) => (record(message), real.sendShares(message, bundle)),
      };
    }
    async function restart(): Promise<void> {
      party.engine = await openEngine({
        participant: { machine, parameters, index, identity },
        coordinator,
        ledger: studyLedger({ ...guardOptions, entries: [...party.entries] }),
        trainer: {
          begin: () => undefined,
          vector: async (round) => ({ words: vectorOf(index, round).slice(), trained: true, reason: null }),
        },
        store: mapStore(party.records),
        firstModel,
        decodeModel: (bytes) => decodeModelChain(cipher, contract, bytes),
        onEvent: (event) => party.events.push(event),
      });
    }
    await restart();
    parties.push(party);
  }
  study.identities.forEach((_, index) => central.apply({ kind: 'consented', index, now: clock.now() }));
  return self;
}

function mapStore(records: Map<string, Uint8Array>): Store {
  return {
    read: async (key) => records.get(key)?.slice() ?? null,
    async write(changes) {
      for (const { key, value } of changes)
        if (value === null) records.delete(key);
        else records.set(key, value.slice());
    },
  };
}

/** Codes with which a party left its rounds, or said that it waits. */
export const codesOf = (party: Party): string[] =>
  party.events.flatMap((event) => (event.kind === 'left' || event.kind === 'waiting' ? [event.code] : []));

export const bodiesOf = (party: Party, kind: Entry['kind']): Entry['body'][] =>
  party.entries.flatMap(({ entry }) => (entry.kind === kind ? [entry.body] : []));

/** A study that rests after each round until `pass`. */
export const pausingStudy = (institutions: number): SampleStudy =>
  sampleStudy({
    institutions,
    change: (contract) => ({ ...contract, schedule: { ...contract.schedule, intervalSeconds: 60 } }),
  });
