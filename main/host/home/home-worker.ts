// The home's thread: does the jobs of home-jobs.ts that the host asks for, several at a time where one waits. A failure is
// told; a defect that no job caught ends the thread, which the host sees. Design 2, "Processes" (host).

import { parentPort, workerData } from 'node:worker_threads';
import { homeJobs } from './jobs.ts';
import type { JobSurroundings, JobTools } from './jobs.ts';
import type { HomeAnswer, HomeRequest, PlainSurroundings } from './thread.ts';
import { errorOf, reportOf } from '../../../app/reported-error.ts';

/** Between two reports of a job's progress. */
const progressEveryMs = 100;

const port = parentPort!;
const say = (answer: HomeAnswer): void => port.postMessage(answer, []);

const stops = new Map<number, AbortController>();
/** Passphrases that were asked for: the terminal belongs to the host's own thread. */
const asked = new Map<number, { resolve(text: string): void; reject(error: Error): void }>();
let questions = 0;

const { home, keys, policyPath } = workerData as PlainSurroundings;
const around: JobSurroundings = {
  home,
  policyPath,
  keys: {
    ...keys,
    prompt: (question) =>
      new Promise((resolve, reject) => {
        asked.set(++questions, { resolve, reject });
        say({ kind: 'prompt', id: questions, question });
      }),
  },
};

async function work({ id, name, input }: Extract<HomeRequest, { kind: 'start' }>): Promise<void> {
  const stop = new AbortController();
  stops.set(id, stop);
  let told = -Infinity;
  const tools: JobTools = {
    signal: stop.signal,
    progress(done, total) {
      const now = performance.now();
      if (now - told < progressEveryMs) return;
      told = now;
      say({ kind: 'progress', id, done, total });
    },
    news: (what) => say({ kind: 'news', id, what }),
  };
  try {
    say({ kind: 'done', id, value: await homeJobs[name](around, input as never, tools) });
  } catch (error) {
    say({ kind: 'failed', id, error: reportOf(error) });
  } finally {
    stops.delete(id);
  }
}

port.on('message', (request: HomeRequest) => {
  if (request.kind === 'start') return void work(request);
  if (request.kind === 'stop') return stops.get(request.id)?.abort();
  const waiting = asked.get(request.id);
  asked.delete(request.id);
  if (request.error === null) waiting?.resolve(request.text);
  else waiting?.reject(errorOf(request.error));
});
