// Adds and unmasks chunks of a round: the survivors are dealt out to worker threads, each adds its own and takes their
// masks away, and the parts are added here. A thread keeps the keys of its part between chunks. At most two chunks are
// under way, so memory is a few chunks, whatever the number of institutions. Small sums are not worth a thread. Where a
// thread ends early, others do the chunk again from what is stored: nothing of it was kept.

import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { InvariantError, UnavailableError } from '../../../app/errors.ts';
import type { Cipher } from '../../../app/ports.ts';
import { completeRegions } from '../../../app/round/coordinator-lists.ts';
import { relaySender } from '../../../app/round/messages.ts';
import type { CoordinatorRound } from '../../../app/round/coordinator-state.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import { chunkRange, createMasks } from '../../../app/sealed-sum/masks.ts';
import type { SignedKey } from '../../../app/sealed-sum/masks.ts';
import { addWords } from '../../../app/sealed-sum/unmask.ts';
import type { CoordinatorStore } from '../store.ts';
import { DamagedChunkError, keysOf, partialSum } from './partial-sum.ts';
import type { OpeningPart } from './partial-sum.ts';

/** What a worker thread is asked and answers. */
export type AddingQuestion = { readonly part: OpeningPart | null; readonly chunk: number; readonly length: number };
export type AddingAnswer =
  { readonly words: Uint32Array } | { readonly code: string; readonly sentence: string; readonly damaged: boolean };

type Hand = { readonly worker: Worker; readonly ask: (question: AddingQuestion) => Promise<AddingAnswer> };

/** A thread that ended, killed or for want of memory. */
class ThreadEndedError extends UnavailableError {}

export type AddingPool = {
  /** One chunk of the sum of a round that is being opened. @throws DamagedChunkError; UnavailableError. */
  chunk(round: CoordinatorRound, chunk: number): Promise<Uint32Array>;
  close(): Promise<void>;
};

/** Words to add and unmask below which everything happens here: some tens of milliseconds. */
const smallWords = 2 ** 24;
/** How often a chunk is begun with new threads before the failure is told. */
const mostCrews = 3;
/** Mask words between two turns of the event loop: some milliseconds of AES. */
const wordsBetweenTurns = 2 ** 20;

const entry = new URL(import.meta.url.endsWith('.ts') ? './adding-worker.ts' : './adding-worker.js', import.meta.url);

export function createAddingPool(around: {
  readonly cipher: Cipher;
  readonly parameters: StudyParameters;
  readonly store: Pick<CoordinatorStore, 'chunksOf' | 'files' | 'blobs'>;
  /** Threads for large sums; 0: everything in this one. */
  readonly threads: number;
  /** Words to add and unmask up to which no thread is asked. */
  readonly smallWords?: number;
  readonly startThread?: (entry: URL, data: object) => Worker;
}): AddingPool {
  const { cipher, parameters, store, threads } = around;
  const startThread = around.startThread ?? ((program, workerData) => new Worker(program, { workerData }));
  const masks = createMasks(cipher);
  /** The threads at work; all of them are replaced where one ends early. */
  let crew: readonly Hand[] = [];
  /** Of the round that was worked on last. */
  let known: { readonly round: number; readonly parts: readonly OpeningPart[]; readonly told: Set<number> } | null =
    null;
  let closed = false;
  let ownKeys: { readonly round: number; readonly keys: readonly SignedKey[] } | null = null;

  async function partsOf(round: CoordinatorRound, count: number): Promise<readonly OpeningPart[]> {
    const leaves = new Map<number, readonly string[]>();
    // With regions their sums are what there is to add; masks are those of all survivors, as ever.
    const senders = round.regionSums.size === 0 ? round.survivors : completeRegions(round).map(relaySender);
    for (const index of senders)
      leaves.set(
        index,
        (await store.chunksOf(round.round, index)).map((row) => row.leaf),
      );
    const u1 = {
      hash: round.u1!.body.u1,
      members: round.members,
      ...(round.ring === undefined ? {} : { ring: round.ring }),
    };
    const dropouts = round.seeds.filter((seed) => seed.kind === 1);
    return Array.from({ length: count }, (_, at) => {
      const own = round.survivors.filter((_, place) => place % count === at);
      const mine = new Set(own);
      return {
        round: round.round,
        u1,
        vectors: senders
          .filter((_, place) => place % count === at)
          .map((index) => ({ index, leaves: leaves.get(index)! })),
        seeds: [...round.seeds.filter((seed) => seed.kind === 0 && mine.has(seed.index)), ...dropouts],
      };
    });
  }

  async function here(round: CoordinatorRound, chunk: number, length: number): Promise<Uint32Array> {
    const [part] = await partsOf(round, 1);
    if (ownKeys?.round !== round.round) ownKeys = { round: round.round, keys: keysOf(cipher, parameters, part!) };
    let worked = 0;
    return partialSum(
      { cipher, parameters, files: store.files, masks },
      part!,
      ownKeys.keys,
      { chunk, length },
      async (words) => {
        worked += words;
        if (worked < wordsBetweenTurns) return;
        worked = 0;
        await setImmediate();
      },
    );
  }

  function hire(): Hand {
    const worker = startThread(entry, { parameters, blobs: store.blobs });
    worker.unref();
    let gone = false;
    worker.once('exit', () => (gone = true));
    let queue: Promise<unknown> = Promise.resolve();
    const ask = (question: AddingQuestion): Promise<AddingAnswer> => {
      const answer = queue.then(
        () =>
          new Promise<AddingAnswer>((resolve, reject) => {
            const done = (settle: () => void): void => {
              worker.off('message', onMessage);
              worker.off('error', onError);
              worker.off('exit', onExit);
              settle();
            };
            const onMessage = (message: AddingAnswer): void => done(() => resolve(message));
            const onError = (error: Error): void => done(() => reject(ended(error)));
            const onExit = (): void => done(() => reject(ended(null)));
            // Who was asked while it ended says nothing any more.
            if (gone) return reject(ended(null));
            worker.on('message', onMessage);
            worker.on('error', onError);
            worker.on('exit', onExit);
            worker.postMessage(question, []);
          }),
      );
      queue = answer.catch(() => undefined);
      return answer;
    };
    return { worker, ask };
  }

  async function dismiss(hands: readonly Hand[]): Promise<void> {
    // Of a chunk that was under way beside this one the threads may be gone already, and new ones at work.
    if (crew === hands) {
      crew = [];
      known = null;
    }
    await Promise.all(hands.map(({ worker }) => worker.terminate()));
  }

  async function byThreads(round: CoordinatorRound, chunk: number, length: number): Promise<Uint32Array> {
    for (let crews = 1; ; crews++)
      try {
        return await byCrew(round, chunk, length);
      } catch (error) {
        if (!(error instanceof ThreadEndedError) || crews === mostCrews || closed) throw error;
      }
  }

  async function byCrew(round: CoordinatorRound, chunk: number, length: number): Promise<Uint32Array> {
    const parts = known?.round === round.round ? known.parts : await partsOf(round, threads);
    if (known?.round !== round.round) known = { round: round.round, parts, told: new Set() };
    if (crew.length === 0) crew = Array.from({ length: threads }, hire);
    const hands = crew;
    const { told } = known;
    try {
      const answers = await Promise.all(
        hands.map(({ ask }, at) => {
          const part = told.has(at) ? null : parts[at]!;
          told.add(at);
          return ask({ part, chunk, length });
        }),
      );
      const words = new Uint32Array(length);
      for (const answer of answers) {
        if (!('words' in answer)) throw errorOf(answer);
        addWords(words, answer.words);
      }
      return words;
    } catch (error) {
      // Whoever is left may stand in the middle of something else.
      if (!(error instanceof DamagedChunkError)) await dismiss(hands);
      throw error;
    }
  }

  return {
    async chunk(round, chunk) {
      const { from, to } = chunkRange(parameters.dimension, chunk);
      const dropouts = round.sharers.length - round.survivors.length;
      const streams = round.survivors.length * (2 + dropouts);
      const small = threads === 0 || streams * (to - from) <= (around.smallWords ?? smallWords);
      return (small ? here : byThreads)(round, chunk, to - from);
    },
    async close() {
      closed = true;
      await dismiss(crew);
    },
  };
}

const ended = (cause: Error | null): ThreadEndedError =>
  new ThreadEndedError('adding-stopped', 'A thread that adds vectors ended early.', cause === null ? {} : { cause });

function errorOf({ code, sentence, damaged }: Exclude<AddingAnswer, { readonly words: Uint32Array }>): Error {
  if (damaged) return new DamagedChunkError(code, sentence);
  if (code === 'unexpected') return new InvariantError('adding-failed', 'A thread that adds vectors met a defect.');
  return new UnavailableError(code, sentence);
}
