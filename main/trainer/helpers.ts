// More cores for wasm, which computes on one: helper threads of the trainer, each with a backend of its own, take blocks of
// a batch (app/training/blocks.ts). They are threads and no processes, so that a sum without noise never leaves the
// trainer's process. A helper that fails is not used again; its block is computed by the trainer itself. Design 5.

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { BlockSum } from '../../app/training/blocks.ts';
import type { Records } from '../../app/training/records.ts';
import type { PersonRule, TrainingTask } from '../../app/training/types.ts';

/** What a helper computes gradients of; the same for all blocks of a round. */
export type HelperSetup = {
  readonly task: TrainingTask;
  readonly records: Records;
  readonly units: readonly (readonly number[])[];
  readonly person: PersonRule | null;
  readonly clip: number | null;
  readonly counted: boolean;
};

export type ToHelper =
  | { readonly type: 'setup'; readonly setup: HelperSetup }
  | { readonly type: 'sum'; readonly id: number; readonly slots: Int32Array; readonly parameters: Float32Array };
/** A failure crosses without its message: the trainer meets it again itself. */
export type FromHelper = { readonly id: number; readonly sum: Float64Array | null };

const entry = new URL(import.meta.url.endsWith('.ts') ? './helper-thread.ts' : './helper-thread.js', import.meta.url);

/** Float operations of a batch below which a second thread costs more than it brings. */
const worthwhile = 2e9;

/** How many helpers a job should have: none on backends that use all cores themselves, or where there is little to do. */
export function helpersFor(
  backend: string,
  work: { readonly parameters: number; readonly slots: number; readonly blocks: number; readonly steps: number },
  cores = availableParallelism(),
): number {
  const { parameters, slots, blocks, steps } = work;
  if (backend !== 'wasm' || 6 * parameters * slots * steps < worthwhile) return 0;
  return Math.max(0, Math.min(cores, blocks) - 1);
}

export class Helpers {
  readonly #backend: string;
  #threads: Helper[] = [];

  /** @param backend name of the trainer's own (candidates.ts) */
  constructor(backend: string) {
    this.#backend = backend;
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
