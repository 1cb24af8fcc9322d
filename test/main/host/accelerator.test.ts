// The accelerator: a wheel that fits this machine or a sentence that says why not; files that others changed or may change
// are not loaded; and, where CONSILIENCE_TENSORFLOW_WHEEL names a real wheel, the whole way: built, tested, damaged, removed.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ConsilienceError } from '../../../app/errors.ts';
import { requireArchive } from '../../../main/host/accelerator/binding-sources.ts';
import { findCompiler } from '../../../main/host/accelerator/compile.ts';
import { readWheel, requireFits, unpackWheel } from '../../../main/host/accelerator/wheel.ts';
import { acceleratorLibrary, firstChanged, manifestName, readManifest } from '../../../main/trainer/accelerator.ts';
import type { Manifest } from '../../../main/trainer/accelerator.ts';
import { NotHere } from '../../../main/trainer/backend.ts';
import { zipOf } from './import/workbook.ts';

const entry = resolve(import.meta.dirname, '../../../main/cli/index.ts');
const withCode = (code: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ConsilienceError, String(error));
  assert.deepEqual([error.code, words.test(error.message)], [code, true], error.message);
  return true;
};

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-accelerator-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const tensorflowParts = [
  'tensorflow/libtensorflow_cc.so.2',
  'tensorflow/libtensorflow_framework.so.2',
  'tensorflow/include/tensorflow/c/c_api.h',
  'tensorflow/include/tensorflow/c/eager/c_api.h',
  'tensorflow/python/nothing.py',
];

async function wheelFile(folder: string, name: string, tag: string, parts = tensorflowParts): Promise<string> {
  const path = join(folder, `${name}.whl`);
  const described = [
    { name: `${name}-2.0.dist-info/METADATA`, data: `Metadata-Version: 2.1\nName: ${name}\nVersion: 2.0\n` },
    { name: `${name}-2.0.dist-info/WHEEL`, data: `Wheel-Version: 1.0\nTag: cp311-cp311-${tag}\n` },
  ];
  await writeFile(path, zipOf([...parts.map((part) => ({ name: part, data: part })), ...described]));
  return path;
}

test('a wheel is read, hashed, and only what the binding needs is unpacked', async (t) => {
  const folder = await temporaryFolder(t);
  const path = await wheelFile(folder, 'tensorflow_cpu', 'manylinux_2_27_x86_64');
  const wheel = await readWheel(path);
  assert.deepEqual([wheel.name, wheel.version, wheel.platforms], ['tensorflow_cpu', '2.0', ['manylinux_2_27_x86_64']]);
  assert.match(wheel.sha256, /^[0-9a-f]{64}$/);
  await unpackWheel(path, join(folder, 'out'));
  const files = await readdir(join(folder, 'out'), { recursive: true, withFileTypes: true });
  assert.equal(files.filter((file) => file.isFile()).length, tensorflowParts.length - 1);
});

test('a file that is no wheel, another package’s wheel and one without the library are told apart', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'text.whl'), 'no zip');
  await assert.rejects(readWheel(join(folder, 'text.whl')), withCode('wheel-malformed', /text\.whl/));
  await assert.rejects(readWheel(join(folder, 'none.whl')), withCode('disk-failed', /not there/));
  const plain = await wheelFile(folder, 'numpy', 'manylinux_2_27_x86_64', ['numpy/x.py']);
  await assert.rejects(readWheel(plain), withCode('wheel-other', /numpy 2\.0.*pip download/));
  const partial = await wheelFile(folder, 'tensorflow_intel', 'win_amd64', ['tensorflow/x.dll']);
  await assert.rejects(readWheel(partial), withCode('wheel-other', /libtensorflow_cc/));
  const bare = join(folder, 'bare.whl');
  await writeFile(bare, zipOf([{ name: 'a.txt', data: 'a' }]));
  await assert.rejects(readWheel(bare), withCode('wheel-malformed', /neither its name/));
});

test('another system, processor or C library is refused with what to do', () => {
  const linux = { platform: 'linux', architecture: 'x64', glibc: '2.36' };
  const built = (...platforms: string[]) => ({ name: 'tensorflow', version: '2.21.0', platforms });
  const mine = built('manylinux_2_27_x86_64');
  requireFits(mine, linux);
  requireFits(mine, { ...linux, glibc: '2.27' });
  requireFits(built('linux_x86_64'), linux);
  requireFits(built('manylinux_2_27_aarch64'), { ...linux, architecture: 'arm64' });
  const refused = (
    wheel: ReturnType<typeof built>,
    machine: typeof linux | { glibc: null },
    code: string,
    words: RegExp,
  ) => assert.throws(() => requireFits(wheel, { ...linux, ...machine }), withCode(code, words));
  refused(mine, { ...linux, platform: 'win32' }, 'accelerator-platform', /WebGPU/);
  refused(mine, { ...linux, architecture: 'riscv64' }, 'accelerator-platform', /riscv64/);
  refused(mine, { ...linux, architecture: 'arm64' }, 'wheel-platform', /aarch64/);
  refused(built('macosx_12_0_arm64'), linux, 'wheel-platform', /x86_64/);
  refused(mine, { ...linux, glibc: '2.17' }, 'wheel-glibc', /glibc 2\.17.*older/);
  refused(mine, { glibc: null }, 'wheel-glibc', /another one/);
});

test('without a compiler, or with another archive of the binding, nothing is built', async (t) => {
  const before = process.env['CXX'];
  t.after(() => {
    if (before === undefined) delete process.env['CXX'];
    else process.env['CXX'] = before;
  });
  process.env['CXX'] = '/nowhere/compiler';
  await assert.rejects(findCompiler(), withCode('compiler-missing', /\/nowhere\/compiler.*apt install/));
  assert.throws(
    () => requireArchive(Buffer.from('other'), '/x/a.tgz'),
    withCode('binding-package-other', /a\.tgz.*npm pack/),
  );
});

test('files that were changed, are missing or may be written by others are not loaded', async (t) => {
  const folder = join(await temporaryFolder(t), 'accelerator');
  assert.throws(() => acceleratorLibrary(folder), NotHere);
  await mkdir(folder, { mode: 0o755 });
  await chmod(folder, 0o755);
  const file = join(folder, 'tfjs_binding.node');
  await writeFile(file, 'binding', { mode: 0o644 });
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
  const manifest: Manifest = {
    format: 'consilience/accelerator/1',
    installed: '2026-01-01T00:00:00Z',
    wheel: { name: 'tensorflow', version: '1', file: 'a.whl', sha256: hash('wheel') },
    binding: { package: 'p', version: '1', compiler: 'c' },
    files: [{ path: 'tfjs_binding.node', size: 7, sha256: hash('binding') }],
  };
  await writeFile(join(folder, manifestName), JSON.stringify(manifest));
  assert.equal(acceleratorLibrary(folder).binding, file);
  assert.equal(await firstChanged(readManifest(folder), folder), null);
  if (process.platform !== 'win32') {
    await chmod(file, 0o664);
    assert.throws(() => acceleratorLibrary(folder), /others may write/);
    await chmod(file, 0o644);
  }
  await writeFile(file, 'bindinG');
  assert.throws(() => acceleratorLibrary(folder), /tfjs_binding\.node is not the one/);
  assert.equal(await firstChanged(readManifest(folder), folder), 'tfjs_binding.node');
  await rm(file);
  assert.throws(() => acceleratorLibrary(folder), /missing/);
  await writeFile(join(folder, manifestName), '{}');
  assert.throws(() => acceleratorLibrary(folder), /manifest/);
});

type Report = {
  works: boolean;
  changed: string | null;
  wheel: { sha256: string };
  backends: { [name: string]: { state: string; reason?: string } };
};

function accelerator(
  home: string,
  ...args: string[]
): Promise<{ code: number; report: Report & { error?: { code: string } } }> {
  return new Promise((done) => {
    const env = { ...process.env, CONSILIENCE_ACCELERATOR: home };
    execFile(process.execPath, [entry, 'accelerator', ...args, '--json'], { env }, (error, said) => {
      done({ code: error === null ? 0 : Number(error.code), report: JSON.parse(said) as Report });
    });
  });
}

test('a real wheel: installed, tested, used, noticed when damaged, removed', async (t) => {
  const wheel = process.env['CONSILIENCE_TENSORFLOW_WHEEL'] ?? '';
  if (wheel === '')
    return t.skip('CONSILIENCE_TENSORFLOW_WHEEL names no wheel (pip download tensorflow-cpu --no-deps)');
  const home = join(await temporaryFolder(t), 'accelerator');
  const refused = await accelerator(home, 'install', '--wheel', wheel, '--sha256', '0'.repeat(64));
  assert.deepEqual([refused.code, refused.report.error?.code], [1, 'wheel-hash-differs']);
  assert.equal((await accelerator(home, 'status')).report.error?.code, 'accelerator-none');
  const installed = await accelerator(home, 'install', '--wheel', wheel);
  assert.equal(installed.code, 0, JSON.stringify(installed.report));
  assert.ok(Object.values(installed.report.backends).some(({ state }) => state === 'works'));
  const status = await accelerator(home, 'status');
  assert.deepEqual([status.code, status.report.changed], [0, null]);
  assert.equal(status.report.wheel.sha256, installed.report.wheel.sha256);
  await appendFile(join(home, 'package/dist/kernels/Add.js'), '\n');
  const damaged = await accelerator(home, 'status');
  assert.deepEqual([damaged.code, damaged.report.changed], [1, 'package/dist/kernels/Add.js']);
  assert.ok(Object.values(damaged.report.backends).every(({ state }) => state === 'refused'));
  assert.equal((await accelerator(home, 'remove')).code, 0);
  assert.equal((await accelerator(home, 'status')).report.error?.code, 'accelerator-none');
});
