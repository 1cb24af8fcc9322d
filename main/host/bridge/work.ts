// Long work that windows asked for, one of a kind at a time: told to every window while it lasts, and ended when somebody
// who may begin it cancels it. Design 1, "Screens" (progress, estimate, cancel).

import { RefusalError, UnavailableError } from '../../../app/errors.ts';
import { bridgeCalls } from '../../../app/bridge.ts';
import type { OutputOf, Session } from '../../../app/bridge.ts';
import type { LongCall } from '../../../app/bridge/work.ts';

export type Progress = (done: number, total: number | null) => void;
export type WorkTools = { readonly signal: AbortSignal; readonly progress: Progress };

export type Works = {
  /** @throws RefusalError `work-busy` where the same is under way; UnavailableError `cancelled`; what `body` throws. */
  run<Result>(name: LongCall, body: (tools: WorkTools) => Promise<Result>): Promise<Result>;
  list(): OutputOf<'work.list'>;
  /** @throws RefusalError `role-not-allowed`. */
  cancel(name: LongCall, session: Session): boolean;
};

type Work = { readonly began: string; done: number; total: number | null; readonly stop: AbortController };

/** Between two reports of progress to the windows. */
const tellEveryMs = 200;

export function openWorks(onChange: () => void): Works {
  const under = new Map<LongCall, Work>();
  let told = 0;
  return {
    async run(name, body) {
      if (under.has(name))
        throw new RefusalError(
          'work-busy',
          'The same is under way already, perhaps in another window. Wait until it ends, or cancel it.',
        );
      const work: Work = { began: new Date().toISOString(), done: 0, total: null, stop: new AbortController() };
      const { signal } = work.stop;
      under.set(name, work);
      onChange();
      try {
        return await body({
          signal,
          progress(done, total) {
            [work.done, work.total] = [done, total];
            const now = performance.now();
            if (now - told < tellEveryMs) return;
            told = now;
            onChange();
          },
        });
      } catch (error) {
        throw signal.aborted ? cancelledError() : error;
      } finally {
        under.delete(name);
        onChange();
      }
    },
    list: () => Array.from(under, ([name, { began, done, total }]) => ({ name, began, done, total })),
    cancel(name, session) {
      if (!(bridgeCalls[name].roles as readonly string[]).includes(session.role))
        throw new RefusalError('role-not-allowed', `You are here as ${session.role}, so this is not yours to cancel.`);
      const work = under.get(name);
      work?.stop.abort();
      return work !== undefined;
    },
  };
}

export const cancelledError = (): UnavailableError =>
  new UnavailableError('cancelled', 'Cancelled as asked. Nothing was changed.');

/** For work that cannot be stopped inside: its result is not waited for any longer. @throws UnavailableError `cancelled`. */
export async function untilAborted<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(cancelledError());
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
