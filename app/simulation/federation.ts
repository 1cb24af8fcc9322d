// A whole study in one process: the same engine, reducers, codecs, ledger and guard as the real processes, with time,
// disk and network in memory. What each institution trains is handed in, so that this folder knows no backend.

import { concat, toHex } from '../encoding/bytes.ts';
import { InvariantError } from '../errors.ts';
import { appendEntry, emptyHead, verifyLedger } from '../ledger/chain.ts';
import { writeCheckpoint } from '../ledger/checkpoint.ts';
import { hostActor } from '../ledger/entry.ts';
import type { Cipher, Random, Signer, Store } from '../ports.ts';
import { setCeiling } from '../privacy/ceiling.ts';
import type { Reading } from '../privacy/budget.ts';
import { chargedDelta } from '../review/privacy-figures.ts';
import { scheduleEvent } from '../round/charge.ts';
import { openEngine } from '../round/engine.ts';
import type { Engine, EngineEvent } from '../round/engine.ts';
import { statusFor } from '../round/coordinator-study.ts';
import type { CoordinatorStudy } from '../round/coordinator-study.ts';
import type { TrainedVector } from '../round/engine-ports.ts';
import { createModelChain, decodeModelChain } from '../round/model-chain.ts';
import type { ModelChain } from '../round/model-chain.ts';
import { studyParameters } from '../round/parameters.ts';
import type { RoundStage } from '../round/participant-state.ts';
import { studyLedger } from '../round/study-ledger.ts';
import type { EntryWithHash, LedgerWriter } from '../round/study-ledger.ts';
import type { Contract } from '../study/contract.ts';
import { memoryCoordinator } from './memory-coordinator.ts';
import { memoryRelay } from './memory-relay.ts';
import { simulatedClock } from './seeded-machine.ts';

export type Simulation = {
  readonly cipher: Cipher;
  readonly contract: Contract;
  /** By roster position; they must be the contract's keys. */
  readonly identities: readonly Signer[];
  readonly coordinator: Signer;
  /** By region, where the contract has regions; they must be its relays' keys. */
  readonly relays?: readonly Signer[];
  /** A source for each purpose: seeded streams, or the system's CSPRNG. */
  readonly randomFor: (label: string) => Random;
  /** The noised ring vector of an institution for a round, by the terms that stand for it. */
  readonly train: (
    index: number,
    round: number,
    parameters: Float32Array,
    terms: Contract,
    subset: string | null,
  ) => Promise<TrainedVector>;
  /** From which stage on an institution is silent in a round; null: never. */
  readonly silentFrom?: (round: number, index: number) => RoundStage | 'before-ready' | null;
  readonly onRound?: (round: number, model: ModelChain) => void;
  /** Every party's model after each of its steps: the same one many times. */
  readonly onModel?: (model: ModelChain) => void;
  readonly onEvent?: (index: number, event: EngineEvent) => void;
};

export type SimulationResult = {
  readonly study: CoordinatorStudy;
  readonly models: readonly ModelChain[];
  /** Ledger file of each institution and its closing checkpoint. */
  readonly ledgers: readonly { readonly file: Uint8Array; readonly checkpoint: string; readonly verified: boolean }[];
  readonly readings: readonly (readonly Reading[])[];
  readonly bytesSent: number;
};

const stages: readonly RoundStage[] = ['ready', 'revealed', 'shares', 'opened', 'masked', 'consistency', 'unmask'];

/** Runs the study to its end. @throws InvariantError `simulation-stuck` if nothing is due and nothing will be. */
export async function simulateStudy(simulation: Simulation): Promise<SimulationResult> {
  const { cipher, contract, identities } = simulation;
  const parameters = studyParameters(cipher, contract);
  const clock = simulatedClock(Date.parse(contract.created));
  const firstModel = createModelChain(cipher, contract);
  const central = memoryCoordinator({ cipher, parameters, signer: simulation.coordinator }, firstModel, clock);
  const around = { cipher, parameters, clock, central };
  const relays = parameters.regions.map((region) => {
    const signer = simulation.relays?.[region.position];
    if (signer === undefined) throw new RangeError(`relays must hold the key of region ${region.name}`);
    return memoryRelay(around, region, signer);
  });
  const portFor = (index: number) =>
    relays.find(({ region }) => region.members.includes(index))?.portFor(index) ?? central.portFor(index);
  const parties = await Promise.all(
    identities.map(async (identity, index) => {
      const ledger = memoryLedger(cipher, identity, () => clock.now());
      const guard = studyLedger({
        cipher,
        clock,
        parameters,
        dataset: contract.roster[index]!.name,
        consentEnds: Date.parse(contract.expires),
        ceilings: planCeilings(contract, toHex(parameters.study), contract.roster[index]!.name),
        entries: [],
        writer: ledger.writer,
        headSecret: simulation.randomFor(`head/${index}`).bytes(32),
      });
      const engine = await openEngine({
        participant: {
          machine: { cipher, clock, random: simulation.randomFor(`participant/${index}`) },
          parameters,
          index,
          identity,
        },
        coordinator: portFor(index),
        ledger: guard,
        trainer: {
          begin: () => undefined,
          vector: (round, model, terms, subset) => simulation.train(index, round, model, terms, subset),
        },
        store: memoryStore(),
        firstModel,
        decodeModel: (bytes) => decodeModelChain(cipher, contract, bytes),
        onEvent: (event) => simulation.onEvent?.(index, event),
      });
      return { engine, guard, ledger };
    }),
  );
  identities.forEach((_, index) => central.apply({ kind: 'consented', index, now: clock.now() }));

  const silent = (index: number, engine: Engine): boolean => {
    const open = central.study().round;
    const from = open === null ? null : (simulation.silentFrom?.(open.round, index) ?? null);
    if (open === null || from === null) return false;
    if (from === 'before-ready') return true;
    const state = engine.round();
    return state?.round === open.round && stages.indexOf(state.stage) >= stages.indexOf(from);
  };

  const finished = new Set<number>();
  let closed = 0;
  while (finished.size < parties.length) {
    const before = central.study();
    const stagesBefore = parties.map(({ engine }) => engine.round()?.stage).join();
    for (const [index, { engine }] of parties.entries()) {
      if (finished.has(index) || silent(index, engine)) continue;
      if ((await engine.advance(statusFor(central.study(), index))) === 'finished') finished.add(index);
      simulation.onModel?.(engine.model());
      for (const relay of relays) await relay.forwardIfDue();
      central.openIfDue();
    }
    if (central.study().closed.length > closed) {
      closed = central.study().closed.length;
      const settled = parties.find(({ engine }) => engine.memory().last.round === central.study().closed.at(-1)!.round);
      if (settled !== undefined) simulation.onRound?.(central.study().closed.at(-1)!.round, settled.engine.model());
    }
    const moved =
      central.study() !== before || parties.map(({ engine }) => engine.round()?.stage).join() !== stagesBefore;
    if (!moved && finished.size < parties.length) {
      const dues = relays.flatMap((relay) => relay.due() ?? []);
      wait(central.study(), clock, central.apply, dues);
      for (const relay of relays) await relay.forwardIfDue();
    }
  }
  return {
    study: central.study(),
    models: parties.map(({ engine }) => engine.model()),
    ledgers: parties.map(({ ledger }) => ledger.close()),
    readings: parties.map(({ guard }) => guard.readings()),
    bytesSent: central.received(),
  };
}

function wait(
  study: CoordinatorStudy,
  clock: ReturnType<typeof simulatedClock>,
  apply: (event: { readonly kind: 'tick'; readonly now: number }) => void,
  /** When relays stop waiting for their members. */
  relaysDue: readonly number[],
): void {
  const own = study.round?.deadline ?? study.opensAt;
  const due = Math.min(own ?? Infinity, ...relaysDue.filter((at) => at > clock.now()));
  if (!Number.isFinite(due))
    throw new InvariantError('simulation-stuck', 'The simulated study waits for something that will never come.');
  clock.advanceTo(due);
  apply({ kind: 'tick', now: clock.now() });
}

/** A consent and a dataset ceiling at exactly what the contract's whole schedule may cost. */
export function planCeilings(contract: Contract, study: string, dataset: string) {
  const planned = scheduleEvent(contract);
  const shared = {
    unit: contract.training.unit,
    epsilon: contract.privacy.noise === 'none' ? null : contract.privacy.epsilon,
    delta: chargedDelta(contract),
  };
  const plan = contract.privacy.noise === 'none' ? null : planned;
  return [
    setCeiling({ kind: 'consent', id: study, studies: [study], datasets: [dataset], ...shared }, plan),
    setCeiling({ kind: 'dataset', id: dataset, studies: null, datasets: [dataset], ...shared }, plan),
  ];
}

const newline = Uint8Array.of(0x0a);

function memoryLedger(cipher: Cipher, signer: Signer, now: () => number) {
  let head = emptyHead;
  const lines: Uint8Array[] = [];
  const writer: LedgerWriter = {
    async append(kind, body): Promise<EntryWithHash> {
      const appended = appendEntry(cipher, head, now(), hostActor, kind, body);
      head = appended.head;
      lines.push(appended.line, newline);
      return { entry: appended.entry, hash: head.last };
    },
  };
  return {
    writer,
    close() {
      const checkpoint = writeCheckpoint(cipher, signer, head, now());
      const file = concat(...lines);
      return { file, checkpoint, verified: verifyLedger(cipher, file, [checkpoint], signer.publicKey).ok };
    },
  };
}

function memoryStore(): Store {
  const records = new Map<string, Uint8Array>();
  return {
    async read(key) {
      return records.get(key)?.slice() ?? null;
    },
    async write(changes) {
      for (const { key, value } of changes)
        if (value === null) records.delete(key);
        else records.set(key, value.slice());
    },
  };
}
