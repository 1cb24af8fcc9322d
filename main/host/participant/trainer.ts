// The engine's TrainerPort over the trainer process. Training that fails, comes too late, or finds other records than
// the consented ones gives zeros plus the noise share, because readiness and failure must say nothing about records;
// the reason stays here. Design 4, "Nothing but charged releases".

import { stat } from 'node:fs/promises';
import { ConsilienceError, UnavailableError } from '../../../app/errors.ts';
import type { Machine } from '../../../app/ports.ts';
import type { TrainedVector, TrainerPort } from '../../../app/round/engine-ports.ts';
import type { Contract } from '../../../app/study/contract.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import type { Excluded } from '../../../app/training/prints.ts';
import type { Trainer } from '../../trainer/client.ts';
import type { OutcomeOf, RoundWork } from '../../trainer/messages.ts';
import type { DrawNoise } from '../../trainer/noise-threads.ts';
import { zeroPlusNoise } from '../../trainer/sealed-vector.ts';
import type { Checkpoint } from '../../trainer/sealed-vector.ts';
import type { CheckpointWatch } from '../checkpoint/checkpoint-watch.ts';
import { requireUnchanged } from './dataset.ts';
import { requireWholeCopy } from '../records/records-copy-file.ts';
import type { CopyToRead } from '../records/records-copy-file.ts';
import type { DatasetDigest } from './dataset.ts';
import { systemCode } from '../disk/disk-error.ts';

export type RoundTrainer = TrainerPort & {
  /** Ends the trainer process. A vector that is waited for is then refused, never replaced by zeros. */
  close(): Promise<void>;
};

export type RoundTrainerOptions = {
  readonly trainer: Pick<Trainer, 'run' | 'close'>;
  readonly index: number;
  readonly machine: Pick<Machine, 'random'>;
  readonly recordsFile: string;
  /** Folder of the checkpoint that a language study trains beside. */
  readonly checkpointFolder?: string | null;
  /** Looks at that folder before each round and each charge. */
  readonly checkpointStands?: CheckpointWatch;
  /** The home's encrypted copy, whose path `recordsFile` then is; null or absent: the file itself is read. */
  readonly copy?: CopyToRead | null;
  readonly mapping?: Mapping | null;
  readonly consented: DatasetDigest;
  /** Draws the noise of a vector of zeros on several cores; from `machine.random` by default. */
  readonly drawNoise?: DrawNoise;
  /** Persons who object, asked before each training; a failure trains nobody. */
  readonly excluded: () => Promise<Excluded | null>;
  /** Longest wait for a vector once the round wants it, in milliseconds. */
  readonly patienceMs: number;
  readonly onProgress?: (round: number, done: number, total: number) => void;
  /** A trainer died, and another one takes over. */
  readonly onLost?: (round: number) => void;
};

type Job = {
  readonly round: number;
  readonly stop: AbortController;
  /** The words, or why there are none. */
  readonly outcome: Promise<{ readonly words: Uint32Array } | { readonly reason: string }>;
};

export function roundTrainer(options: RoundTrainerOptions): RoundTrainer {
  const { trainer, index, machine } = options;
  let job: Job | null = null;
  const closing = new AbortController();
  let checked: string | null = null;

  /** The digest again, or every tag of the copy, unless size and time of change are those of the last look. */
  async function requireConsented(): Promise<void> {
    const { size, mtimeMs, ino } = await stat(options.recordsFile);
    const seen = `${size}/${mtimeMs}/${ino}`;
    if (seen === checked) return;
    const { copy = null } = options;
    await (copy === null ? requireUnchanged(options.recordsFile, options.consented) : requireWholeCopy(copy));
    checked = seen;
  }

  async function train(
    round: number,
    parameters: Float32Array,
    contract: Contract,
    subset: string | null,
    signal: AbortSignal,
  ): Promise<{ words: Uint32Array }> {
    await requireConsented();
    const { recordsFile, copy = null, checkpointFolder = null, mapping = null } = options;
    const excluded = await options.excluded();
    const work = {
      kind: 'round',
      contract,
      index,
      parameters,
      subset,
      recordsFile,
      copy,
      checkpointFolder,
      mapping,
      excluded,
    } as const;
    let resume: Checkpoint | null = null;
    const run = (): Promise<OutcomeOf<RoundWork>> =>
      trainer.run(
        { ...work, resume },
        {
          signal,
          // The time that counts runs from the moment the round wants the vector; this only ends what nobody waits for.
          timeoutMs: 24 * 3_600_000,
          onProgress: (done, total) => options.onProgress?.(round, done, total),
          onCheckpoint: (checkpoint) => (resume = checkpoint),
        },
      );
    const { words, failure } = await again(run, signal, () => options.onLost?.(round));
    // Zeros already, with their noise: nothing to do but to say so.
    if (failure !== null) failures.set(round, failure);
    return { words };
  }
  const failures = new Map<number, string>();

  function start(round: number, parameters: Float32Array, terms: Contract, subset: string | null): Job {
    const earlier = job;
    const stop = new AbortController();
    const ended = earlier === null ? Promise.resolve() : earlier.outcome.then(() => {});
    earlier?.stop.abort();
    const outcome = ended
      .then(() => train(round, parameters, terms, subset, stop.signal))
      .catch((error: unknown) => ({ reason: reasonOf(error) }));
    job = { round, stop, outcome };
    return job;
  }

  return {
    begin(round, parameters, terms, subset) {
      if (!closing.signal.aborted && job?.round !== round) start(round, parameters, terms, subset);
    },
    async vector(round, parameters, terms, subset): Promise<TrainedVector> {
      const current = job?.round === round ? job : start(round, parameters, terms, subset);
      const waiting = givingUp(options.patienceMs, closing.signal);
      const outcome = await Promise.race([current.outcome, waiting.passed]);
      waiting.cancel();
      if (closing.signal.aborted)
        throw new UnavailableError(
          'stopping',
          'The program was stopped while training; the round goes on when it is started again.',
        );
      if ('words' in outcome) {
        const failure = failures.get(round) ?? null;
        failures.delete(round);
        job = null;
        return { words: outcome.words, trained: failure === null, reason: failure };
      }
      current.stop.abort();
      const words = await zeroPlusNoise({
        contract: terms,
        index,
        parameters,
        subset,
        random: machine.random,
        drawNoise: options.drawNoise,
      });
      return { words, trained: false, reason: outcome.reason };
    },
    whyNot: () => options.checkpointStands?.() ?? Promise.resolve(null),
    async close() {
      closing.abort();
      job?.stop.abort();
      await trainer.close();
    },
  };
}

/** Trainers that may be lost in one round. */
const mostLost = 3;

/**
 * A trainer that dies has released nothing but finished `local` steps, which a new one goes on from; of anything else it
 * draws a new batch. So another try costs no privacy. A batch that kills every trainer ends in zeros, as any failure does.
 */
async function again<Result>(run: () => Promise<Result>, signal: AbortSignal, onLost: () => void): Promise<Result> {
  for (let lost = 1; ; lost++)
    try {
      return await run();
    } catch (error) {
      const stopped = error instanceof UnavailableError && error.code === 'trainer-stopped';
      if (!stopped || lost === mostLost || signal.aborted) throw error;
      onLost();
    }
}

/** Words that hold no content: a code, never a message of a library. */
function reasonOf(error: unknown): string {
  if (error instanceof ConsilienceError) return error.code;
  return systemCode(error) === null ? 'training-failed' : 'records-unreadable';
}

/** Resolves when patience ends or the signal says so; `cancel` lets go of both. */
function givingUp(patienceMs: number, signal: AbortSignal) {
  let cancel = (): void => {};
  const passed = new Promise<{ readonly reason: string }>((resolve) => {
    const stop = (): void => resolve({ reason: 'stopping' });
    // Node's timers hold 31 bits; a longer patience is as good as this one.
    const timer = setTimeout(() => resolve({ reason: 'training-late' }), Math.min(patienceMs, 0x7fff_ffff));
    signal.addEventListener('abort', stop, { once: true });
    cancel = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    };
    if (signal.aborted) stop();
  });
  return { passed, cancel: () => cancel() };
}
