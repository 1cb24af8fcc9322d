// The sealer: worker threads of the host that expand and add masks, so that all cores share one chunk and the host's own
// thread stays free. A chunk is cut into pieces; each piece is added to every mask's stream by one thread, in place, in
// memory that they share. Design 2 ("Processes") and 3. Memory: the chunks in hand (two), whatever the number of members.

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { UnavailableError } from '../../../app/errors.ts';
import type { Cipher } from '../../../app/ports.ts';
import type { SealerPort } from '../../../app/round/engine-ports.ts';
import { createMasks, streamKeys, wipeStreamKeys } from '../../../app/sealed-sum/masks.ts';
import type { StreamKeys } from '../../../app/sealed-sum/masks.ts';

/** One piece of a chunk: words [from, from + length) of it lie in `words`, which begins with the chunk's first. */
export type SealingQuestion = {
  readonly words: Uint32Array<SharedArrayBuffer>;
  readonly from: number;
  readonly length: number;
  readonly keys: StreamKeys;
};
export type SealingAnswer = { readonly done: boolean };

export type Sealer = SealerPort & {
  /** Ends the threads. A chunk that is being masked is refused. */
  close(): Promise<void>;
};

/** Words times masks below which one thread is as fast: about five milliseconds of AES. */
export const fewWords = 2 ** 22;
/** Words of a piece at most; whole AES blocks and whole cache lines. */
const mostPieceWords = 2 ** 18;
const leastPieceWords = 2 ** 14;
/** How often the pieces of a chunk are begun again after a thread ended. */
const mostDeaths = 3;

const entry = new URL(import.meta.url.endsWith('.ts') ? './sealer-worker.ts' : './sealer-worker.js', import.meta.url);

export function createSealer(around: {
  readonly cipher: Cipher;
  /** Threads; the default is one a core. With 0 or 1 everything happens in the calling thread. */
  readonly threads?: number;
  /** Words times masks below which no thread is asked. */
  readonly fewWords?: number;
  /** Why a chunk was masked in the calling thread, or that a thread ended and its piece was begun again. */
  readonly onNote?: (note: 'few-words' | 'one-core' | 'no-fast-streams' | 'thread-ended') => void;
  readonly startThread?: (entry: URL) => Worker;
}): Sealer {
  const { cipher, threads = availableParallelism(), onNote = () => undefined } = around;
  const few = around.fewWords ?? fewWords;
  const startThread = around.startThread ?? ((program) => new Worker(program));
  const masks = createMasks(cipher);
  const idle: Worker[] = [];
  const all = new Set<Worker>();
  const waiting: ((worker: Worker | null) => void)[] = [];
  let closed = false;

  function hire(): Worker {
    const worker = startThread(entry);
    worker.unref();
    all.add(worker);
    worker.once('exit', () => {
      all.delete(worker);
      const at = idle.indexOf(worker);
      if (at >= 0) idle.splice(at, 1);
      // Whoever waits for a free thread gets a new one.
      if (!closed && waiting.length > 0 && all.size < threads) waiting.shift()!(hire());
    });
    worker.on('error', () => undefined);
    return worker;
  }

  /** Null when the sealer was closed meanwhile. */
  const take = (): Promise<Worker | null> => {
    if (closed) return Promise.resolve(null);
    const free = idle.pop();
    if (free !== undefined) return Promise.resolve(free);
    if (all.size < threads) return Promise.resolve(hire());
    return new Promise((resolve) => waiting.push(resolve));
  };
  const release = (worker: Worker): void => {
    if (!all.has(worker)) return;
    const next = waiting.shift();
    if (next === undefined) idle.push(worker);
    else next(worker);
  };

  /** False where the thread ended first; then it is certain that it writes no more. */
  function ask(worker: Worker, question: SealingQuestion): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (answer: boolean): void => {
        worker.off('message', onMessage);
        worker.off('exit', onExit);
        resolve(answer);
      };
      const onMessage = ({ done }: SealingAnswer): void => settle(done);
      const onExit = (): void => settle(false);
      worker.on('message', onMessage);
      worker.on('exit', onExit);
      // A thread that ended before it was asked says nothing any more.
      if (!all.has(worker)) return settle(false);
      worker.postMessage(question, []);
    });
  }

  async function byThreads(words: Uint32Array, keys: StreamKeys): Promise<Uint32Array> {
    const shared = new Uint32Array(new SharedArrayBuffer(4 * words.length));
    shared.set(words);
    const spread = Math.ceil(words.length / (4 * threads * leastPieceWords)) * leastPieceWords;
    const step = Math.min(mostPieceWords, spread);
    const pieces = Array.from({ length: Math.ceil(words.length / step) }, (_, at) => at * step);
    let deaths = 0;
    const lane = async (): Promise<void> => {
      for (let from = pieces.shift(); from !== undefined; from = pieces.shift()) {
        if (closed || deaths > mostDeaths) return;
        const length = Math.min(step, words.length - from);
        const worker = await take();
        if (worker === null) return;
        const done = await ask(worker, { words: shared, from, length, keys });
        release(worker);
        if (done) continue;
        // Half of a piece may be masked: it is put back as it was, and begun again.
        deaths += 1;
        onNote('thread-ended');
        shared.set(words.subarray(from, from + length), from);
        pieces.push(from);
      }
    };
    await Promise.all(Array.from({ length: threads }, lane));
    if (pieces.length > 0 || closed)
      throw new UnavailableError(
        'sealing-stopped',
        closed
          ? 'The program is stopping; the contribution was not sealed.'
          : 'The threads that seal the contribution ended again and again, so nothing was sent. Look at the memory that is free, and start again.',
      );
    const masked = new Uint32Array(shared);
    shared.fill(0);
    return masked;
  }

  return {
    async mask(words, chunk, signed) {
      const why =
        cipher.addStreams === undefined
          ? 'no-fast-streams'
          : threads < 2
            ? 'one-core'
            : words.length * signed.length < few
              ? 'few-words'
              : null;
      if (why !== null) {
        onNote(why);
        const copy = words.slice();
        masks.applyAll(copy, chunk, signed);
        return copy;
      }
      const keys = streamKeys(cipher, chunk, signed);
      try {
        return await byThreads(words, keys);
      } finally {
        wipeStreamKeys(keys);
      }
    },
    async close() {
      closed = true;
      for (const wake of waiting.splice(0)) wake(null);
      await Promise.all([...all].map((worker) => worker.terminate()));
    },
  };
}
