// Who waits for the study to move on. A change that participants act on moves the cursor: the number of the last event
// that made one, so that it means the same after a restart. A Ready of one of 500 institutions wakes nobody.

import type { CoordinatorStudy } from '../../app/round/coordinator-study.ts';

/** Equal exactly where a participant has nothing new to do or to show. */
export function whatMatters(study: CoordinatorStudy): string {
  const { round } = study;
  return JSON.stringify([
    round && [round.round, round.stage, round.eligible.length, round.complaints.length, round.answers.length],
    study.closed.length,
    study.ended.at(-1)?.round ?? 0,
    study.opensAt,
    study.outcome,
    study.consented.size,
    study.withdrawn.size,
    study.excluded.size,
  ]);
}

export type Changes = {
  /** Wakes everybody. */
  announce(): void;
  /** Resolves at the next announcement, after `waitMs`, or when `signal` aborts. */
  wait(waitMs: number, signal: AbortSignal): Promise<void>;
};

export function createChanges(): Changes {
  const waiting = new Set<() => void>();
  return {
    announce() {
      for (const wake of waiting) wake();
    },
    wait: (waitMs, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const wake = (): void => {
          clearTimeout(timer);
          waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        const timer = setTimeout(wake, waitMs);
        waiting.add(wake);
        signal.addEventListener('abort', wake);
      }),
  };
}
