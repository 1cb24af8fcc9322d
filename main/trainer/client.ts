// The host's side of the trainer process: starts it when there is work, passes progress on, and says honestly whether it
// finished, was cancelled, ran too long or died. A dead trainer is replaced at the next job. Design 2, "Processes".

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { InvariantError, UnavailableError } from '../../app/errors.ts';
import { errorOf } from '../../app/reported-error.ts';
import type { BackendChoice } from './backend.ts';
import { trainerEnvironment } from './environment.ts';
import type { Checkpoint } from './sealed-vector.ts';
import type { FailedJob, Outcome, OutcomeOf, TrainerReport, TrainerRequest, Work } from './messages.ts';

export type RunOptions = {
  readonly onProgress?: (done: number, total: number) => void;
  /** What a later run of the same round may go on from, should this trainer die. */
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void;
  /** Aborting cancels the job; the trainer is killed if it does not stop at once. */
  readonly signal?: AbortSignal;
  /** Longest run, in milliseconds, the trainer's start included. */
  readonly timeoutMs?: number;
};

type Waiting = {
  readonly job: number;
  readonly settle: (outcome: Outcome | Error) => void;
  readonly onProgress: (done: number, total: number) => void;
  readonly onCheckpoint: (checkpoint: Checkpoint) => void;
};

const defaultTimeoutMs = 10 * 60_000;
const defaultCancelGraceMs = 2_000;
const entry = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './process.ts' : './process.js', import.meta.url),
);

function cancelledError(): UnavailableError {
  return new UnavailableError('training-cancelled', 'Training was cancelled. Nothing was sent.');
}

export class Trainer {
  #child: ChildProcess | null = null;
  #waiting: Waiting | null = null;
  #jobs = 0;
  #backend: BackendChoice | null = null;
  /** Trainers lost on one backend since it last finished a job. */
  #lost = 0;
  readonly #distrusted = new Set<string>();
  readonly #cancelGraceMs: number;

  /** @param options.cancelGraceMs how long a cancelled job may take to stop before its process is killed */
  constructor(options: { readonly cancelGraceMs?: number } = {}) {
    this.#cancelGraceMs = options.cancelGraceMs ?? defaultCancelGraceMs;
  }

  /** What the last started trainer computes with, and what it refused; null before the first job reported. */
  get backend(): BackendChoice | null {
    return this.#backend;
  }

  /** Process id of the running trainer, for status and tests; null where none runs. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /**
   * Runs one job; a second one at the same time is the caller's mistake.
   * @throws UnavailableError `training-cancelled`, `training-timeout`, `trainer-stopped`; the job's own InputError,
   * RefusalError or InvariantError.
   */
  async run<W extends Work>(work: W, options: RunOptions = {}): Promise<OutcomeOf<W>> {
    if (this.#waiting !== null) throw new TypeError('run: the trainer does one job at a time');
    const { signal, timeoutMs = defaultTimeoutMs, onProgress = () => {}, onCheckpoint = () => {} } = options;
    if (signal?.aborted === true) throw cancelledError();
    const job = ++this.#jobs;
    const timers: NodeJS.Timeout[] = [];
    const cancel = (): void => {
      this.#send({ type: 'cancel', job });
      timers.push(setTimeout(() => this.#stopWith(cancelledError()), this.#cancelGraceMs));
    };
    try {
      const outcome = await new Promise<Outcome | Error>((settle) => {
        this.#waiting = { job, settle, onProgress, onCheckpoint };
        const tooLong = `Training took longer than ${Math.ceil(timeoutMs / 1000)} seconds and was stopped. Give it more time or a smaller model.`;
        timers.push(setTimeout(() => this.#stopWith(new UnavailableError('training-timeout', tooLong)), timeoutMs));
        signal?.addEventListener('abort', cancel, { once: true });
        this.#child ??= this.#start();
        this.#send({ type: 'start', job, work });
      });
      if (outcome instanceof Error) throw outcome;
      if (outcome.kind !== work.kind)
        throw new InvariantError('trainer-answer', 'The trainer answered another question. Please report this.');
      return outcome as OutcomeOf<W>;
    } finally {
      this.#waiting = null;
      for (const timer of timers) clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Ends the process; a running job fails as cancelled. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#stopWith(cancelledError());
    await gone;
  }

  #send(request: TrainerRequest): void {
    // A pipe that breaks just now is told by `exit`.
    this.#child?.send(request, () => {});
  }

  #stopWith(error: Error): void {
    const child = this.#child;
    this.#child = null;
    child?.kill('SIGKILL');
    this.#waiting?.settle(error);
  }

  #start(): ChildProcess {
    const child = fork(entry, [...this.#distrusted], {
      serialization: 'advanced',
      env: trainerEnvironment(),
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.on('message', (report: TrainerReport) => {
      if (child === this.#child) this.#hear(report);
    });
    const lost = (how: string): void => {
      if (child !== this.#child) return;
      this.#child = null;
      this.#blame();
      const sentence = `The training process stopped unexpectedly (${how}). The next round starts a new one.`;
      this.#waiting?.settle(new UnavailableError('trainer-stopped', sentence));
    };
    child.on('error', () => lost('it could not be started'));
    child.on('exit', (code, signal) => lost(signal ?? `exit code ${code}`));
    return child;
  }

  /** A native backend whose trainers die twice in a row is not tried again. */
  #blame(): void {
    if (this.#backend === null || ++this.#lost < 2) return;
    this.#distrusted.add(this.#backend.name);
    this.#lost = 0;
  }

  #hear(report: TrainerReport): void {
    if (report.type === 'ready') {
      this.#backend = report.backend;
      return;
    }
    if (this.#waiting?.job !== report.job) return;
    if (report.type === 'progress') this.#waiting.onProgress(report.done, report.total);
    else if (report.type === 'checkpoint') this.#waiting.onCheckpoint(report.checkpoint);
    else {
      this.#lost = 0;
      this.#waiting.settle(report.type === 'result' ? report.outcome : failureOf(report.error));
    }
  }
}

const failureOf = (error: FailedJob): Error => (error.kind === 'cancelled' ? cancelledError() : errorOf(error));
