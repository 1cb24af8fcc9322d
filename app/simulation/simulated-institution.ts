// An honest institution in a faulty world: the real engine, study ledger and guard over a disk that tears, in a process
// that may be killed at every write, append and send, and starts again on what the disk kept.

import { fromUtf8, toHex } from '../encoding/bytes.ts';
import { canonicalBytes } from '../encoding/canonical-json.ts';
import { InputError, RefusalError, UnavailableError } from '../errors.ts';
import type { Machine, Store } from '../ports.ts';
import { openEngine } from '../round/engine.ts';
import type { Engine } from '../round/engine.ts';
import type { CoordinatorPort, LedgerPort, StudyStatus } from '../round/engine-ports.ts';
import { roundGraph } from '../round/graph.ts';
import type { AnyMessage } from '../round/messages.ts';
import { decodeModelChain } from '../round/model-chain.ts';
import type { ModelChain } from '../round/model-chain.ts';
import { acceptKeyChange } from '../round/parameters.ts';
import type { StudyParameters } from '../round/parameters.ts';
import { studyLedger } from '../round/study-ledger.ts';
import type { SignedKeyChange } from '../study/coordinator-key.ts';
import type { Draws } from './draws.ts';
import { planCeilings } from './federation.ts';
import type { CoordinatorCalls } from './memory-coordinator.ts';
import { seededRandom } from './seeded-machine.ts';
import { encodeChanges, recoverLedger, recoverStore, setRecords, simulatedFile } from './simulated-disk.ts';
import type { SimulatedNetwork } from './simulated-network.ts';
import { beyond } from './small-study.ts';
import type { SmallStudy } from './small-study.ts';
import type { Process, VirtualTime } from './virtual-time.ts';
import type { Witness } from './witness.ts';

export type InstitutionTerms = {
  /** Probability that the power goes at an effect (write, append, send), and that a disk has no room at a write. */
  readonly crash: number;
  readonly full: number;
  /** Milliseconds until it runs again, least and most; and how likely it stays away for whole rounds, for how long. */
  readonly downtime: readonly [least: number, most: number];
  readonly longAbsence: number;
  readonly absence: readonly [least: number, most: number];
  /** A disk that forgets what it said was synced: only tests of the checks themselves use it. */
  readonly forgetfulDisk: boolean;
  /** Probability that training gives garbage that no honest vector could be. */
  readonly garbage: number;
};

/** How the coordinator is asked; a lying one answers each institution as it likes. */
export type Asked = {
  consent(index: number): void;
  status(index: number): StudyStatus;
  /** Changes of the coordinator's key, as it shows them. */
  keyChanges(): readonly SignedKeyChange[];
  callsFor(index: number): CoordinatorCalls;
};

export type SimulatedInstitution = {
  readonly finished: () => boolean;
  /** Newest code with which it waited, left a round or was refused. */
  readonly lastCode: () => string | null;
  /** Every code with which it left a round. */
  readonly left: () => readonly string[];
  readonly starts: () => number;
  readonly model: () => string | null;
  /** Ends the process, which starts again by itself; `whole`: it stays away for whole rounds. */
  crash(whole: boolean): void;
  heal(): void;
};

export function simulatedInstitution(around: {
  readonly study: SmallStudy;
  readonly index: number;
  readonly seed: string;
  readonly firstModel: ModelChain;
  readonly time: VirtualTime;
  readonly network: SimulatedNetwork;
  readonly asked: Asked;
  readonly draws: Draws;
  readonly terms: InstitutionTerms;
  readonly witness: Witness;
  /** Milliseconds between two looks at the status. */
  readonly pollMs: number;
}): SimulatedInstitution {
  const { study, index, time, network, draws, terms, witness } = around;
  const { cipher, contract } = study;
  const storeFile = simulatedFile(draws, terms.forgetfulDisk);
  const ledgerFile = simulatedFile(draws, terms.forgetfulDisk);
  let healed = false;
  let finished = false;
  let lastCode: string | null = null;
  const left = new Set<string>();
  let lives = 0;
  let process: Process | null = null;

  function begin(): void {
    if (finished) return;
    lives++;
    process = time.spawn(live);
  }

  function fall(whole: boolean): void {
    if (process === null || !process.alive()) return;
    process.kill();
    storeFile.crash();
    ledgerFile.crash();
    witness.ledger(index, ledgerFile.durable());
    const away = !healed && (whole || draws.chance(terms.longAbsence)) ? terms.absence : terms.downtime;
    time.at(time.now() + draws.between(...away), begin);
  }

  const powerGoes = (): boolean => !healed && draws.chance(terms.crash);
  const never = new Promise<never>(() => undefined);

  async function live(own: Process): Promise<void> {
    const dies = (): Promise<never> => {
      fall(false);
      return never;
    };
    const seed = `${around.seed}/${index}/${lives}`;
    const machine: Machine = { cipher, clock: time, random: seededRandom(cipher, seed, 'machine') };
    const vectors = seededRandom(cipher, seed, 'vectors');

    /** Something durable: before it, during it, and after it the power may go. */
    async function durably<Result>(append: () => Result, sync: () => void): Promise<Result> {
      if (powerGoes()) return dies();
      if (!healed && draws.chance(terms.full)) throw new UnavailableError('disk-full', 'The disk is full.');
      const result = append();
      await own.sleep(draws.between(0, 5));
      if (powerGoes()) return dies();
      sync();
      if (powerGoes()) return dies();
      return result;
    }
    async function send<Result>(message: AnyMessage | null, call: () => Result): Promise<Result> {
      if (powerGoes()) return dies();
      if (message !== null) witness.sends(index, message);
      const result = await network.call(own, index, call);
      if (powerGoes()) return dies();
      return result;
    }

    const records = recoverStore(cipher, storeFile);
    const store: Store = {
      read: async (key) => records.get(key)?.slice() ?? null,
      write: (changes) =>
        durably(
          () => storeFile.append(encodeChanges(cipher, changes)),
          () => {
            storeFile.sync();
            setRecords(records, changes);
          },
        ),
    };
    const parameters: StudyParameters = { ...study.parameters, keyChanges: [] };
    const keptKeys = records.get('coordinator-keys');
    if (keptKeys !== undefined)
      for (const change of JSON.parse(fromUtf8(keptKeys)) as SignedKeyChange[])
        acceptKeyChange(cipher, parameters, change);

    /** As main/host/connection/coordinator-keys.ts does: kept first, then in force. */
    async function takeUpKeys(): Promise<boolean> {
      const shown = await network.call(own, index, () => [...around.asked.keyChanges()]);
      const known = parameters.keyChanges.length;
      if (shown.length <= known) return false;
      await store.write([{ key: 'coordinator-keys', value: canonicalBytes(shown) }]);
      for (const change of shown) acceptKeyChange(cipher, parameters, change);
      return true;
    }

    const log = recoverLedger(cipher, ledgerFile);
    witness.ledger(index, ledgerFile.durable());
    const dataset = contract.roster[index]!.name;
    const guard = studyLedger({
      cipher,
      clock: time,
      parameters,
      dataset,
      consentEnds: Date.parse(contract.expires),
      ceilings: planCeilings(contract, toHex(parameters.study), dataset),
      entries: [...log.entries],
      writer: {
        append: (kind, body) =>
          durably(
            () => log.append(kind, body, time.now()),
            () => {
              ledgerFile.sync();
              witness.ledger(index, ledgerFile.durable());
            },
          ),
      },
      headSecret: new Uint8Array(32).fill(index + 1),
    });

    let taken: { readonly sum: Uint32Array; readonly model: string } | null = null;
    const watched = (chain: ModelChain): ModelChain => ({
      ...chain,
      apply(survivors, sum) {
        const applied = chain.apply(survivors, sum);
        taken = { sum: sum.slice(), model: applied.chain.hash };
        return { ...applied, chain: watched(applied.chain) };
      },
    });
    const ledger: LedgerPort = {
      ...guard,
      note(kind, body) {
        if (kind === 'round-closed') witness.applied(index, body, taken!.sum, taken!.model);
        return guard.note(kind, body);
      },
    };

    const calls = (): CoordinatorCalls => around.asked.callsFor(index);
    let engine: Engine | null = null;
    const port: CoordinatorPort = {
      send(message) {
        if (message.stage === 2) leaves(message.round);
        return send(message, () => calls().send(message));
      },
      sendShares(message, bundle) {
        const u1 = engine?.round()?.u1;
        if (u1 !== undefined && (u1.ring !== undefined || parameters.opensRegions)) {
          const { holdersOf, thresholdOf } = roundGraph(parameters, u1.members, u1.ring);
          witness.dealt(index, message.round, holdersOf(index), thresholdOf(index));
        }
        return send(message, () => calls().sendShares(message, bundle));
      },
      upload: (round, chunks) => {
        leaves(round);
        return send(null, () => calls().upload(round, chunks));
      },
      broadcast: (round, stage) => network.call(own, index, () => calls().broadcast(round, stage)),
      boxes: (round) => network.call(own, index, () => calls().boxes(round)),
      maskedChunk: (round, member, chunk) => network.call(own, index, () => calls().maskedChunk(round, member, chunk)),
      sumChunk: (round, chunk) => network.call(own, index, () => calls().sumChunk(round, chunk)),
      closedAfter: (round) => network.call(own, index, () => calls().closedAfter(round)),
      regionSums: (round) => network.call(own, index, () => calls().regionSums(round)),
      regionChunk: (round, position, chunk) =>
        network.call(own, index, () => calls().regionChunk(round, position, chunk)),
    };
    function leaves(number: number): void {
      const state = engine?.round();
      const members = state?.u2?.members ?? [];
      const graph = roundGraph(parameters, state?.u1?.members ?? [], state?.u1?.ring);
      witness.masked(
        index,
        number,
        members.map((member) => member.index).filter((member) => graph.areNeighbours(index, member)),
      );
    }

    engine = await openEngine({
      participant: { machine, parameters, index, identity: study.identities[index]! },
      coordinator: port,
      ledger,
      trainer: {
        begin: () => undefined,
        async vector(round) {
          const bytes = vectors.bytes(parameters.dimension);
          const words = Uint32Array.from(bytes, (byte) => byte - 128);
          const garbage = !healed && draws.chance(terms.garbage);
          if (garbage) words[0] = beyond(parameters);
          witness.trained(index, round, words, garbage);
          return { words, trained: true, reason: null };
        },
      },
      store,
      firstModel: watched(around.firstModel),
      newCoordinatorKey: takeUpKeys,
      decodeModel: (bytes) => watched(decodeModelChain(cipher, contract, bytes)),
      onEvent(event) {
        if (event.kind === 'left' || event.kind === 'waiting') lastCode = event.code;
        if (event.kind === 'left') left.add(event.code);
      },
    });
    for (let consented = false; ;) {
      await own.sleep(around.pollMs);
      try {
        if (!consented) await network.call(own, index, () => around.asked.consent(index));
        consented = true;
        const { status, keys } = await network.call(own, index, () => ({
          status: around.asked.status(index),
          keys: around.asked.keyChanges().length,
        }));
        if (keys > parameters.keyChanges.length) await takeUpKeys();
        if ((await engine.advance(status)) === 'finished') break;
      } catch (error) {
        const outside = error instanceof UnavailableError;
        if (!outside && !(error instanceof RefusalError) && !(error instanceof InputError)) throw error;
        if (!outside) lastCode = error.code;
      }
    }
    finished = true;
    modelHash = engine.model().hash;
  }

  let modelHash: string | null = null;
  begin();
  return {
    finished: () => finished,
    lastCode: () => lastCode,
    left: () => [...left],
    starts: () => lives,
    model: () => modelHash,
    crash(whole) {
      if (!healed) fall(whole);
    },
    heal() {
      healed = true;
    },
  };
}
