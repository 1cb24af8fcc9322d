// Which tensor backends work here and how fast they are: each runs the trainer's self-test in a process of its own, because
// a broken driver or library can end the process that loads it. Design 5, "Backends".

import type { OutputOf } from '../../../app/bridge.ts';
import { InvariantError } from '../../../app/errors.ts';
import { clearlySlower } from '../../trainer/backend.ts';
import type { Trial } from '../../trainer/backend.ts';
import { backendNames } from '../../trainer/candidates.ts';
import type { BackendName } from '../../trainer/candidates.ts';
import { tryApart } from '../../trainer/probe.ts';
import { check, fail, pass, warn } from './check.ts';
import type { Check, Outcome } from './check.ts';

const meanings: { readonly [name in BackendName]: string } = {
  'tfjs-node-gpu': 'A CUDA graphics card, through TensorFlow’s own library.',
  webgpu: 'Any graphics card, through WebGPU.',
  'tfjs-node': 'All cores of the processor, through TensorFlow’s own library.',
  wasm: 'What models are trained with where nothing faster is.',
  cpu: 'The slow reference, and what is left where wasm fails.',
};

const reinstall = 'Install again: npm ci. If it stays, please report it.';

const repairs: { readonly [name in BackendName]: string } = {
  'tfjs-node-gpu': 'Mend or remove it (consilience accelerator status); nothing needs it.',
  webgpu: 'Update the driver of the graphics card; nothing needs it.',
  'tfjs-node': 'Mend or remove it (consilience accelerator status); nothing needs it.',
  wasm: reinstall,
  cpu: reinstall,
};

export type Tried = { readonly name: BackendName; readonly trial: Trial };

/** One after the other: speeds are compared. */
async function tryAll(): Promise<Tried[]> {
  const tried: Tried[] = [];
  for (const name of backendNames) tried.push({ name, trial: await tryApart({ name }) });
  return tried;
}

export async function backendChecks(): Promise<Check[]> {
  const tried = await tryAll();
  return Promise.all(
    tried.map(({ name, trial }) =>
      check(`backend-${name}`, meanings[name], repairs[name], () => backendOutcome(name, trial, tried)),
    ),
  );
}

let measured: Promise<OutputOf<'system.backend'>> | null = null;

/** What trainers of this program compute with, and why nothing before it; measured once. */
export function measuredBackend(): Promise<OutputOf<'system.backend'>> {
  measured ??= tryAll().then(backendReport);
  // A failure is not kept.
  measured.catch(() => (measured = null));
  return measured;
}

/** @throws InvariantError `no-backend` where nothing works */
export function backendReport(tried: readonly Tried[]): OutputOf<'system.backend'> {
  const taken = takenOf(tried);
  const trial = tried.find(({ name }) => name === taken)?.trial;
  if (taken === null || trial?.state !== 'works')
    throw new InvariantError('no-backend', 'No way to compute works on this machine: consilience doctor says why.');
  const refused = [];
  const absent = [];
  for (const { name, trial: other } of tried.slice(
    0,
    tried.findIndex(({ name: one }) => one === taken),
  ))
    if (other.state === 'absent') absent.push({ name, reason: other.reason });
    else refused.push({ name, reason: other.state === 'refused' ? other.reason : 'it is slower here than wasm' });
  return { name: taken, device: trial.device, gigaflops: trial.speed.gigaflops, refused, absent };
}

/** What the trainer takes: the first that works and is not clearly slower than wasm. */
export function takenOf(tried: readonly Tried[]): BackendName | null {
  const wasm = tried.find(({ name }) => name === 'wasm')?.trial;
  const least = wasm?.state === 'works' ? clearlySlower * wasm.speed.gigaflops : 0;
  const fast = ({ name, trial }: Tried): boolean =>
    trial.state === 'works' && (name === 'cpu' || trial.speed.gigaflops >= least);
  return tried.find(fast)?.name ?? null;
}

export function backendOutcome(name: BackendName, trial: Trial, tried: readonly Tried[]): Outcome {
  const taken = takenOf(tried);
  const repair = repairs[name];
  if (trial.state === 'absent') return pass(`Not here (${trial.reason}); nothing needs it.`);
  if (trial.state === 'refused') {
    if (taken === null) return fail(`It does not work (${trial.reason}), nor does any other.`, repair);
    return warn(`It does not work (${trial.reason}); ${taken} is used.`, repair);
  }
  const { gigaflops, kernelMicroseconds } = trial.speed;
  const device = trial.device === null ? '' : `${trial.device}: `;
  const speed = `${gigaflops.toPrecision(2)} GFLOP/s, ${Math.ceil(kernelMicroseconds)} µs a kernel`;
  const place = name === taken ? ' Models are trained with it.' : '';
  return pass(`${device}its self-test agrees with the reference; ${speed}.${place}`);
}
