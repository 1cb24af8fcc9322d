// Runs the participant's studies in the background, one at a time: the ledger admits one writer, so whoever else must
// write (a consent, an enrolment, a withdrawal) gets the floor while the run rests. Several studies take turns between
// their rounds. A study whose rounds a steward approves session by session rests when the session ends. Design 2,
// "Processes" (host).

import { join } from 'node:path';
import { ConsilienceError } from '../../../app/errors.ts';
import type { BridgeError } from '../../../app/bridge.ts';
import { z } from 'zod';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { approvalsFrom, approvalsSchema } from './approvals.ts';
import type { Approval, SessionLength } from './approvals.ts';
import { readTextIfThere } from '../participant/home.ts';
import type { RunOutcome } from '../participant/run.ts';

export type RunsOptions = {
  readonly home: string;
  /** Takes the study through until it ends or the signal aborts; says each round that closed. */
  readonly run: (study: string, signal: AbortSignal, onClosed: () => void) => Promise<Pick<RunOutcome, 'outcome'>>;
  /** Whether no round of the study is open here, so that resting costs nobody anything. */
  readonly betweenRounds: (study: string) => Promise<boolean>;
  readonly onChange: () => void;
  readonly onDefect: (where: string, error: unknown) => void;
  /** How long a study keeps the floor between rounds while another waits, milliseconds. */
  readonly turnMs?: number;
};

export type Runs = {
  /** Wants the study to run from now on; it waits where another runs. */
  want(study: string): void;
  pause(study: string): Promise<void>;
  resume(study: string): Promise<void>;
  isPaused(study: string): boolean;
  isRunning(study: string): boolean;
  /** Whether it would run but for a session that nobody has approved. */
  asksFor(study: string): boolean;
  approval(study: string): Approval;
  ask(study: string, session: SessionLength | null): Promise<void>;
  approve(study: string): Promise<void>;
  /** Why the study stopped; null where nothing is wrong. */
  problem(study: string): BridgeError | null;
  /** Does `work` while nothing runs here; the run goes on afterwards. */
  exclusive<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Ends a study's run for good, in good order. */
  stop(study: string): Promise<void>;
  close(): Promise<void>;
};

type Running = {
  readonly study: string;
  readonly stop: AbortController;
  readonly done: Promise<void>;
  readonly since: number;
};

const keptSchema = z.object({
  paused: z.array(z.string()).default([]),
  approvals: approvalsSchema.default({}),
});
const lookEveryMs = 1000;

export async function openRuns(options: RunsOptions): Promise<Runs> {
  const { home, run, onChange, onDefect, turnMs = 20_000 } = options;
  const path = join(home, 'host.json');
  const kept = keptIn(await readTextIfThere(path));
  const paused = new Set<string>(kept?.paused ?? []);
  /** What was paused or asked for cannot be read any more, so nothing runs before somebody says so. */
  const unknown = kept === null;
  const resumed = new Set<string>();
  const approvals = approvalsFrom(kept?.approvals ?? {});
  /** In the order of their turns. */
  const wanted = new Set<string>();
  const problems = new Map<string, BridgeError>();
  let running: Running | null = null;
  let held = 0;
  let closed = false;
  let queue: Promise<unknown> = Promise.resolve();
  let writing: Promise<void> = Promise.resolve();

  const isPaused = (study: string): boolean => paused.has(study) || (unknown && !resumed.has(study));
  const ready = (study: string): boolean => !isPaused(study) && approvals.allows(study);

  function begin(): void {
    if (running !== null || held > 0 || closed) return;
    const study = [...wanted].find(ready);
    if (study === undefined) return;
    const stop = new AbortController();
    problems.delete(study);
    const onClosed = (): void => {
      const over = approvals.closed(study);
      void keep().catch((error: unknown) => onDefect('host.json', error));
      if (over) stop.abort();
    };
    const done = run(study, stop.signal, onClosed)
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
    running = { study, stop, done, since: performance.now() };
    onChange();
  }

  async function rest(study: string | null): Promise<void> {
    const now = running;
    if (now === null || (study !== null && now.study !== study)) return;
    now.stop.abort();
    await now.done;
  }

  /** Ends a session whose hours are over, and a turn while another study waits. */
  async function look(): Promise<void> {
    const now = running;
    if (now === null) return begin();
    const others = [...wanted].some((one) => one !== now.study && ready(one));
    const turnOver = others && performance.now() - now.since > turnMs;
    if (!turnOver && approvals.allows(now.study)) return;
    if (!(await options.betweenRounds(now.study)) || running !== now) return;
    if (wanted.delete(now.study)) wanted.add(now.study);
    await rest(now.study);
  }
  let looking = false;
  const clock = setInterval(() => {
    if (looking || closed) return;
    looking = true;
    void look()
      .catch((error: unknown) => onDefect('turns', error))
      .finally(() => (looking = false));
  }, lookEveryMs);

  function keep(): Promise<void> {
    const write = (): Promise<void> =>
      writeFileAtomically(path, `${JSON.stringify({ paused: [...paused], approvals: approvals.stored() })}\n`);
    const next = writing.then(write, write);
    writing = next.catch(() => {});
    return next;
  }

  async function keepAndTell(): Promise<void> {
    await keep();
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
      await keepAndTell();
    },
    async resume(study) {
      paused.delete(study);
      resumed.add(study);
      wanted.add(study);
      await keepAndTell();
      begin();
    },
    isPaused,
    isRunning: (study) => running?.study === study,
    asksFor: (study) => wanted.has(study) && !approvals.allows(study) && running?.study !== study,
    approval: (study) => approvals.get(study),
    async ask(study, session) {
      approvals.ask(study, session);
      await keepAndTell();
      begin();
    },
    async approve(study) {
      approvals.approve(study);
      await keepAndTell();
      begin();
    },
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
      clearInterval(clock);
      await rest(null);
      await queue;
      await writing;
    },
  };
}

const problemOf = (error: unknown): BridgeError =>
  error instanceof ConsilienceError
    ? { code: error.code, message: error.message }
    : { code: 'defect', message: 'The study stopped because of a defect in the program. Please report it.' };

/** null: it cannot be read. */
function keptIn(text: string | null): z.infer<typeof keptSchema> | null {
  if (text === null) return { paused: [], approvals: {} };
  try {
    const kept = keptSchema.safeParse(JSON.parse(text));
    return kept.success ? kept.data : null;
  } catch {
    return null;
  }
}
