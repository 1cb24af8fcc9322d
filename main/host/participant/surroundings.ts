// Opens what a run needs, in the order in which each may refuse: agreement, keys and ledger, policy, records, state,
// trainer, coordinator, engine. Closes all of it in reverse, whatever failed. Design 2, "Processes" (host).

import { coordinatorKeys } from '../connection/coordinator-keys.ts';
import type { CoordinatorKeys } from '../connection/coordinator-keys.ts';
import { existsSync } from 'node:fs';
import { toHex } from '../../../app/encoding/bytes.ts';
import { RefusalError } from '../../../app/errors.ts';
import type { Store } from '../../../app/ports.ts';
import { openEngine } from '../../../app/round/engine.ts';
import type { Engine, EngineEvent } from '../../../app/round/engine.ts';
import { createModelChain, decodeModelChain } from '../../../app/round/model-chain.ts';
import { studyParameters } from '../../../app/round/parameters.ts';
import type { EntryWithHash, LedgerWriter } from '../../../app/round/study-ledger.ts';
import { openSignedConsent } from '../../../app/study/consent.ts';
import type { Consent, SignedConsent } from '../../../app/study/consent.ts';
import { consentPolicyFindings } from '../../../app/study/policy.ts';
import type { Policy } from '../../../app/study/policy.ts';
import type { Excluded } from '../../../app/training/prints.ts';
import { Trainer } from '../../trainer/client.ts';
import { threadedNoise } from '../../trainer/noise-threads.ts';
import { requireExcludable, takeUpExclusions } from '../records/exclusion-list.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import type { Keystore } from '../keys/keystore.ts';
import { checkpointWatch } from '../checkpoint/checkpoint-watch.ts';
import { requireTaskCheckpoint } from '../checkpoint/task-checkpoint.ts';
import { nodeMachine } from '../machine.ts';
import { budgetOf, policyCeilings, writeCeiling } from './ceilings.ts';
import type { StudyConnection } from './connection.ts';
import { studyForecast } from './forecast.ts';
import type { StudyForecast } from './forecast.ts';
import { consentedMapping } from '../import/mapping-file.ts';
import { excludedRemoved, importedDigest, requireUnchanged } from './dataset.ts';
import { openHome, readStudy, readTextIfThere } from './home.ts';
import type { StoredStudy } from './home.ts';
import { openParticipantLedger, studyReading } from './ledger.ts';
import type { ParticipantLedger } from './ledger.ts';
import { requireAgreeing } from './rollback.ts';
import { statusWriter } from './status.ts';
import type { StatusWriter } from './status.ts';
import { roundTrainer } from './trainer.ts';
import type { RoundTrainer } from './trainer.ts';
import { recordedLedger } from '../ledger/recorded-ledger.ts';
import { openRecords, recordsPointer, sweepRecords } from '../records/records-copies.ts';
import type { RecordsPointer } from '../records/records-copies.ts';
import { requireWholeCopy } from '../records/records-copy-file.ts';
import { openRegister } from '../records/register.ts';
import { createSealer } from '../sealing/sealer.ts';
import { openSealedStore } from '../records/sealed-store.ts';

export type SurroundingsOptions = {
  readonly home: string;
  readonly keys: KeySourceOptions;
  /** Hash of the study, or its first digits; null where there is only one. */
  readonly study: string | null;
  readonly policy: Policy | null;
  readonly connect: (stored: StoredStudy, index: number, keystore: Keystore) => Promise<StudyConnection>;
  /** Runs whenever the status file says something new. */
  readonly onStatus?: () => void;
  /** Stands in for the trainer process in tests. */
  readonly trainer?: Pick<Trainer, 'run' | 'close'>;
};

export type Surroundings = {
  readonly home: string;
  readonly stored: StoredStudy;
  /** Hash of the contract, hex. */
  readonly study: string;
  readonly identityKey: Uint8Array;
  readonly adjacency: string;
  readonly consent: Consent;
  readonly consentText: string;
  readonly guard: ParticipantLedger;
  readonly forecast: () => StudyForecast | null;
  /** Writes that the run ends in good order. */
  readonly noteStop: (outcome: string) => Promise<void>;
  readonly engine: Engine;
  readonly modelHash: () => string;
  readonly trainer: RoundTrainer;
  readonly connection: StudyConnection;
  readonly status: StatusWriter;
  readonly keys: CoordinatorKeys;
  /** Asks for changes of the coordinator's key and takes up what is new; whether anything was. */
  readonly takeUpKeys: () => Promise<boolean>;
  /** Rounds whose vector is zeros plus noise. */
  readonly untrained: Set<number>;
  close(): Promise<void>;
};

/** What the engine says, and what happened to the trainer and the coordinator's key beside it. */
export type ParticipantEvent =
  | EngineEvent
  | { readonly kind: 'trainer-lost'; readonly round: number }
  | { readonly kind: 'coordinator-key'; readonly fromRound: number };

export async function openSurroundings(
  options: SurroundingsOptions,
  onEvent: (event: ParticipantEvent) => void,
): Promise<Surroundings> {
  const { home, policy } = options;
  const { cipher, clock } = nodeMachine;
  const closers: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).reverse()) await one();
  };
  try {
    const stored = await readStudy(home, options.study);
    const { contract, paths } = stored;
    const study = toHex(stored.hash);
    const consentText = await readTextIfThere(paths.consent);
    if (consentText === null)
      throw new RefusalError(
        'no-consent',
        `No consent to this study is signed here. Use: consilience participant consent --home ${home}`,
      );
    const signed = openSignedConsent(cipher, contract, consentText);
    const { consent } = signed;
    const opened = await openHome(home, options.keys);
    closers.push(() => opened.close());
    const { keystore } = opened;
    const { index } = consent.institution;
    if (contract.roster[index]!.identityKey !== toHex(keystore.identity.publicKey))
      throw new RefusalError('not-in-roster', 'The keys in this folder are not those that the contract lists.');

    const { writer, entries } = recordedLedger(opened);
    const register = await openRegister({ home, keystore, entries });
    const takeUp = (): Promise<void> => takeUpExclusions({ home, keystore, register, writer });
    await takeUp();
    const excluded = (): Excluded | null =>
      requireExcludable(register, {
        namesPersons: contract.task.table.personColumn !== null,
        removedDigest: excludedRemoved(entries, consent.dataset.name),
      });
    excluded();
    await applyPolicy(policy, signed, entries, writer);
    const consented = importedDigest(entries, consent.dataset.name);
    await sweepRecords(home);
    const pointer = await requirePointer(home, study);
    const copy =
      pointer.copy === null
        ? null
        : await openRecords(home, keystore, pointer.copy, { study, digest: consented.digest });
    if (copy !== null) closers.push(() => void copy.key.fill(0));
    const recordsFile = copy?.path ?? pointer.path;
    const checkpointFolder = pointer.checkpoint;
    await (copy === null ? requireUnchanged(recordsFile, consented) : requireWholeCopy(copy));
    await requireTaskCheckpoint(contract.task, checkpointFolder);
    const mapping = await consentedMapping(paths.mapping, entries, study, consent.dataset.name);
    const parameters = studyParameters(cipher, contract);
    const keys = await coordinatorKeys({ parameters, path: paths.coordinatorKeys, writer });
    const ledger = { ...writer, checkpoint: () => opened.ledger.checkpoint() };
    let guardEnded = (): boolean => false;
    const guard = openParticipantLedger({
      ledger,
      entries,
      keystore,
      parameters,
      consent: signed,
      clock,
      withdrawalWaits: () => existsSync(paths.withdrawal) && !guardEnded(),
    });
    guardEnded = () => guard.ended() !== null;

    const asked = { hash: study, contract, dataset: consent.dataset.name };
    const forecast = (): StudyForecast | null => studyForecast(entries, asked, clock.now());
    const store = await openSealedStore({ folder: home, keystore });
    closers.push(() => store.close());
    const firstModel = createModelChain(cipher, contract);
    const status = statusWriter(
      home,
      {
        format: 'consilience/participant-status/1',
        pid: process.pid,
        updated: new Date(clock.now()).toISOString(),
        institution: consent.institution.name,
        study: { hash: study, name: contract.name, title: contract.title },
        doing: 'starting',
        round: null,
        stage: null,
        trained: null,
        training: null,
        epsilon: studyReading(guard.readings(), study, consent.adjacency),
        forecast: forecast(),
        rounds: { planned: contract.schedule.rounds, ...closedRounds(entries, study) },
        model: firstModel.hash,
        outcome: null,
        events: [],
      },
      () => new Date(clock.now()).toISOString(),
      options.onStatus,
    );
    closers.push(() => status.flush());
    const trainer = roundTrainer({
      trainer: options.trainer ?? new Trainer(),
      index,
      machine: nodeMachine,
      drawNoise: threadedNoise(nodeMachine.random),
      recordsFile,
      checkpointFolder,
      checkpointStands: checkpointWatch(contract.task, checkpointFolder),
      copy,
      mapping,
      consented,
      excluded: async () => {
        await takeUp();
        return excluded();
      },
      // A fifth of the stage is left for sealing and the upload.
      patienceMs: contract.schedule.stageSeconds.masked * 800,
      onProgress: (_round, done, total) => status.update({ training: { done, total } }),
      onLost: (round) => onEvent({ kind: 'trainer-lost', round }),
    });
    closers.push(() => trainer.close());
    const connection = await options.connect(stored, index, keystore);
    closers.push(() => connection.close());
    const takeUpKeys = async (): Promise<boolean> => {
      const taken = await keys.takeUp((await connection.keyChanges?.()) ?? []);
      for (const { fromRound } of taken) onEvent({ kind: 'coordinator-key', fromRound });
      return taken.length > 0;
    };
    let modelHash = (): string => firstModel.hash;
    const sealer = createSealer({ cipher });
    closers.push(() => sealer.close());
    const engine = await openEngine({
      participant: { machine: nodeMachine, parameters, index, identity: keystore.identity },
      coordinator: connection.port,
      ledger: guard,
      trainer,
      sealer,
      store: underPrefix(store, `study/${study}/`),
      firstModel,
      newCoordinatorKey: takeUpKeys,
      decodeModel: (bytes) => decodeModelChain(cipher, contract, bytes),
      onEvent,
    });
    modelHash = () => engine.model().hash;
    requireAgreeing(engine.memory().counter, guard.witness(), null);
    const last = engine.round();
    status.update({
      model: modelHash(),
      round: last?.round ?? null,
      stage: last === null || last.stage === 'wiped' ? null : last.stage,
    });
    await writer.append('start', { study, program: 'participant' });
    return {
      home,
      stored,
      study,
      identityKey: keystore.identity.publicKey,
      adjacency: consent.adjacency,
      consent,
      consentText,
      guard,
      forecast,
      noteStop: async (outcome) => void (await writer.append('clean-stop', { study, outcome })),
      engine,
      modelHash: () => modelHash(),
      trainer,
      connection,
      status,
      keys,
      takeUpKeys,
      untrained: new Set(),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** IT may have lowered a limit since the consent: then its ceiling is lowered here too, or the run refused. */
async function applyPolicy(
  policy: Policy | null,
  signed: SignedConsent,
  entries: readonly EntryWithHash[],
  writer: LedgerWriter,
): Promise<void> {
  if (policy === null) return;
  const { name } = signed.consent.dataset;
  for (const lowered of policyCeilings(budgetOf(entries), policy, name)) {
    await writer.append('policy-changed', { dataset: name, epsilon: lowered.epsilon });
    await writeCeiling(writer, lowered, 'policy');
  }
  const broken = consentPolicyFindings(policy, signed)[0];
  if (broken !== undefined) throw new RefusalError(broken.code, `${broken.reason} ${broken.repair} Nothing was sent.`);
}

function closedRounds(entries: readonly EntryWithHash[], study: string): { closed: number; lastClosed: number } {
  const rounds: number[] = [];
  for (const { entry } of entries)
    if (entry.kind === 'round-closed' && entry.body['study'] === study) rounds.push(Number(entry.body['round']));
  return { closed: rounds.length, lastClosed: rounds.at(-1) ?? 0 };
}

async function requirePointer(home: string, study: string): Promise<RecordsPointer> {
  const pointer = await recordsPointer(home, study);
  if (pointer === null)
    throw new RefusalError(
      'dataset-not-imported',
      `Where the records lie is not noted in ${home}. Give consent again with --data FILE.`,
    );
  return pointer;
}

function underPrefix(store: Store, prefix: string): Store {
  return {
    read: (key) => store.read(prefix + key),
    write: (changes) => store.write(changes.map(({ key, value }) => ({ key: prefix + key, value }))),
  };
}
