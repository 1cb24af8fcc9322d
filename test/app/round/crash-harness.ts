// Institutions whose disks outlive their processes, for tests of crashes, full disks and lying coordinators: the real engine
// and study ledger over a store and a log in memory, the real reducer as coordinator, and a record of all that left.

import assert from 'node:assert/strict';
import { concat, toHex } from '../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../app/encoding/canonical-json.ts';
import { UnavailableError } from '../../../app/errors.ts';
import { appendEntry, emptyHead, verifyLedger } from '../../../app/ledger/chain.ts';
import { hostActor } from '../../../app/ledger/entry.ts';
import type { Store } from '../../../app/ports.ts';
import { setCeiling } from '../../../app/privacy/ceiling.ts';
import { scheduleEvent } from '../../../app/round/charge.ts';
import { statusFor } from '../../../app/round/coordinator-study.ts';
import { openEngine } from '../../../app/round/engine.ts';
import type { Engine, EngineEvent } from '../../../app/round/engine.ts';
import type { CoordinatorPort, StudyStatus } from '../../../app/round/engine-ports.ts';
import { createModelChain, decodeModelChain } from '../../../app/round/model-chain.ts';
import { studyLedger } from '../../../app/round/study-ledger.ts';
import type { EntryWithHash, LedgerWriter } from '../../../app/round/study-ledger.ts';
import { memoryCoordinator } from '../../../app/simulation/memory-coordinator.ts';
import type { MemoryCoordinator } from '../../../app/simulation/memory-coordinator.ts';
import { seededRandom, simulatedClock } from '../../../app/simulation/seeded-machine.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleStudy } from './sample-study.ts';

export const study = sampleStudy({
  institutions: 3,
  change: (contract) => ({ ...contract, schedule: { ...contract.schedule, rounds: 2, attempts: 4 } }),
});
const { contract, parameters } = study;
const firstModel = createModelChain(nodeCipher, contract);
const hash = toHex(parameters.study);

export class PowerCut extends Error {}

/** Where the power goes: the number of the effect, and whether it took place before that. `full`: no room, no crash. */
export type Fault = { readonly at: number; readonly how: 'before' | 'after' | 'full' };

/** One institution's disk, which outlives its processes, and everything that ever left it. */
function institution(index: number, coordinator: CoordinatorPort, faults: Fault[], now: () => number) {
  const records = new Map<string, Uint8Array>();
  const entries: EntryWithHash[] = [];
  const lines: Uint8Array[] = [];
  const wire: { readonly what: string; readonly bytes: string; readonly charged: ReadonlySet<unknown> }[] = [];
  const effects: string[] = [];
  const events: EngineEvent[] = [];
  let head = emptyHead;
  let starts = 0;

  async function effect<Result>(name: string, isWrite: boolean, work: () => Promise<Result>): Promise<Result> {
    const at = effects.push(name) - 1;
    const fault = faults.find((one) => one.at === at);
    if (fault?.how === 'before') throw new PowerCut(name);
    if (fault?.how === 'full')
      throw isWrite
        ? new UnavailableError('disk-full', 'The disk is full.')
        : new UnavailableError('coordinator-unreachable', 'Away.');
    const result = await work();
    if (fault?.how === 'after') throw new PowerCut(name);
    return result;
  }
  const charged = (): Set<unknown> =>
    new Set(entries.flatMap(({ entry }) => (entry.kind === 'budget-reserved' ? [entry.body.round] : [])));
  const leave = (what: string, bytes: Uint8Array): void =>
    void wire.push({ what, bytes: toHex(bytes), charged: charged() });

  const store: Store = {
    read: async (key) => records.get(key)?.slice() ?? null,
    write: (changes) =>
      effect(`write ${changes.map(({ key }) => key).join('+')}`, true, async () => {
        for (const { key, value } of changes)
          if (value === null) records.delete(key);
          else records.set(key, value.slice());
      }),
  };
  const writer: LedgerWriter = {
    append: (kind, body) =>
      effect(`append ${kind}`, true, async () => {
        const appended = appendEntry(nodeCipher, head, now(), hostActor, kind, body);
        head = appended.head;
        lines.push(appended.line, Uint8Array.of(0x0a));
        const entry = { entry: appended.entry, hash: head.last };
        entries.push(entry);
        return entry;
      }),
  };
  // What went onto the wire counts as sent even where the answer is lost.
  const port: CoordinatorPort = {
    ...coordinator,
    send: (message) =>
      effect(`send ${message.stage}`, false, () => {
        leave(`${message.round}/${message.stage}`, canonicalBytes(message));
        return coordinator.send(message);
      }),
    sendShares: (message, bundle) =>
      effect('send shares', false, () => {
        leave(`${message.round}/1`, canonicalBytes(message));
        leave(`${message.round}/boxes`, bundle);
        return coordinator.sendShares(message, bundle);
      }),
    upload: (round, chunks) =>
      effect('upload', false, () => {
        leave(`${round}/chunks`, concat(...chunks));
        return coordinator.upload(round, chunks);
      }),
  };
  let engine: Engine | null = null;

  async function start(): Promise<Engine> {
    const life = ++starts;
    const random = seededRandom(nodeCipher, 'crash', `${index}/${life}`);
    const shared = { unit: contract.training.unit, epsilon: contract.privacy.epsilon, delta: contract.privacy.delta };
    const dataset = `data-${index}`;
    const plan = scheduleEvent(contract);
    const ledger = studyLedger({
      cipher: nodeCipher,
      clock: { now },
      parameters,
      dataset,
      consentEnds: Date.parse(contract.expires),
      ceilings: [
        setCeiling({ kind: 'consent', id: hash, studies: [hash], datasets: [dataset], ...shared }, plan),
        setCeiling({ kind: 'dataset', id: dataset, studies: null, datasets: [dataset], ...shared }, plan),
      ],
      entries,
      writer,
      headSecret: new Uint8Array(32).fill(index + 1),
    });
    return openEngine({
      participant: {
        machine: { cipher: nodeCipher, clock: { now }, random },
        parameters,
        index,
        identity: study.identities[index]!,
      },
      coordinator: port,
      ledger,
      // Other noise in every life, so that bytes made a second time would differ.
      trainer: {
        begin: () => undefined,
        vector: async () => {
          const bytes = random.bytes(4 * parameters.dimension);
          const words = Uint32Array.from({ length: parameters.dimension }, (_, at) => bytes[at]!);
          return { words, trained: true, reason: null };
        },
      },
      store,
      firstModel,
      decodeModel: (bytes) => decodeModelChain(nodeCipher, contract, bytes),
      onEvent: (event) => void events.push(event),
    });
  }

  return {
    effects,
    events,
    entries,
    wire,
    starts: () => starts,
    model: () => engine!.model().hash,
    verified: () => verifyLedger(nodeCipher, concat(...lines), []).ok,
    /** One step; a crash ends the process, and the next step starts another one on the same disk. */
    async advance(status: Parameters<Engine['advance']>[0]): Promise<'going-on' | 'finished'> {
      try {
        engine ??= await start();
        return await engine.advance(status);
      } catch (error) {
        if (error instanceof PowerCut) engine = null;
        else if (!(error instanceof UnavailableError)) throw error;
        return 'going-on';
      }
    },
  };
}

export type Institution = ReturnType<typeof institution>;
/** What a test that plays the coordinator sees before each of the victim's steps. */
export type Around = {
  readonly central: MemoryCoordinator;
  readonly victim: Institution;
  readonly status: StudyStatus;
};

export async function runStudy(faults: Fault[], lie?: (around: Around) => Promise<void>) {
  const clock = simulatedClock(Date.parse('2026-06-01T00:00:00.000Z'));
  const signer = study.coordinator;
  const central = memoryCoordinator({ cipher: nodeCipher, parameters, signer }, firstModel, clock);
  const parties = study.identities.map((_, index) =>
    institution(index, central.portFor(index), index === 1 ? faults : [], () => clock.now()),
  );
  parties.forEach((_, index) => central.apply({ kind: 'consented', index, now: clock.now() }));
  const finished = new Set<number>();
  let idle = 0;
  for (let turn = 0; finished.size < parties.length; turn++) {
    assert.ok(turn < 500, 'the study is stuck');
    const before = central.study();
    for (const [index, party] of parties.entries()) {
      if (finished.has(index)) continue;
      if (index === 1) await lie?.({ central, victim: party, status: statusFor(central.study(), 1) });
      if ((await party.advance(statusFor(central.study(), index))) === 'finished') finished.add(index);
      central.openIfDue();
    }
    const { round, opensAt } = central.study();
    const due = round === null ? opensAt : round.deadline;
    idle = before === central.study() ? idle + 1 : 0;
    if (due !== null && (round === null || idle > 20)) {
      clock.advanceTo(due);
      central.apply({ kind: 'tick', now: clock.now() });
    }
  }
  return { central, parties, victim: parties[1]! };
}
