// Compiles the native binding: the package's two C++ files against Node's own headers and the wheel's C headers, linked
// with the wheel's libraries, which it finds beside itself (RPATH). Only the stable C interface of TensorFlow is used.
// Design 5, "Backends".

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { InputError, UnavailableError } from '../../../app/errors.ts';
import { bindingName, libraryPart, packagePart } from '../../trainer/accelerator.ts';

const run = promisify(execFile);

/** The compiler's command and how it calls itself. @throws InputError `compiler-missing` */
export async function findCompiler(): Promise<{ readonly command: string; readonly name: string }> {
  const named = process.env['CXX'];
  const commands = named === undefined || named === '' ? ['g++', 'clang++', 'c++'] : [named];
  for (const command of commands)
    try {
      const { stdout } = await run(command, ['--version'], { timeout: 30_000 });
      return { command, name: stdout.split('\n')[0]!.trim() };
    } catch {
      // The next one, or the sentence below.
    }
  throw new InputError(
    'compiler-missing',
    `No C++ compiler was found (tried ${commands.join(', ')}). Install one: apt install g++, dnf install gcc-c++, or name it in CXX.`,
  );
}

/** Node's headers: inside the package that brings Node, or beside the Node that runs. @throws InputError `headers-missing` */
export function nodeHeaders(): string {
  const places = [join(dirname(process.execPath), '..', 'include', 'node')];
  try {
    const brought = createRequire(import.meta.url).resolve(`node-linux-${process.arch}/package.json`);
    places.unshift(join(dirname(brought), 'include', 'node'));
  } catch {
    // Only the Node that runs, then.
  }
  const found = places.find((place) => existsSync(join(place, 'node_api.h')));
  if (found === undefined)
    throw new InputError('headers-missing', 'The headers of Node are not here. Install again: npm ci.');
  return found;
}

/** @param folder holds the package and the unpacked wheel. @throws UnavailableError `compiler-failed` with its first errors */
export async function compileBinding(folder: string, compiler: string): Promise<void> {
  const sources = join(folder, packagePart);
  const library = join(folder, libraryPart);
  const args = ['-shared', '-fPIC', '-O2', '-std=c++17', '-DNAPI_VERSION=8'];
  args.push('-I', nodeHeaders(), '-I', join(library, 'include'), '-I', sources);
  args.push(...['tfjs_backend.cc', 'tfjs_binding.cc'].map((name) => join(sources, 'binding', name)));
  args.push('-o', join(folder, bindingName), '-L', library, `-Wl,-rpath,$ORIGIN/${libraryPart}`);
  args.push('-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2');
  try {
    await run(compiler, args, { timeout: 600_000, maxBuffer: 1 << 24 });
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    const lines = said.split('\n').filter((line) => /error|undefined|cannot/i.test(line));
    throw new UnavailableError(
      'compiler-failed',
      `${compiler} could not build the binding: ${lines.slice(0, 3).join(' | ').slice(0, 600) || 'it gave no reason'}. Try another TensorFlow or compiler.`,
    );
  }
}
