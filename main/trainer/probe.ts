// Tries one backend in a process of its own: a broken driver or library then ends that process and nothing else.
// Design 5, "Backends".

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Candidate, Trial } from './backend.ts';
import { trainerEnvironment } from './environment.ts';

const entry = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './probe-process.ts' : './probe-process.js', import.meta.url),
);

const patienceMs = 120_000;

export type ProbeOptions = {
  /** Takes an adapter in software too: for tests. */
  readonly software?: boolean;
  /** Folder of a native library that is not installed yet. */
  readonly accelerator?: string;
};

export function tryApart({ name }: Pick<Candidate, 'name'>, options: ProbeOptions = {}): Promise<Trial> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [entry, name, ...(options.software === true ? ['--software'] : [])],
      { env: trainerEnvironment(options.accelerator), timeout: patienceMs, killSignal: 'SIGKILL', maxBuffer: 1 << 24 },
      (error, said) => resolve(error === null ? trialOf(said) : refusedBy(error)),
    );
  });
}

/** The library may print lines of its own; the answer is the last one. */
function trialOf(said: string): Trial {
  try {
    return JSON.parse(said.trimEnd().split('\n').at(-1)!) as Trial;
  } catch {
    return { state: 'refused', reason: 'its trial gave no answer' };
  }
}

function refusedBy(error: { readonly killed?: boolean; readonly signal?: unknown; readonly code?: unknown }): Trial {
  if (error.killed === true)
    return { state: 'refused', reason: `it did not finish its self-test within ${patienceMs / 1000} seconds` };
  const how = typeof error.signal === 'string' ? error.signal : `exit code ${String(error.code)}`;
  return { state: 'refused', reason: `it ends the process that loads it (${how})` };
}
