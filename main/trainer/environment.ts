// What a trainer process gets of its host's environment: nothing but what an operating system or a graphics driver needs
// to work. Secrets may stand in the rest.

import { acceleratorFolder } from './accelerator.ts';

const kept = [
  // Windows needs them to start a process at all.
  'SystemRoot',
  'TEMP',
  'TMPDIR',
  // Where the loader, Vulkan and CUDA look for drivers and libraries.
  'LD_LIBRARY_PATH',
  'XDG_RUNTIME_DIR',
  'VK_ICD_FILENAMES',
  'VK_DRIVER_FILES',
  'CUDA_VISIBLE_DEVICES',
];

/** @param accelerator folder of a native library other than the installed one: for its own trial */
export function trainerEnvironment(accelerator = acceleratorFolder()): NodeJS.ProcessEnv {
  const given = Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  return { ...given, CONSILIENCE_ACCELERATOR: accelerator };
}
