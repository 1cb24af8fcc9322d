// An institution that lies, in one way a round: the steps of an honest one with one thing wrong, signed with its own key.
// It keeps no disk and checks nothing; what it must know of the others it is told. Design 3, R1–R5: a liar is named, or
// the sum says that it is spoiled, or the lie changes nothing.

import { fromHex, toHex } from '../encoding/bytes.ts';
import { ConsilienceError } from '../errors.ts';
import type { Machine } from '../ports.ts';
import type { CoordinatorStudy } from '../round/coordinator-study.ts';
import { decodeBroadcast } from '../round/lists.ts';
import { signMessage } from '../round/messages.ts';
import type { AnyMessage, Message } from '../round/messages.ts';
import { contextOf } from '../round/parameters.ts';
import {
  answerComplaint,
  leaveRound,
  receiveCohort,
  receiveReveals,
  receiveShares,
  receiveSurvivors,
  receiveTranscript,
  sealVector,
  signReady,
} from '../round/participant.ts';
import { firstMemory } from '../round/participant-state.ts';
import type { RoundState, StudyMemory } from '../round/participant-state.ts';
import { decodeBundle, decodeDelivery, encodeBundle } from '../sealed-sum/box-frames.ts';
import { boxRoot } from '../sealed-sum/boxes.ts';
import type { Draws } from './draws.ts';
import { signedAgain } from './forged-lists.ts';
import { seededRandom } from './seeded-machine.ts';
import type { Asked } from './simulated-institution.ts';
import type { SimulatedNetwork } from './simulated-network.ts';
import { beyond } from './small-study.ts';
import type { SmallStudy } from './small-study.ts';
import type { Process, VirtualTime } from './virtual-time.ts';
import type { Witness } from './witness.ts';

export const institutionLies = [
  'box-that-does-not-open',
  'box-with-another-share',
  'false-seed-commitment',
  'shares-of-another-mask-key',
  'wrong-share',
  'garbage-vector',
  'false-complaint',
  'two-readies',
  'two-contributions',
  'weak-key',
  'silent-midway',
  'no-answer-to-complaint',
  'no-reveal',
  'two-reveals',
] as const;
export type InstitutionLie = (typeof institutionLies)[number];

/** Lies that only a sparse graph leaves room for. */
export const sparseLies: ReadonlySet<InstitutionLie> = new Set(['no-reveal', 'two-reveals']);

export function lyingInstitution(around: {
  readonly study: SmallStudy;
  readonly index: number;
  readonly seed: string;
  readonly time: VirtualTime;
  readonly network: SimulatedNetwork;
  readonly asked: Asked;
  /** The coordinator's state, from which it takes what an honest one would have worked out. */
  readonly truth: () => CoordinatorStudy;
  readonly draws: Draws;
  readonly witness: Witness;
  readonly pollMs: number;
  /** One lie in every round; null: another one each time. */
  readonly always: InstitutionLie | null;
  /** Told once a lie is on its way. */
  readonly onLie: (lie: InstitutionLie) => void;
}): void {
  const { study, index, time, network, draws, witness } = around;
  const { cipher, parameters } = study;
  const machine: Machine = { cipher, clock: time, random: seededRandom(cipher, around.seed, `liar/${index}`) };
  const participant = { machine, parameters, index, identity: study.identities[index]! };
  const calls = () => around.asked.callsFor(index);
  let memory: StudyMemory = firstMemory(around.truth().model);
  let state: RoundState | null = null;
  let lie: InstitutionLie = 'silent-midway';

  time.spawn(async (own) => {
    while (around.truth().outcome === null) {
      await own.sleep(around.pollMs);
      try {
        await step(own);
      } catch (error) {
        // It does not care what it is told; only a defect of the program may end the run.
        if (!(error instanceof ConsilienceError)) throw error;
      }
    }
  });

  const send = async (own: Process, message: AnyMessage, bundle?: Uint8Array): Promise<void> => {
    witness.sends(index, message);
    await network.call(own, index, () =>
      message.stage === 1 ? calls().sendShares(message, bundle!) : calls().send(message),
    );
  };
  const tells = (): void => around.onLie(lie);

  async function step(own: Process): Promise<void> {
    if (memory.signedRound === 0) await network.call(own, index, () => around.asked.consent(index));
    const status = await network.call(own, index, () => around.asked.status(index));
    const open = status.round;
    if (open === null) return;
    if (open.stage === 'ready' && open.eligible && open.number > memory.signedRound) return begin(own, open.number);
    if (state === null || state.round !== open.number || state.stage === 'wiped') return;
    for (const complaint of status.complaints)
      if (lie === 'no-answer-to-complaint') tells();
      else await send(own, answerComplaint(participant, state, complaint));
    if (state.stage === 'ready' && open.stage !== 'ready') return join(own, state);
    if (state.stage === 'revealed' && open.stage !== 'reveals') return dealOnRing(own, state);
    const past = (stage: string): boolean => !['ready', 'reveals', 'shares', stage].includes(open.stage);
    if (state.stage === 'shares' && past('')) return contribute(own, state);
    if (state.stage === 'masked' && past('masked')) return agree(own, state);
    if (state.stage === 'consistency' && past('masked') && open.stage !== 'consistency') return unmask(own, state);
  }

  async function begin(own: Process, round: number): Promise<void> {
    lie = around.always ?? draws.pick(institutionLies);
    const { model, closed } = around.truth();
    const last = closed.at(-1);
    memory = { ...memory, model, last: { round: last?.round ?? 0, sum: last?.sum ?? '0'.repeat(64), verified: true } };
    const head = machine.random.bytes(32);
    const ready = signReady(participant, memory, state === null ? null : leaveRound(state), round, head);
    ({ memory, state } = ready);
    if (lie === 'weak-key') {
      tells();
      const keys = { ...state.ready.body.keys!, masks: '01'.padEnd(64, '0') };
      return send(own, signedAgain(study, state.ready, { keys }));
    }
    await send(own, state.ready);
    if (lie === 'two-readies') {
      tells();
      await send(own, signedAgain(study, state.ready, { head: '99'.repeat(32) }));
    }
  }

  /** U1: on a sparse graph its part of the draw comes first. */
  async function join(own: Process, before: RoundState): Promise<void> {
    const { body } = before.ready;
    const ownFields = { round: body.round, contract: body.contract, config: body.config, model: body.model };
    const bytes = await network.call(own, index, () => calls().broadcast(before.round, 0));
    if (bytes === null) return;
    const list = decodeBroadcast(bytes, 128, 0, ownFields);
    const joined = receiveCohort(participant, memory, falseMaskKey(before), list);
    ({ memory } = joined);
    state = { ...joined.state, secrets: before.secrets };
    const { reveal } = state;
    if (reveal === undefined) return deal(own, state);
    if (lie === 'no-reveal') return tells();
    await send(own, reveal);
    if (lie !== 'two-reveals') return;
    tells();
    await send(own, signedAgain(study, reveal, { nonce: '77'.repeat(32) }));
  }

  async function dealOnRing(own: Process, before: RoundState): Promise<void> {
    const bytes = await network.call(own, index, () => calls().broadcast(before.round, 5));
    if (bytes === null) return;
    const { hash, signature } = before.u1!;
    const list = decodeBroadcast(bytes, 133, 5, { u1: hash, u1Signature: signature });
    const dealt = receiveReveals(participant, falseMaskKey(before), list).state;
    state = { ...dealt, secrets: before.secrets };
    return deal(own, state);
  }

  /** What the shares of the mask key are made of. */
  function falseMaskKey(before: RoundState): RoundState {
    if (lie !== 'shares-of-another-mask-key') return before;
    return { ...before, secrets: { ...before.secrets, masks: toHex(machine.random.bytes(32)) } };
  }

  async function deal(own: Process, dealt: RoundState): Promise<void> {
    state = dealt;
    if (lie === 'box-that-does-not-open' || lie === 'box-with-another-share' || lie === 'no-answer-to-complaint')
      state = withBadBox(state);
    if (lie === 'false-seed-commitment')
      state = { ...state, shares: signedAgain(study, state.shares!, { selfMask: '09'.repeat(32) }) };
    if (lie === 'false-seed-commitment' || lie === 'shares-of-another-mask-key') tells();
    await send(own, state.shares!, fromHex(state.bundle!));
  }

  /** One peer's box is spoiled, under a root and a signature that fit it. */
  function withBadBox(dealt: RoundState): RoundState {
    const entries = decodeBundle(fromHex(dealt.bundle!));
    const { sealed } = draws.pick(entries.filter((entry) => entry.holder !== index));
    if (lie === 'box-with-another-share') sealed.shareHashB[5]! ^= 1;
    else sealed.box[60]! ^= 1;
    if (lie !== 'no-answer-to-complaint') tells();
    const root = toHex(boxRoot(cipher, contextOf(parameters, dealt.round), index, entries));
    const shares = signedAgain(study, dealt.shares!, { boxes: root });
    return { ...dealt, shares, bundle: toHex(encodeBundle(entries)) };
  }

  async function contribute(own: Process, before: RoundState): Promise<void> {
    const { round } = before;
    const bytes = await network.call(own, index, () => calls().broadcast(round, 1));
    const boxes = await network.call(own, index, () => calls().boxes(round));
    if (bytes === null) return;
    const { ring } = before.shares!.body;
    const fields = { u1: before.u1!.hash, u1Signature: before.u1!.signature, ...(ring === undefined ? {} : { ring }) };
    const list = decodeBroadcast(bytes, 129, 1, fields);
    if (lie === 'false-complaint') await complain(own, before, boxes);
    const opened = receiveShares(participant, before, list, boxes).state;
    // Only a dropout's mask key is ever opened.
    if (lie === 'silent-midway' || lie === 'shares-of-another-mask-key' || opened.stage === 'left') {
      state = { ...opened, stage: 'wiped' };
      return;
    }
    const words = new Uint32Array(parameters.dimension).fill(index + 1);
    const garbage = lie === 'garbage-vector';
    if (garbage) {
      words[parameters.dimension - 1] = beyond(parameters);
      tells();
    }
    witness.trained(index, round, words, garbage);
    const sealed = sealVector(participant, opened, words);
    state = sealed.state;
    const { masked } = sealed.state;
    await send(own, masked!);
    if (lie === 'two-contributions') {
      tells();
      await send(own, signedAgain(study, masked!, { root: '77'.repeat(32) })).catch(() => undefined);
    }
    await network.call(own, index, () => calls().upload(round, sealed.chunks));
  }

  async function complain(own: Process, { round, u1 }: RoundState, boxes: Uint8Array): Promise<void> {
    const entry = draws.pick(decodeDelivery(boxes).filter(({ dealer }) => dealer !== index));
    const body: Message<16>['body'] = {
      u1: u1!.hash,
      dealer: entry.dealer,
      box: toHex(entry.sealed.box),
      ephemeralKey: toHex(entry.sealed.ephemeralPublicKey),
      shareHashes: { self: toHex(entry.sealed.shareHashB), mask: toHex(entry.sealed.shareHashS) },
      path: entry.path.map(toHex),
    };
    tells();
    await send(own, signMessage(cipher, participant.identity, contextOf(parameters, round), 16, index, body));
  }

  async function agree(own: Process, before: RoundState): Promise<void> {
    const bytes = await network.call(own, index, () => calls().broadcast(before.round, 2));
    if (bytes === null) return;
    const sets = { u1: before.u1!.hash, u2: before.u2!.hash };
    state = receiveSurvivors(participant, before, decodeBroadcast(bytes, 130, 2, sets)).state;
    await send(own, state.consistency!);
  }

  async function unmask(own: Process, before: RoundState): Promise<void> {
    const bytes = await network.call(own, index, () => calls().broadcast(before.round, 3));
    if (bytes === null) return;
    const sets = { u1: before.u1!.hash, u2: before.u2!.hash, statement: before.u3!.statement };
    state = receiveTranscript(participant, before, decodeBroadcast(bytes, 131, 3, sets)).state;
    const { unmask: honest } = state;
    if (lie !== 'wrong-share') return send(own, honest!);
    tells();
    const shares = honest!.body.shares.map((one, at) => (at === 0 ? { ...one, share: '01'.repeat(32) } : one));
    await send(own, signedAgain(study, honest!, { shares }));
  }
}
