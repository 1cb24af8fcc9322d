// The command on PostgreSQL, from its options to its admin port; a study archived from there while it runs and restored
// into a file. And which options go together.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { signContract, signedContractText } from '../../../app/study/signed-contract.ts';
import { mostSkipped } from '../../../main/cli/coordinator-archive.ts';
import { coordinatorPlaces } from '../../../main/cli/coordinator-places.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';
import { postgresMissing, startPostgres } from '../coordinator/postgres-server.ts';

const entry = path.resolve(import.meta.dirname, '../../../main/cli/index.ts');
const env = { ...process.env, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' };

test('where events and vectors lie: what goes together, and no secret in an option', () => {
  const storage = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };
  assert.deepEqual(coordinatorPlaces({}, {}), { database: null, blobs: null });
  const objects = { store: 'postgres://u@h/d', blobs: 's3://bucket/some/prefix/', 's3-endpoint': 'https://s3.example' };
  assert.deepEqual(coordinatorPlaces(objects, storage), {
    database: 'postgres://u@h/d',
    blobs: {
      kind: 's3',
      endpoint: 'https://s3.example',
      region: 'us-east-1',
      bucket: 'bucket',
      prefix: 'some/prefix',
      accessKeyId: 'id',
      secretAccessKey: 'secret',
    },
  });
  for (const [options, said] of [
    [{ store: 'mysql://u@h/d', blobs: '/v' }, /postgres:\/\//],
    [{ store: 'postgres://u:pw@h/d', blobs: '/v' }, /PGPASSWORD/],
    [{ store: 'postgres://u@h/d' }, /give --blobs/],
    [{ ...objects, blobs: 's3://B/../x' }, /plain letters/],
    [{ ...objects, 's3-endpoint': 'ftp://x' }, /--s3-endpoint https/],
    [{ blobs: '/v', 's3-region': 'x' }, /go with --blobs s3/],
  ] as const)
    assert.throws(() => coordinatorPlaces(options, storage), { code: 'usage', message: said });
  assert.throws(() => coordinatorPlaces(objects, {}), { code: 'usage', message: /AWS_ACCESS_KEY_ID/ });
});

test('so many numbers may be passed over as can have been used since: the attempts, and one a second', () => {
  const written = Date.parse('2026-06-01T00:00:00.000Z');
  assert.equal(mostSkipped(8, written, written), 7);
  assert.equal(mostSkipped(8, written, written + 3_600_000), 3607);
  assert.equal(mostSkipped(8, written, written - 1), 7, 'a clock that was set back');
});

test('serves on PostgreSQL, is archived while it runs, and is restored into a file', async (t) => {
  const missing = postgresMissing();
  if (missing !== null) return t.skip(missing);
  const server = await startPostgres();
  t.after(() => server.stop());
  const database = await server.create('command');
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-command-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string): string => path.join(folder, name);
  writeFileSync(at('credential'), 'a credential that is long enough\n', { mode: 0o600 });
  const run = (...args: string[]) => {
    const { status, stdout } = spawnSync(process.execPath, [entry, 'coordinator', ...args, '--json'], {
      encoding: 'utf8',
      env,
    });
    return { status, said: JSON.parse(stdout) as { readonly [name: string]: unknown } };
  };
  const keys = ['--home', at('home'), '--credential-file', at('credential')];
  const { key } = run('key', ...keys).said as { key: string };
  const sample = sampleStudy({
    institutions: 3,
    change: (contract) => ({ ...contract, coordinator: { ...contract.coordinator, key } }),
  });
  writeFileSync(at('study.json'), signedContractText(signContract(nodeCipher, sample.lead, sample.contract)));
  const study = ['--study', at('study.json')];
  const places = ['--store', database, '--blobs', at('vectors')];
  const child = spawn(
    process.execPath,
    [entry, 'coordinator', '--json', ...study, ...keys, ...places, '--admin-port', '0'],
    { env, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.after(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { address, admin } = JSON.parse(line) as { address: string; admin: string };
  assert.equal((await fetch(`${address}/v1/health`)).status, 200);
  assert.match(await (await fetch(`${admin}/metrics`)).text(), /^consilience_store_up\{.*\} 1$/m);

  const archived = run('archive', ...study, ...keys, ...places, '--out', at('archive'));
  assert.deepEqual([archived.status, archived.said['files']], [0, 3]);
  const restore = ['restore', ...study, '--home', at('other'), '--from', at('archive')];
  const tooFar = run(...restore, '--rounds-since', '99999');
  assert.equal((tooFar.said['error'] as { code: string }).code, 'rounds-since-too-large');
  const restored = run(...restore);
  assert.deepEqual([restored.status, restored.said['skippedRounds'], restored.said['newestClosed']], [0, 7, 0]);

  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});
