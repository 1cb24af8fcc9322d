// A coordinator on a real socket and its participants as signed clients, stage by stage, for tests: every message passes
// the wire, the store and the reducers. Time stands still unless a test moves it.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fromHex, toHex, utf8 } from '../../../app/encoding/bytes.ts';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import type { Machine, Signer } from '../../../app/ports.ts';
import { decodeBroadcast } from '../../../app/round/lists.ts';
import type { ListBroadcast, ListStage } from '../../../app/round/lists.ts';
import { decodeMessage, expectStage } from '../../../app/round/messages.ts';
import type { Message } from '../../../app/round/messages.ts';
import {
  leaveRound,
  receiveCohort,
  receiveReveals,
  receiveShares,
  receiveSurvivors,
  receiveTranscript,
  sealVector,
  signReady,
} from '../../../app/round/participant.ts';
import type { Participant } from '../../../app/round/participant.ts';
import { firstMemory } from '../../../app/round/participant-state.ts';
import type { RoundState, StudyMemory } from '../../../app/round/participant-state.ts';
import { checkResult, readdSum } from '../../../app/round/result.ts';
import { consentTo, signConsent, signedConsentText } from '../../../app/study/consent.ts';
import { signContract, signedContractText } from '../../../app/study/signed-contract.ts';
import type { Contract } from '../../../app/study/contract.ts';
import type { Limits } from '../../../main/coordinator/admission.ts';
import { openEngine } from '../../../main/coordinator/engine.ts';
import type { Engine, EngineOptions, LogLine, SumApplier } from '../../../main/coordinator/engine.ts';
import { startServer } from '../../../main/coordinator/server.ts';
import type { RunningServer } from '../../../main/coordinator/server.ts';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import { connectCoordinator } from '../../../main/host/connection/coordinator-client.ts';
import type { CoordinatorClient, Patience } from '../../../main/host/connection/coordinator-client.ts';
import { nodeCipher, systemRandom } from '../../../main/host/machine.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';
import { alterStore, freshDatabase } from './stores.ts';
import type { SampleStudy } from '../../app/round/sample-study.ts';
import type { SmallStudyOptions } from '../../../app/simulation/small-study.ts';

export const firstModel = 'ab'.repeat(32);

export type Party = {
  readonly participant: Participant;
  readonly transport: Signer;
  client: CoordinatorClient;
  memory: StudyMemory;
  state: RoundState | null;
  chunks: readonly Uint8Array[];
};

/** What the parties need to take part, wherever the coordinator runs. */
export type Driven = {
  readonly study: SampleStudy;
  readonly machine: Machine;
  readonly parties: readonly Party[];
  /** The round that is open. */
  roundNumber(): number;
  /** H(model) after the last closed round. */
  model(): string;
};

export type LiveFederation = Driven & {
  readonly clock: { now: number };
  readonly folder: string;
  /** Where the store is PostgreSQL: a database of this federation's own. */
  readonly database: string | null;
  readonly log: LogLine[];
  engine: Engine;
  server: RunningServer;
  /** Closes server and store and opens them anew on the same folder. `between`: what befalls the folder meanwhile. */
  reopen(between?: () => void | Promise<void>): Promise<void>;
  close(): Promise<void>;
};

/** Every sum changes the model's hash, so that a sum fed twice, or out of order, is noticed. */
export function hashApplier(model = firstModel): SumApplier {
  return {
    model,
    apply: (round, survivors, sum) => ({
      next: hashApplier(toHex(nodeCipher.sha256(utf8(`${model}/${round}/${survivors.join()}/${sum.join()}`)))),
      spoiled: false,
    }),
  };
}

/** No try is repeated: a test sees the first answer. */
const impatient = { attempts: 1, firstMs: 1, longestMs: 1 };

export async function liveFederation(options: {
  readonly institutions: number;
  readonly sparse?: NonNullable<SmallStudyOptions['sparse']>;
  readonly features?: number;
  /** Is told of each request of the coordinator's server. */
  readonly onRequest?: NonNullable<Parameters<typeof startServer>[0]['onRequest']>;
  readonly change?: (contract: Contract) => Contract;
  readonly limits?: Partial<Limits>;
  readonly tls?: { readonly certificate: Uint8Array; readonly key: Uint8Array };
  /** Where time must pass. */
  readonly clock?: Machine['clock'];
  readonly observe?: NonNullable<EngineOptions['observe']>;
}): Promise<LiveFederation> {
  const study = sampleStudy(options);
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-coordinator-'));
  const database = await freshDatabase();
  const clock = { now: Date.parse('2026-06-01T00:00:00.000Z') };
  const machine: Machine = {
    cipher: nodeCipher,
    random: systemRandom,
    clock: options.clock ?? { now: () => clock.now },
  };
  const contract = utf8(signedContractText(signContract(nodeCipher, study.lead, study.contract)));
  const log: LogLine[] = [];
  const start = async () => {
    const store = await openCoordinatorStore(placeOf({ folder, database, study }));
    const { parameters, coordinator: signer } = study;
    const around = { cipher: nodeCipher, clock: machine.clock, parameters, signer, store, applier: hashApplier() };
    const observe = options.observe === undefined ? {} : { observe: options.observe };
    const engine = await openEngine({ ...around, ...observe, log: (line) => log.push(line) });
    const limits = options.limits ?? {};
    const heard = options.onRequest === undefined ? {} : { onRequest: options.onRequest };
    const tls = options.tls === undefined ? {} : { tls: options.tls };
    const server = await startServer({ engine, contract, host: '127.0.0.1', port: 0, limits, ...tls, ...heard });
    return { engine, server };
  };
  const first = await start();
  const parties = partiesOf(study, machine, first.server.address, impatient);
  const shut = async (): Promise<void> => {
    for (const { client } of parties) client.close();
    await fed.server.close();
    await fed.engine.close();
  };
  const fed: LiveFederation = {
    study,
    machine,
    clock,
    folder,
    database,
    log,
    parties,
    ...first,
    roundNumber: () => fed.engine.study().round!.round,
    model: () => fed.engine.study().model,
    async reopen(between) {
      await shut();
      await between?.();
      Object.assign(fed, await start());
      for (const party of parties) party.client = clientOf(party, fed.server.address, impatient);
    },
    async close() {
      await shut();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return fed;
}

function clientOf(
  { participant, transport }: Pick<Party, 'participant' | 'transport'>,
  address: string,
  patience: Patience,
): CoordinatorClient {
  const { machine, parameters, index, identity } = participant;
  return connectCoordinator({ machine, parameters, index, identity, transport, address, patience });
}

export const partiesOf = (study: SampleStudy, machine: Machine, address: string, patience: Patience): Party[] =>
  study.identities.map((identity, index): Party => {
    const participant = { machine, parameters: study.parameters, index, identity };
    const transport = signerFromSeed(nodeCipher, new Uint8Array(32).fill(0x70 + index));
    const client = clientOf({ participant, transport }, address, patience);
    return { participant, transport, client, memory: firstMemory(firstModel), state: null, chunks: [] };
  });

/** What openCoordinatorStore takes for a federation's store. */
export const placeOf = (fed: Pick<LiveFederation, 'folder' | 'database' | 'study'>) => ({
  folder: fed.folder,
  study: toHex(fed.study.parameters.study),
  ...(fed.database === null ? {} : { database: fed.database }),
});

/** What a kill leaves when it strikes before the newest event of that kind was stored. */
export async function forgetNewest(fed: LiveFederation, kind: 'summed' | 'uploaded'): Promise<void> {
  const newest = `SELECT max(seq) FROM events WHERE body LIKE '%"kind":"${kind}"%'`;
  const changes = await alterStore(placeOf(fed), `DELETE FROM events WHERE seq = (${newest})`);
  if (changes !== 1) throw new Error(`there is no event "${kind}" to forget`);
}

export function consentText(fed: Driven, index: number, changes: { readonly expires?: string } = {}): string {
  const { contract } = fed.study;
  const given = new Date(fed.machine.clock.now()).toISOString();
  const consent = consentTo(nodeCipher, contract, {
    index,
    dataset: { name: `data-${index}`, lineage: null },
    epsilonCeiling: contract.privacy.epsilon,
    noise: contract.privacy.noise,
    given,
    expires: '2030-01-01T00:00:00.000Z',
    ...changes,
  });
  return signedConsentText(signConsent(nodeCipher, fed.study.identities[index]!, consent));
}

export async function consentAll(fed: Driven): Promise<void> {
  for (const [index, party] of fed.parties.entries()) await party.client.sendConsent(consentText(fed, index));
}

/** Lets the deadline of the present stage, or the pause between rounds, pass. */
export async function expire(fed: LiveFederation): Promise<void> {
  const study = fed.engine.study();
  fed.clock.now = (study.round?.deadline ?? study.opensAt ?? fed.clock.now) + 1;
  await fed.engine.tick();
}

export async function ready(fed: Driven, party: Party): Promise<void> {
  const { participant, memory } = party;
  const head = new Uint8Array(32).fill(participant.index + 1);
  const previous = party.state && leaveRound(party.state);
  const step = signReady(participant, memory, previous, fed.roundNumber(), head);
  party.memory = step.memory;
  party.state = step.state;
  await party.client.send(step.state.ready);
}

async function listOf<B extends ListBroadcast, S extends ListStage>(
  party: Party,
  broadcast: B,
  stage: S,
  own: Parameters<typeof decodeBroadcast<B, S>>[3],
) {
  const bytes = await party.client.broadcast(party.state!.round, stage);
  return decodeBroadcast(bytes!, broadcast, stage, own);
}

/** R0b, on a sparse graph. */
export async function reveal(_: Driven, party: Party): Promise<void> {
  await party.client.send((await withCohort(party)).reveal!);
}

/** The state after dealing, not yet sent. */
export async function dealt(party: Party): Promise<RoundState> {
  const { state } = party;
  if (state?.stage !== 'revealed') return withCohort(party);
  const { hash, signature } = state.u1!;
  const list = await listOf(party, 133, 5, { u1: hash, u1Signature: signature });
  party.state = receiveReveals(party.participant, state, list).state;
  return party.state;
}

async function withCohort(party: Party): Promise<RoundState> {
  const { round, contract, config, model } = party.state!.ready.body;
  const list = await listOf(party, 128, 0, { round, contract, config, model });
  const step = receiveCohort(party.participant, party.memory, party.state!, list);
  party.memory = step.memory;
  party.state = step.state;
  return step.state;
}

export async function share(_: Driven, party: Party): Promise<void> {
  const state = await dealt(party);
  await party.client.sendShares(state.shares!, fromHex(state.bundle!));
}

export function vectorFor(index: number, dimension: number): Uint32Array {
  return Uint32Array.from({ length: dimension }, (_, at) => (Math.imul(index + 1, 0x9e3779b1) + at * 7919) >>> 0);
}

export async function openBoxes(party: Party): Promise<RoundState> {
  const { hash, signature } = party.state!.u1!;
  const { ring } = party.state!.shares!.body;
  const own = { u1: hash, u1Signature: signature, ...(ring === undefined ? {} : { ring }) };
  const list = await listOf(party, 129, 1, own);
  const step = receiveShares(party.participant, party.state!, list, await party.client.boxes(party.state!.round));
  party.state = step.state;
  return step.state;
}

/** Opens the boxes and seals; nothing is sent yet. */
export async function sealed(fed: Driven, party: Party): Promise<Message<2>> {
  await openBoxes(party);
  const vector = vectorFor(party.participant.index, fed.study.parameters.dimension);
  const step = sealVector(party.participant, party.state!, vector);
  party.state = step.state;
  party.chunks = step.chunks;
  return step.state.masked!;
}

export async function seal(fed: Driven, party: Party): Promise<void> {
  const masked = await sealed(fed, party);
  await party.client.send(masked);
  await party.client.upload(masked.round, party.chunks);
}

export async function agree(_: Driven, party: Party): Promise<void> {
  const state = party.state!;
  const list = await listOf(party, 130, 2, { u1: state.u1!.hash, u2: state.u2!.hash });
  party.state = receiveSurvivors(party.participant, state, list).state;
  await party.client.send(party.state.consistency!);
}

export async function unmask(_: Driven, party: Party): Promise<void> {
  const state = party.state!;
  const own = { u1: state.u1!.hash, u2: state.u2!.hash, statement: state.u3!.statement };
  party.state = receiveTranscript(party.participant, state, await listOf(party, 131, 3, own)).state;
  await party.client.send(party.state.unmask!);
}

/** Fetches the result and every vector and adds up again, as design 3's R5 asks; then pins. */
export async function verify(fed: Driven, party: Party): Promise<Uint32Array> {
  const { cipher } = fed.machine;
  const { parameters } = fed.study;
  const state = { ...party.state!, u3: party.state!.u3! };
  const result = expectStage(decodeMessage((await party.client.broadcast(state.round, 4))!), 132);
  const { masks } = checkResult(cipher, parameters, state, result);
  const sum = await readdSum(cipher, parameters, state, result, masks, {
    masked: (index, chunk) => party.client.maskedChunk(state.round, index, chunk),
    sum: (chunk) => party.client.sumChunk(state.round, chunk),
  });
  const last = { round: state.round, sum: result.body.sum, verified: true };
  party.memory = { ...party.memory, last, model: fed.model() };
  return sum;
}

export type Step = (fed: Driven, party: Party) => Promise<void>;
export const stages: readonly Step[] = [ready, share, seal, agree, unmask];

/** All of them, at once as in life. */
export async function everyone(fed: Driven, step: Step, silent: readonly number[] = []): Promise<void> {
  await Promise.all(
    fed.parties.filter(({ participant }) => !silent.includes(participant.index)).map((party) => step(fed, party)),
  );
}

export async function wholeRound(fed: LiveFederation): Promise<void> {
  for (const stage of stages) await everyone(fed, stage);
  await fed.engine.settled();
  await everyone(fed, async (_, party) => void (await verify(fed, party)));
}

export function plainSum(indices: readonly number[], dimension: number): Uint32Array {
  const sum = new Uint32Array(dimension);
  for (const index of indices) vectorFor(index, dimension).forEach((word, at) => (sum[at] = sum[at]! + word));
  return sum;
}
