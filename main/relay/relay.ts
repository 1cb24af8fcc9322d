// The relay's engine: keeps what its members seal, adds it when none of them is waited for, and sends one vector to the
// root. What it must not lose (announced roots, its own signature) is on disk before it acts on it, so a kill leaves a round
// where it was, and it never signs two sums for one round. Design 3, "Trees"; app/round/relay.ts decides.

import { canonicalBytes } from '../../app/encoding/canonical-json.ts';
import { RefusalError, UnavailableError } from '../../app/errors.ts';
import type { Cipher, Clock, Signer } from '../../app/ports.ts';
import { decodeMessage, encodeMessage, expectStage, relaySender } from '../../app/round/messages.ts';
import type { Message } from '../../app/round/messages.ts';
import type { Region, StudyParameters } from '../../app/round/parameters.ts';
import {
  addRegion,
  membersToAdd,
  openRelayRound,
  relayComplained,
  relayMasked,
  relayUploaded,
} from '../../app/round/relay.ts';
import type { RelayRound } from '../../app/round/relay.ts';
import { masksOfRegion } from '../../app/round/region-opening.ts';
import { chunkCount } from '../../app/sealed-sum/masks.ts';
import { codeOf } from '../coordinator/engine.ts';
import type { LogLine } from '../coordinator/engine.ts';
import type { CoordinatorStore } from '../coordinator/store.ts';
import { uploadsOf } from '../coordinator/uploads.ts';
import type { Uploads } from '../coordinator/uploads.ts';
import { openBlobs } from '../coordinator/vectors/blobs.ts';
import type { CoordinatorClient } from '../host/connection/coordinator-client.ts';
import type { CoordinatorKeys } from '../host/connection/coordinator-keys.ts';
import { hasRegionSum, writeRegionSum } from './region-sums.ts';

export type RelayOptions = {
  readonly cipher: Cipher;
  readonly clock: Clock;
  readonly parameters: StudyParameters;
  readonly region: Region;
  readonly signer: Signer;
  readonly store: CoordinatorStore;
  /** Its client of the root, as sender relaySender(region). */
  readonly root: CoordinatorClient;
  /** Changes of the root's key, as the relay keeps them. */
  readonly keys: CoordinatorKeys;
  readonly log: (line: LogLine) => void;
};

export type RelayState = {
  readonly round: number | null;
  readonly stage: string | null;
  readonly closedRounds: number;
  /** Members whose contribution to the open round is here whole. */
  readonly sealed: number;
  readonly rootAnswers: boolean;
};

export type Relay = {
  readonly options: RelayOptions;
  readonly state: () => RelayState;
  readonly uploads: Uploads;
  /** A member's message that the root has accepted: of stage 2 or 16. */
  accepted(message: Message): Promise<void>;
  /** A member's masked chunk, for members of the region once the root has opened the sum; null where it is not there. */
  masked(round: number, index: number, chunk: number): Promise<Uint8Array | null>;
  close(): Promise<void>;
};

/** Newest rounds whose contributions stay, beside the newest closed one. */
const keptRounds = 4;
const waitMs = 20_000;
const againMs = 1000;
const lookMs = 200;

export async function openRelay(options: RelayOptions): Promise<Relay> {
  const { cipher, clock, parameters, region, signer, store, root, keys, log } = options;
  const blobs = await openBlobs(store.blobs);
  const sender = relaySender(region.position);
  const rounds = new Map<number, Promise<RelayRound>>();
  const states = new Map<number, RelayRound>();
  const signed = new Map<number, Message<64>>();
  const sent = new Set<number>();
  let lastClosed = 0;
  let closedRounds = 0;
  let rootAnswers = false;
  const opened = new Set<number>();
  let seen: { readonly number: number; readonly stage: string } | null = null;
  const stopping = new AbortController();
  const name = (round: number, what: string): string => `relay/${round}/${what}`;

  /** The round's state: what the disk holds of it, or its beginning by the root's lists. */
  function stateOf(number: number): Promise<RelayRound> {
    const known = rounds.get(number);
    if (known !== undefined) return known;
    const opening = open(number).catch((error: unknown) => {
      rounds.delete(number);
      throw error;
    });
    rounds.set(number, opening);
    return opening;
  }

  async function open(number: number): Promise<RelayRound> {
    const list = async (stage: 0 | 1): Promise<Uint8Array> => {
      const kept = await blobs.get(name(number, `list-${stage}`));
      const bytes = kept ?? (await root.broadcast(number, stage));
      if (bytes === null) throw new RefusalError('old-round', `Round ${number} is not at this stage.`);
      if (kept === null) await blobs.put(name(number, `list-${stage}`), bytes);
      return bytes;
    };
    const lists = { cohort: await list(0), sharers: await list(1) };
    const begin = (): RelayRound => openRelayRound(cipher, parameters, region, number, lists, clock.now());
    let state: RelayRound;
    try {
      state = begin();
    } catch (error) {
      // The root may have come back under another key before its status was read.
      if (codeOf(error) !== 'coordinator-signature' || !(await takeUpKeys())) throw error;
      state = begin();
    }
    for (const index of state.sharers) {
      const bytes = await blobs.get(name(number, `announced-${index}`));
      if (bytes !== null) state = relayMasked(cipher, parameters, state, expectStage(decodeMessage(bytes), 2));
      if ((await blobs.get(name(number, `gone-${index}`))) !== null) state = relayComplained(state, index);
    }
    const own = await blobs.get(name(number, 'signed'));
    if (own !== null) signed.set(number, expectStage(decodeMessage(own), 64));
    states.set(number, state);
    for (const index of state.masked.keys()) await uploads.completeIfWhole(number, index).catch(() => undefined);
    return states.get(number)!;
  }

  async function takeUpKeys(): Promise<boolean> {
    const taken = await keys.takeUp(await root.keyChanges());
    for (const { fromRound } of taken) log({ event: 'coordinator-key-changed', fromRound });
    return taken.length > 0;
  }

  const uploads = uploadsOf({
    cipher,
    parameters,
    store,
    view: {
      round: () => Math.max(0, ...states.keys()),
      requireOpen(round, index) {
        const state = states.get(round);
        if (state === undefined) throw new RefusalError('old-round', `Round ${round} is not open at this relay.`);
        if (signed.has(round))
          throw new RefusalError('stage-over', 'The relay has added its region already. Wait for the next round.');
        if (!state.sharers.includes(index))
          throw new RefusalError('sets-not-nested', 'This institution is not in the second list of this round.');
      },
      announced(round, index) {
        const held = states.get(round)?.masked.get(index);
        return held === undefined ? null : { root: held.message.body.root, complete: held.complete };
      },
    },
    async uploaded(round, index) {
      states.set(round, relayUploaded(states.get(round)!, index));
    },
  });

  async function look(): Promise<void> {
    if (parameters.opensRegions)
      for (const number of signed.keys())
        if (!opened.has(number) && states.has(number) && isOver(number)) await openOwn(number).catch(notOpened(number));
    for (const [number, state] of states) {
      if (sent.has(number) || seen?.number !== number || seen.stage !== 'masked') continue;
      const members = membersToAdd(state, clock.now());
      if (!signed.has(number) && (members === null || members.length === 0)) continue;
      await forward(number, state, members ?? []);
    }
  }

  async function forward(number: number, state: RelayRound, members: readonly number[]): Promise<void> {
    let message = signed.get(number);
    if (message === undefined) {
      const read = async (index: number, chunk: number): Promise<Uint8Array> => {
        const bytes = await store.files.readMasked(number, index, chunk);
        if (bytes === null) throw new UnavailableError('chunk-damaged', 'A stored contribution is gone.');
        return bytes;
      };
      message = await addRegion({ cipher, parameters, signer }, state, members, read, (chunk, bytes) =>
        store.files.writeMasked(number, sender, chunk, bytes),
      );
      await blobs.put(name(number, 'signed'), encodeMessage(message));
      signed.set(number, message);
      log({ event: 'region-added', round: number, members: message.body.members.length });
    }
    await root.send(message);
    const count = chunkCount(parameters.dimension);
    const chunk = async (at: number): Promise<Uint8Array> => (await store.files.readMasked(number, sender, at))!;
    await root.uploadFrom!(number, { count, read: chunk });
    sent.add(number);
    log({ event: 'region-sent', round: number });
  }

  /** Where regions open their own sums: once the round's secrets are opened, what this region's members sealed together. */
  async function openOwn(number: number): Promise<void> {
    const own = signed.get(number)!;
    if (opened.has(number) || (await hasRegionSum(blobs, number))) return void opened.add(number);
    const result = await root.broadcast(number, 4);
    if (result === null) {
      // Over without a sum.
      if (seen === null || seen.number > number) opened.add(number);
      return;
    }
    const [cohort, sharers] = [await blobs.get(name(number, 'list-0')), await blobs.get(name(number, 'list-1'))];
    const lists = { cohort: cohort!, sharers: sharers! };
    const masks = masksOfRegion(cipher, parameters, region, lists, own, expectStage(decodeMessage(result), 132));
    if (masks !== null) {
      const members = own.body.members.map(({ index }) => index);
      const around = { cipher, parameters, files: store.files, blobs };
      const read = async (at: number): Promise<Uint8Array> => (await store.files.readMasked(number, sender, at))!;
      await writeRegionSum(around, number, members, masks, read);
      log({ event: 'region-opened', round: number, members: members.length });
    }
    opened.add(number);
  }

  /** Nothing of the round rests on it: it is tried again where somebody could not be reached, and else given up. */
  const notOpened =
    (number: number) =>
    (error: unknown): void => {
      log({ event: 'region-not-opened', round: number, code: codeOf(error) });
      if (!(error instanceof UnavailableError)) opened.add(number);
    };

  const isOver = (number: number): boolean =>
    seen === null || seen.number > number || (seen.number === number && seen.stage === 'vouching');

  /** Contributions of rounds that nobody asks about any more. */
  async function clear(): Promise<void> {
    const kept = new Set([...states.keys()].sort((left, right) => right - left).slice(0, keptRounds));
    // Members that were in the newest closed sum and away have still to check it.
    kept.add(lastClosed);
    for (const number of states.keys())
      if (!kept.has(number)) {
        states.delete(number);
        rounds.delete(number);
        await blobs.removeAll(`relay/${number}`);
      }
    await store.keepRounds(kept);
    await store.files.keepMasked(kept);
  }

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      stopping.signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });

  async function watch(): Promise<void> {
    for (let cursor: number | null = null; !stopping.signal.aborted;)
      try {
        const status = await root.status(cursor, waitMs, stopping.signal);
        cursor = status.cursor;
        closedRounds = status.closed;
        rootAnswers = true;
        if ((status.keyChanges ?? 0) > keys.known()) await takeUpKeys();
        lastClosed = status.lastClosed.round;
        const before = seen?.number ?? 0;
        seen = status.round && { number: status.round.number, stage: status.round.stage };
        const opens = parameters.opensRegions && seen?.stage === 'vouching';
        if (seen !== null && (seen.stage === 'masked' || opens)) await stateOf(seen.number);
        if (seen !== null && seen.number !== before) await clear();
        if (status.outcome !== null) await pause(againMs);
      } catch (error) {
        if (stopping.signal.aborted) return;
        rootAnswers = false;
        log({ event: 'root-unreachable', code: codeOf(error) });
        cursor = null;
        await pause(againMs);
      }
  }

  async function work(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look().catch(async (error: unknown) => {
        log({ event: 'forwarding-failed', code: codeOf(error) });
        await pause(againMs);
      });
      await pause(lookMs);
    }
  }

  // Rounds that this relay added before it was stopped, of which it may still owe its operator the sum.
  if (parameters.opensRegions)
    for (const number of (await blobs.names('relay'))
      .map(Number)
      .sort((left, right) => left - right)
      .slice(-keptRounds))
      if (!(await hasRegionSum(blobs, number)))
        await stateOf(number).catch((error: unknown) =>
          log({ event: 'round-not-read', round: number, code: codeOf(error) }),
        );
  const running = Promise.all([watch(), work()]);

  async function isOpened(number: number): Promise<boolean> {
    const over = (): boolean => seen === null || seen.number > number || seen.stage === 'vouching';
    if (over()) return true;
    const { round } = await root.status(null, 0);
    return round === null || round.number > number || round.stage === 'vouching';
  }

  return {
    options,
    state() {
      const held = seen === null ? undefined : states.get(seen.number);
      const sealed = [...(held?.masked.values() ?? [])].filter(({ complete }) => complete).length;
      return { round: seen?.number ?? null, stage: seen?.stage ?? null, closedRounds, sealed, rootAnswers };
    },
    uploads,
    async accepted(message) {
      if (message.stage !== 2 && message.stage !== 16) return;
      const { round } = message;
      let state = await stateOf(round);
      if (message.stage === 16) {
        await blobs.put(name(round, `gone-${message.sender}`), canonicalBytes({}));
        state = states.get(round)!;
        states.set(round, relayComplained(state, message.sender));
        return;
      }
      const next = relayMasked(cipher, parameters, states.get(round) ?? state, message as Message<2>);
      await blobs.put(name(round, `announced-${message.sender}`), encodeMessage(message as Message<2>));
      states.set(round, relayMasked(cipher, parameters, states.get(round) ?? next, message as Message<2>));
      await uploads.completeIfWhole(round, message.sender).catch((error: unknown) => {
        if (codeOf(error) !== 'vector-off-root') throw error;
      });
    },
    async masked(round, index, chunk) {
      if (!(await isOpened(round))) return null;
      return store.files.readMasked(round, index, chunk);
    },
    async close() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      await running;
      root.close();
      await store.close();
    },
  };
}
