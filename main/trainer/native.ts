// TensorFlow's own library through the binding of @tensorflow/tfjs-node and -gpu, whose last release (4.22.0) neither
// downloads its library any more (tfjs#8742) nor runs on this Node (tfjs#8609). Its unmodified kernels are loaded piece by
// piece: the function that Node 23 removed is put back, the project's one tfjs-core is given to them, and what only
// TensorBoard needs is left out. Design 5, "Backends".

import { existsSync } from 'node:fs';
import { createRequire, registerHooks } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { registerBackend, setBackend } from '@tensorflow/tfjs-core';
import type { KernelBackend } from '@tensorflow/tfjs-core';
import { acceleratorLibrary } from './accelerator.ts';
import { NotHere } from './backend.ts';

/** A package folder of tfjs-node or tfjs-node-gpu, and the binding that was built for it. */
export type NativeLibrary = { readonly packageFolder: string; readonly binding: string };

type PackageName = '@tensorflow/tfjs-node' | '@tensorflow/tfjs-node-gpu';
type Binding = { readonly TF_Version: string; isUsingGpuDevice(): boolean };
type BackendModule = { readonly NodeJSKernelBackend: new (binding: Binding, name: string) => KernelBackend };

const require = createRequire(import.meta.url);

/**
 * What `consilience accelerator install` built, else the library of the installed npm package.
 * @throws NotHere where there is neither; Error where the accelerator is not as it was installed
 */
export function libraryOf(name: PackageName): NativeLibrary {
  try {
    return acceleratorLibrary();
  } catch (error) {
    if (!(error instanceof NotHere)) throw error;
  }
  let packageFolder: string;
  try {
    packageFolder = dirname(require.resolve(`${name}/package.json`));
  } catch {
    throw new NotHere(`neither the package ${name} nor an accelerator is installed`);
  }
  const binding = join(packageFolder, 'lib', 'napi-v8', 'tfjs_binding.node');
  if (!existsSync(binding)) throw new NotHere(`the package ${name} is installed without its native binding`);
  return { packageFolder, binding };
}

/** Why `libraryOf` would find none, or null. */
export function missingLibrary(name: PackageName): string | null {
  try {
    libraryOf(name);
    return null;
  } catch (error) {
    // What is here and spoiled is told as a refusal, by its trial.
    return error instanceof NotHere ? error.message : null;
  }
}

/**
 * Makes the library's backend `tensorflow` the current one; says what it is and computes with.
 * @throws Error where the library does not load or computes elsewhere than `wanted`
 */
export async function startNative(library: NativeLibrary, wanted: 'gpu' | 'processor'): Promise<string> {
  // Float32 means 24 bits here: TensorFlow would let newer NVIDIA cards multiply with 11 (TF32), float-term.ts could not hold.
  process.env['NVIDIA_TF32_OVERRIDE'] = '0';
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  const binding = loadBinding(library);
  const onGpu = binding.isUsingGpuDevice();
  if (wanted === 'gpu' && !onGpu) throw new NotHere('its library found no CUDA graphics card');
  if (wanted === 'processor' && onGpu) throw new NotHere('its library computes on the graphics card');
  if (!(await setBackend('tensorflow'))) throw new Error('its backend did not start');
  return `TensorFlow ${binding.TF_Version}`;
}

let loaded: { readonly path: string; readonly binding: Binding } | null = null;

function loadBinding({ packageFolder, binding: path }: NativeLibrary): Binding {
  if (loaded !== null) {
    // The library lives once in a process; its backend is registered.
    if (loaded.path !== path) throw new Error('another native library is already loaded in this process');
    return loaded.binding;
  }
  const util = process.getBuiltinModule('node:util') as unknown as { [name: string]: unknown };
  util['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  // Still there, and it warns of its own end.
  util['isArray'] = (value: unknown) => Array.isArray(value);
  const hooks = withProjectModules(packageFolder);
  try {
    const binding = require(path) as Binding;
    const { NodeJSKernelBackend } = require(join(packageFolder, 'dist', 'nodejs_kernel_backend.js')) as BackendModule;
    require(join(packageFolder, 'dist', 'register_all_kernels.js'));
    registerBackend('tensorflow', () => new NodeJSKernelBackend(binding, '@tensorflow/tfjs-node-gpu'), 3);
    loaded = { path, binding };
    return binding;
  } finally {
    hooks.deregister();
  }
}

const nothing = 'consilience:nothing';

/** While it stands, modules inside `folder` get this project's tfjs-core for @tensorflow/tfjs. */
function withProjectModules(folder: string): { deregister(): void } {
  const inside = pathToFileURL(folder + sep).href;
  const core = pathToFileURL(require.resolve('@tensorflow/tfjs-core')).href;
  return registerHooks({
    resolve(specifier, context, next) {
      const asking = context.parentURL ?? '';
      if (asking.startsWith(inside) || asking.startsWith(fileURLToPath(inside))) {
        if (specifier === '@tensorflow/tfjs' || specifier === '@tensorflow/tfjs-core')
          return { url: core, format: 'commonjs', shortCircuit: true };
        if (specifier === './proto/api_pb') return { url: nothing, format: 'commonjs', shortCircuit: true };
      }
      return next(specifier, context);
    },
    load: (url, context, next) =>
      url === nothing ? { format: 'commonjs', source: 'module.exports = {};', shortCircuit: true } : next(url, context),
  });
}
