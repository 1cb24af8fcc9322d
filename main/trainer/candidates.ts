// The backends that this program knows, in the order in which it prefers them. Design 5, "Backends".

import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { env, scalar, setBackend } from '@tensorflow/tfjs-core';
import { chooseFrom } from './backend.ts';
import type { BackendChoice, Candidate } from './backend.ts';
import { libraryOf, missingLibrary, startNative } from './native.ts';
import { tryApart } from './probe.ts';
import { registerFusedKernels } from './wasm/register.ts';
import { missingCard, startWebGpu } from './webgpu.ts';

export const backendNames = ['tfjs-node-gpu', 'webgpu', 'tfjs-node', 'wasm', 'cpu'] as const;
export type BackendName = (typeof backendNames)[number];

async function use(name: string): Promise<void> {
  if (!(await setBackend(name))) throw new Error(`backend ${name} did not start`);
}

/**
 * The cpu backend advertises tfjs-node through console.warn at its first tensor. tfjs-core's flag for it silences every
 * warning, so it stands for that one tensor only.
 */
async function withoutBanner(start: () => Promise<void>): Promise<void> {
  const before = env().getBool('PROD');
  env().set('PROD', true);
  try {
    await start();
    scalar(0).dispose();
  } finally {
    env().set('PROD', before);
  }
}

export const candidates: { readonly [name in BackendName]: Candidate } = {
  'tfjs-node-gpu': {
    name: 'tfjs-node-gpu',
    risky: true,
    look: () => missingLibrary('@tensorflow/tfjs-node-gpu'),
    start: async () => startNative(libraryOf('@tensorflow/tfjs-node-gpu'), 'gpu'),
  },
  webgpu: { name: 'webgpu', risky: true, look: missingCard, start: () => startWebGpu({ software: false }) },
  'tfjs-node': {
    name: 'tfjs-node',
    risky: true,
    look: () => missingLibrary('@tensorflow/tfjs-node'),
    start: async () => startNative(libraryOf('@tensorflow/tfjs-node'), 'processor'),
  },
  wasm: {
    name: 'wasm',
    risky: false,
    start: async () => {
      const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
      setWasmPaths(dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm'))) + sep);
      await use('wasm');
      registerFusedKernels();
      return null;
    },
  },
  cpu: {
    name: 'cpu',
    risky: false,
    start: async () => {
      await import('@tensorflow/tfjs-backend-cpu');
      await withoutBanner(() => use('cpu'));
      return null;
    },
  },
};

/** For tests: the same backend on an adapter in software. */
export const softwareWebGpu: Candidate = { ...candidates.webgpu, start: () => startWebGpu({ software: true }) };

export type BackendOptions = {
  readonly order?: readonly Candidate[];
  /** Native backends that ended processes before: refused without a try. wasm and cpu are always tried. */
  readonly distrusted?: readonly string[];
};

/** Leaves the best backend of this machine as the current one. @throws InvariantError `no-backend` */
export function chooseBackend(options: BackendOptions = {}): Promise<BackendChoice> {
  const { order = backendNames.map((name) => candidates[name]), distrusted = [] } = options;
  const reason = 'it ended the training process twice; start the program again to try it anew';
  return chooseFrom({
    order,
    reference: candidates.cpu,
    tryApart: (candidate) =>
      distrusted.includes(candidate.name) ? Promise.resolve({ state: 'refused', reason }) : tryApart(candidate),
  });
}
