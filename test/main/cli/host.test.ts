// `consilience host`: without a window, told to stop by its owner or, where it may be, by a window; what it refuses reaches
// whoever started it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { attachToHost, socketPath } from '../../../main/host/bridge/socket.ts';
import { hostMessageSchema } from '../../../main/host/bridge/message.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const session = { id: 'a person', role: 'steward', signIn: 'test' } as const;
let folder: string;
let credential: string;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'consilience-host-'));
  credential = path.join(folder, 'credential');
  await writeFile(credential, 'a credential of enough characters\n', { mode: 0o600 });
});
after(() => rm(folder, { recursive: true, force: true }));

type StartedHost = { readonly child: ChildProcess; readonly told: unknown; readonly ended: Promise<number | null> };

/** With a channel, as the desktop app starts it. */
async function startHost(...options: readonly string[]): Promise<StartedHost> {
  const child = spawn(process.execPath, ['main/cli/index.ts', 'host', ...options], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  const [told] = (await Promise.race([once(child, 'message'), ended.then(() => [null])])) as [unknown];
  return { child, told, ended };
}

const running = new Set<ChildProcess>();
after(() => {
  for (const child of running) child.kill('SIGKILL');
});

test('a stoppable host tells its starter that it is ready, then ends when a window says so', async () => {
  const home = path.join(folder, 'stoppable');
  const { child, told, ended } = await startHost('--stoppable', '--home', home, '--credential-file', credential);
  assert.deepEqual(hostMessageSchema.parse(told), { state: 'ready' });
  await once(child, 'disconnect');
  const connection = await attachToHost(socketPath(home), session);
  const gone = new Promise<void>((done) => connection.onClose(done));
  assert.deepEqual(await connection.call('host.stop', {}), { ok: true, value: {} });
  await gone;
  assert.equal(await ended, 0);
  assert.ok(!existsSync(socketPath(home)), 'nobody could attach to what it left');
});

test('a host that its owner started is not ended by a window; a second one for the home is refused', async () => {
  const home = path.join(folder, 'owned');
  const { child, told, ended } = await startHost('--home', home, '--credential-file', credential);
  assert.deepEqual(hostMessageSchema.parse(told), { state: 'ready' });
  const connection = await attachToHost(socketPath(home), session);
  const reply = await connection.call('host.stop', {});
  assert.equal(reply.ok ? null : reply.error.code, 'host-not-stoppable');
  assert.ok((await connection.call('session.get', {})).ok);
  const auditor = await attachToHost(socketPath(home), { ...session, role: 'auditor' });
  const other = await auditor.call('host.stop', {});
  assert.equal(other.ok ? null : other.error.code, 'role-not-allowed');
  const second = await startHost('--home', home, '--credential-file', credential);
  const refused = hostMessageSchema.parse(second.told);
  assert.equal(refused.state === 'refused' ? refused.error.code : null, 'in-use');
  assert.equal(await second.ended, 1);
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
});

test('a demonstration takes no credential of somebody else, in the host or the app, and makes nothing', async () => {
  const home = path.join(folder, 'two-credentials');
  const options = ['--demo', '--home', home, '--credential-file', credential];
  const { told, ended } = await startHost(...options);
  const refused = hostMessageSchema.parse(told);
  assert.equal(refused.state === 'refused' ? refused.error.code : null, 'demonstration-credential');
  assert.equal(await ended, 1);
  const app = spawn(process.execPath, ['main/cli/index.ts', 'app', '--loopback', '--no-open', ...options], {
    cwd: root,
  });
  let said = '';
  app.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(app, 'close')) as [number];
  assert.equal(code, 1);
  assert.match(said, /Leave out --credential-file, or --demo\./);
  assert.ok(!(await readdir(folder)).includes('two-credentials'));
});
