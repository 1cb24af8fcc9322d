// Runs the participant's studies in the background, one at a time: the ledger admits one writer, so whoever else must
// write (a consent, an enrolment, a withdrawal) gets the floor while the run rests. Design 2, "Processes" (host).

import { join } from 'node:path';
import { ConsilienceError } from '../../app/errors.ts';
import type { BridgeError } from '../../app/bridge.ts';
import { writeFileAtomically } from './atomic-file.ts';
import { readTextIfThere } from './participant-home.ts';
import type { RunOutcome } from './participant-run.ts';

export type RunsOptions = {
  readonly home: string;
  /** Takes the study through until it ends or the signal aborts. */
  readonly run: (study: string, signal: AbortSignal) => Promise<Pick<RunOutcome, 'outcome'>>;
  readonly onChange: () => void;
  readonly onDefect: (where: string, error: unknown) => void;
};

export type Runs = {
  /** Wants the study to run from now on; it waits where another runs. */
  want(study: string): void;
  pause(study: string): Promise<void>;
  resume(study: string): Promise<void>;
  isPaused(study: string): boolean;
  isRunning(study: string): boolean;
  /** Why the study stopped; null where nothing is wrong. */
  problem(study: string): BridgeError | null;
  /** Does `work` while nothing runs here; the run goes on afterwards. */
  exclusive<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Ends a study's run for good, in good order. */
  stop(study: string): Promise<void>;
  close(): Promise<void>;
};

type Running = { readonly study: string; readonly stop: AbortController; readonly done: Promise<void> };

export async function openRuns({ home, run, onChange, onDefect }: RunsOptions): Promise<Runs> {
  const path = join(home, 'host.json');
  const paused = new Set<string>(pausedIn(await readTextIfThere(path)));
  const wanted = new Set<string>();
  const problems = new Map<string, BridgeError>();
  let running: Running | null = null;
  let held = 0;
  let closed = false;
  let queue: Promise<unknown> = Promise.resolve();

  function begin(): void {
    if (running !== null || held > 0 || closed) return;
    const study = [...wanted].find((one) => !paused.has(one));
    if (study === undefined) return;
    const stop = new AbortController();
    problems.delete(study);
    const done = run(study, stop.signal)
      .then(
        ({ outcome }) => {
          if (outcome !== 'stopped') wanted.delete(study);
        },
        (error: unknown) => {
          wanted.delete(study);
          problems.set(study, problemOf(error));
          if (!(error instanceof ConsilienceError)) onDefect('run', error);
        },
      )
      .finally(() => {
        running = null;
        onChange();
        begin();
      });
    running = { study, stop, done };
    onChange();
  }

  async function rest(study: string | null): Promise<void> {
    const now = running;
    if (now === null || (study !== null && now.study !== study)) return;
    now.stop.abort();
    await now.done;
  }

  async function keepPaused(): Promise<void> {
    await writeFileAtomically(path, `${JSON.stringify({ paused: [...paused] })}\n`);
    onChange();
  }

  return {
    want(study) {
      wanted.add(study);
      begin();
    },
    async pause(study) {
      paused.add(study);
      await rest(study);
      await keepPaused();
    },
    async resume(study) {
      paused.delete(study);
      wanted.add(study);
      await keepPaused();
      begin();
    },
    isPaused: (study) => paused.has(study),
    isRunning: (study) => running?.study === study,
    problem: (study) => problems.get(study) ?? null,
    exclusive(work) {
      held++;
      const next = queue.then(async () => {
        try {
          await rest(null);
          return await work();
        } finally {
          held--;
          begin();
        }
      });
      queue = next.catch(() => {});
      return next;
    },
    async stop(study) {
      wanted.delete(study);
      await rest(study);
    },
    async close() {
      closed = true;
      await rest(null);
      await queue;
    },
  };
}

const problemOf = (error: unknown): BridgeError =>
  error instanceof ConsilienceError
    ? { code: error.code, message: error.message }
    : { code: 'defect', message: 'The study stopped because of a defect in the program. Please report it.' };

function pausedIn(text: string | null): string[] {
  if (text === null) return [];
  const value: unknown = JSON.parse(text);
  const list = typeof value === 'object' && value !== null && 'paused' in value ? value.paused : [];
  return Array.isArray(list) ? list.filter((one): one is string => typeof one === 'string') : [];
}
