// What `npm run build` leaves for the bin: the same commands from dist/, compiled, on any folder a person stands in.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { before, test } from 'node:test';

const root = path.resolve(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { bin: { consilience: string } };
const built = path.join(root, manifest.bin.consilience);
const source = path.join(root, 'main/cli/index.ts');

// From another folder, so that a path relative to the repository is found out.
const node = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8', cwd: tmpdir() });

before(() => {
  const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = node(compiler, '-b', path.join(root, 'main'));
  assert.equal(status, 0, stdout);
});

test('the bin can be started by its first line and lists its commands', () => {
  assert.match(readFileSync(built, 'utf8'), /^#!\/usr\/bin\/env node\n/);
  const help = node(built, '--help');
  assert.equal(help.status, 0, help.stderr);
  assert.equal(help.stdout, node(source, '--help').stdout);
});

test('a command answers from dist as it does from its source', () => {
  const args = ['account', '--sampling-rate', '0.1', '--noise-multiplier', '1', '--steps', '10', '--delta', '1e-5'];
  const [compiled, plain] = [node(built, ...args, '--json'), node(source, ...args, '--json')];
  assert.equal(compiled.status, 0, compiled.stderr);
  assert.equal(compiled.stdout, plain.stdout);
  assert.ok((JSON.parse(compiled.stdout) as { epsilon: { rdp: number } }).epsilon.rdp > 0);
});

test('the compiled trainer starts and can compute', () => {
  const client = path.join(root, 'dist/main/trainer/client.js');
  const script = `
    import { Trainer } from ${JSON.stringify(client)};
    const trainer = new Trainer();
    await trainer.run({ kind: 'no such job' }).catch(() => {});
    console.log(trainer.backend?.name);
    await trainer.close();
  `;
  const run = node('--input-type=module', '-e', script);
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stdout, /wasm|cpu/);
});
