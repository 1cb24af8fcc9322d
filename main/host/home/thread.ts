// The host's side of the home's thread: what must open keys and log, compute or wait for a disk is done there, so that the
// host's own thread is free for windows whatever a round does. One thread for a home, started when there is work and
// again after it died. Design 2, "Processes" (host: nothing in it takes 50 ms).

import { Worker } from 'node:worker_threads';
import type { HomeJobs, JobSurroundings, RunNews } from './jobs.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { promptForPassphrase } from '../keys/passphrase-prompt.ts';
import { errorOf, reportOf } from '../../../app/reported-error.ts';
import type { ReportedError } from '../../../app/reported-error.ts';

type JobName = keyof HomeJobs;
type InputOf<Name extends JobName> = Parameters<HomeJobs[Name]>[1];
type OutputOf<Name extends JobName> = ReturnType<HomeJobs[Name]> extends Promise<infer Value> ? Value : never;

/** Key sources that can be told to another thread; the terminal is asked here. */
export type PlainKeys = Pick<KeySourceOptions, 'credentialFile' | 'scryptLogN'> & { readonly keyring?: boolean };

/** @throws TypeError for what only this thread could ask. */
export function plainKeys({ prompt, keyring, ...others }: KeySourceOptions): PlainKeys {
  if (prompt !== undefined || typeof keyring === 'object')
    throw new TypeError('keys: a prompt or a keyring of one’s own cannot be told to another thread');
  return { ...others, ...(keyring === undefined ? {} : { keyring }) };
}

export type PlainSurroundings = Pick<JobSurroundings, 'home' | 'policyPath'> & { readonly keys: PlainKeys };

export type HomeRequest =
  | { readonly kind: 'start'; readonly id: number; readonly name: JobName; readonly input: unknown }
  | { readonly kind: 'stop'; readonly id: number }
  | { readonly kind: 'prompted'; readonly id: number; readonly text: string; readonly error: ReportedError | null };

export type HomeAnswer =
  | { readonly kind: 'progress'; readonly id: number; readonly done: number; readonly total: number | null }
  | { readonly kind: 'news'; readonly id: number; readonly what: RunNews }
  | { readonly kind: 'prompt'; readonly id: number; readonly question: string }
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: ReportedError };

export type Listening = {
  /** Aborting stops the job in good order; it then ends as it says. */
  readonly signal?: AbortSignal;
  readonly progress?: (done: number, total: number | null) => void;
  readonly news?: (what: RunNews) => void;
};

export type HomeThread = {
  /** @throws what the job throws; an Error that is a defect where the thread dies. */
  ask<Name extends JobName>(name: Name, input: InputOf<Name>, listening?: Listening): Promise<OutputOf<Name>>;
  /** Ends the thread; whatever still runs in it fails. */
  close(): Promise<void>;
};

type Waiting = Listening & {
  readonly settle: (value: unknown) => void;
  readonly fail: (error: Error) => void;
};

const entry = new URL(import.meta.url.endsWith('.ts') ? './home-worker.ts' : './home-worker.js', import.meta.url);

export function homeThread(around: PlainSurroundings): HomeThread {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | null = null;
  let ids = 0;
  let closed = false;

  function hire(): Worker {
    const made = new Worker(entry, { workerData: around });
    let died = 'it ended';
    made.on('message', (answer: HomeAnswer) => hear(made, answer));
    made.on('error', (error) => (died = String(error)));
    made.once('exit', () => {
      if (worker === made) worker = null;
      const lost = [...waiting.values()];
      waiting.clear();
      for (const { fail } of lost) fail(new Error(`the thread of the home stopped: ${died}`));
    });
    return made;
  }

  const say = (to: Worker, request: HomeRequest): void => to.postMessage(request, []);

  function hear(from: Worker, answer: HomeAnswer): void {
    if (answer.kind === 'prompt') {
      const tell = (text: string, error: ReportedError | null): void =>
        say(from, { kind: 'prompted', id: answer.id, text, error });
      return void promptForPassphrase(answer.question).then(
        (text) => tell(text, null),
        (error: unknown) => tell('', reportOf(error)),
      );
    }
    const job = waiting.get(answer.id);
    if (job === undefined) return;
    if (answer.kind === 'progress') return job.progress?.(answer.done, answer.total);
    if (answer.kind === 'news') return job.news?.(answer.what);
    waiting.delete(answer.id);
    if (answer.kind === 'done') job.settle(answer.value);
    else job.fail(errorOf(answer.error));
  }

  return {
    ask<Name extends JobName>(name: Name, input: InputOf<Name>, listening: Listening = {}) {
      if (closed) return Promise.reject(new TypeError('ask: the thread of the home was closed'));
      const to = (worker ??= hire());
      const id = ++ids;
      const { signal } = listening;
      const stop = (): void => say(to, { kind: 'stop', id });
      const answer = new Promise<OutputOf<Name>>((resolve, reject) => {
        waiting.set(id, { ...listening, settle: resolve as (value: unknown) => void, fail: reject });
        say(to, { kind: 'start', id, name, input });
        if (signal?.aborted === true) stop();
        signal?.addEventListener('abort', stop, { once: true });
      });
      return answer.finally(() => signal?.removeEventListener('abort', stop));
    },
    async close() {
      closed = true;
      await worker?.terminate();
    },
  };
}
