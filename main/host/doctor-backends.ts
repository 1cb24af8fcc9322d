// Which tensor backends work here: wasm and cpu by the trainer's own self-test; native ones by loading them in a process
// of their own, because a broken native library can end the process that loads it. Design 5, "Backends".

import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { candidates, chooseBackend } from '../trainer/backend.ts';
import type { BackendName } from '../trainer/backend.ts';
import { check, fail, pass, warn } from './doctor-check.ts';
import type { Check, Outcome } from './doctor-check.ts';

export async function backendChecks(): Promise<Check[]> {
  const wasm = await tried('wasm');
  const cpu = await tried('cpu');
  const checks = [
    await check('backend-wasm', 'What models are trained with here.', reinstall, () =>
      wasm === null
        ? pass('Its self-test (forward pass and gradients) agrees with plain arithmetic.')
        : cpu === null
          ? warn(`It does not work (${wasm}); cpu is used instead, slowly.`, reinstall)
          : fail(`Neither it nor cpu works (${wasm}).`, reinstall),
    ),
    await check('backend-cpu', 'The slow reference, and what is left where wasm fails.', reinstall, () =>
      cpu === null ? pass('Its self-test passes.') : warn(`It does not work (${cpu}).`, reinstall),
    ),
  ];
  for (const name of ['tfjs-node', 'tfjs-node-gpu'] as const)
    checks.push(
      await check(`backend-${name}`, 'A native library, faster where it runs. Not used for training yet.', '', () =>
        nativeOutcome(`@tensorflow/${name}`),
      ),
    );
  checks.push(
    await check('backend-webgpu', 'Any graphics card, through WebGPU.', '', () =>
      pass('Not in this version; nothing to do.'),
    ),
  );
  return checks;
}

const reinstall = 'Install again: npm ci. If it stays, please report it.';

/** @returns why not, or null. */
async function tried(name: BackendName): Promise<string | null> {
  try {
    await chooseBackend([candidates[name]]);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message.split('\n')[0]! : String(error);
  }
}

async function nativeOutcome(name: string): Promise<Outcome> {
  try {
    createRequire(import.meta.url).resolve(`${name}/package.json`);
  } catch {
    return pass('Not installed; wasm is used.');
  }
  const refused = await loadsApart(name);
  return refused === null
    ? pass('It is installed and loads.')
    : warn(
        `It is installed and does not load (${refused}); wasm is used.`,
        `Mend or remove ${name}; nothing needs it.`,
      );
}

/** tfjs-node calls a function that Node 23 removed (tfjs#8609), so it is put back first. */
const script = (name: string): string => `
  const util = process.getBuiltinModule('node:util');
  util.isNullOrUndefined ??= (value) => value === null || value === undefined;
  util.isArray ??= Array.isArray;
  await import(${JSON.stringify(name)});
  process.exit(0);
`;

/** @returns why a process of its own cannot load the package, or null. */
export function loadsApart(name: string): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--input-type=module', '--eval', script(name)],
      { cwd: import.meta.dirname, timeout: 60_000, killSignal: 'SIGKILL' },
      (error, _out, said) => {
        if (error === null) resolve(null);
        else if (error.killed === true) resolve('it did not load within a minute');
        else
          resolve(
            (/^\w*Error.*$/m.exec(said)?.[0] ?? `the process ended with ${error.signal ?? error.code}`).slice(0, 200),
          );
      },
    );
  });
}
