// What stands under deploy/ is right as far as a machine can tell: the unit by systemd's own check, the compose file as
// YAML whose names lead somewhere, and every option in either is one that the command has.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { coordinatorCommand } from '../../main/cli/coordinator.ts';

const deploy = path.resolve(import.meta.dirname, '../../deploy');
const read = (name: string): string => readFileSync(path.join(deploy, name), 'utf8');

function requireOptions(text: string): void {
  const named = [...text.matchAll(/(?:^|[\s"'-])--([a-z][a-z0-9-]*)/gm)].map((match) => match[1]!);
  assert.ok(named.length > 5);
  for (const name of named) assert.ok(Object.hasOwn(coordinatorCommand.options, name), `there is no option --${name}`);
}

test('the systemd unit passes systemd’s check, and its options exist', (t) => {
  const unit = read('systemd/consilience-coordinator.service');
  requireOptions(unit.slice(unit.indexOf('ExecStart='), unit.indexOf('# SIGTERM')));
  for (const line of unit.split('\n'))
    assert.match(line, /^(?:#.*|\[\w+\]|[A-Z]\w+=.*|\s+--.*|)$/, `a line that is no directive: ${line}`);
  if (spawnSync('systemd-analyze', ['--version']).status !== 0) return t.skip('systemd-analyze is not installed');
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-unit-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'consilience-coordinator.service');
  writeFileSync(file, unit);
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
  const own = stderr.split('\n').filter((line) => line.includes('consilience-coordinator.service'));
  assert.deepEqual([status === 0 || own.length === 0, own], [true, []], stderr);
});

type Compose = {
  readonly services: {
    readonly [name: string]: {
      readonly image?: string;
      readonly build?: { readonly context: string; readonly dockerfile: string };
      readonly command?: readonly string[];
      readonly secrets?: readonly string[];
      readonly volumes?: readonly string[];
      readonly depends_on?: readonly string[] | { readonly [name: string]: unknown };
    };
  };
  readonly volumes: { readonly [name: string]: unknown };
  readonly secrets: { readonly [name: string]: { readonly file: string } };
};

test('the compose file is YAML, its names lead somewhere, and its options exist', () => {
  // js-yaml comes with a tool that this project builds with; no test may depend on a network.
  const yaml = createRequire(import.meta.url)('js-yaml') as { load(text: string): unknown };
  const { services, volumes, secrets } = yaml.load(read('compose/compose.yaml')) as Compose;
  const used = new Set<string>();
  for (const [name, service] of Object.entries(services)) {
    assert.ok((service.image === undefined) !== (service.build === undefined), `${name} is an image or is built`);
    for (const secret of service.secrets ?? []) {
      assert.ok(Object.hasOwn(secrets, secret), `${name} uses the secret ${secret}`);
      used.add(secret);
    }
    for (const volume of service.volumes ?? []) {
      const [from] = volume.split(':');
      assert.ok(from!.startsWith('./') || Object.hasOwn(volumes, from!), `${name} uses the volume ${from}`);
    }
    const others = Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on ?? {});
    for (const other of others as string[]) assert.ok(Object.hasOwn(services, other), `${name} waits for ${other}`);
  }
  assert.deepEqual([...used].sort(), Object.keys(secrets).sort(), 'every secret is used');
  const { build, command } = services['coordinator']!;
  const context = path.resolve(deploy, 'compose', build!.context);
  assert.match(readFileSync(path.join(context, build!.dockerfile), 'utf8'), /^FROM node:24/m);
  requireOptions(command!.join('\n'));
  const mounted = command!.filter((word) => word.includes('/run/secrets/')).map((word) => word.split('/').at(-1)!);
  for (const secret of mounted) assert.ok(services['coordinator']!.secrets!.includes(secret), `${secret} is mounted`);
});
