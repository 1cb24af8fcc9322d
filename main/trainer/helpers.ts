// More cores for wasm, which computes on one: helper threads of the trainer, each with a backend of its own and, for texts,
// with its own copy of the checkpoint, take blocks of a batch (app/training/blocks.ts). They are threads and no processes,
// so that a sum without noise never leaves the trainer's process. What a helper fails at the trainer computes itself; one
// that ended is replaced by the next round. Design 5.

import { Worker } from 'node:worker_threads';
import type { BlockSum } from '../../app/training/blocks.ts';
import type { BlockSetup } from './block-gradient.ts';
import { helpersFor } from './helper-count.ts';
import type { HelperWork } from './helper-count.ts';

/** What a helper computes gradients of; the same for all blocks of a round. */
export type HelperSetup = BlockSetup & {
  /** Of a language task: the folder of its checkpoint, which each helper opens and holds to the contract's hash. */
  readonly checkpointFolder?: string | null;
};

export type ToHelper =
  | { readonly type: 'setup'; readonly setup: HelperSetup }
  | { readonly type: 'sum'; readonly id: number; readonly slots: Int32Array; readonly parameters: Float32Array };
/** A failure crosses without its message: the trainer meets it again itself. */
export type FromHelper = { readonly id: number; readonly sum: Float64Array | null };

const entry = new URL(import.meta.url.endsWith('.ts') ? './helper-thread.ts' : './helper-thread.js', import.meta.url);

export class Helpers {
  readonly #backend: string;
  #threads: Helper[] = [];
  #chosen: { readonly key: string; readonly count: number } | null = null;

  /** @param backend name of the trainer's own (candidates.ts) */
  constructor(backend: string) {
    this.#backend = backend;
  }

  /** As many as the work is worth. Chosen once for a study: helpers that hold their checkpoint leave less memory free. */
  forWork(work: HelperWork, setup: HelperSetup): BlockSum[] {
    const key = JSON.stringify(work);
    if (this.#chosen?.key !== key) this.#chosen = { key, count: helpersFor(this.#backend, work) };
    return this.prepared(this.#chosen.count, setup);
  }

  /** `count` helpers that know the setup; earlier ones are kept. */
  prepared(count: number, setup: HelperSetup): BlockSum[] {
    this.#threads = this.#threads.filter(({ alive }) => alive);
    while (this.#threads.length < count) this.#threads.push(new Helper(this.#backend));
    return this.#threads.slice(0, count).map((thread) => thread.prepared(setup));
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
    this.#threads = [];
  }
}

class Helper {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<Float64Array>>();
  #jobs = 0;
  #setup: HelperSetup | null = null;
  alive = true;

  constructor(backend: string) {
    this.#worker = new Worker(entry, { workerData: backend });
    this.#worker.unref();
    this.#worker.on('message', ({ id, sum }: FromHelper) => {
      const job = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (sum === null) job?.reject(new Error('a helper failed at its block'));
      else job?.resolve(sum);
    });
    this.#worker.on('error', () => this.#lost());
    this.#worker.on('exit', () => this.#lost());
  }

  prepared(setup: HelperSetup): BlockSum {
    if (this.#setup !== setup) this.#worker.postMessage({ type: 'setup', setup } satisfies ToHelper, []);
    this.#setup = setup;
    return (slots, parameters) => {
      const job = Promise.withResolvers<Float64Array>();
      if (!this.alive) job.reject(new Error('a helper ended'));
      else {
        const id = ++this.#jobs;
        this.#waiting.set(id, job);
        this.#worker.postMessage({ type: 'sum', id, slots: slots.slice(), parameters } satisfies ToHelper, []);
      }
      return job.promise;
    };
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #lost(): void {
    this.alive = false;
    for (const job of this.#waiting.values()) job.reject(new Error('a helper ended'));
    this.#waiting.clear();
  }
}
