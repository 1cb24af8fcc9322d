// The contract and what stands in front of every handler: unknown names, malformed input, roles, output that does not
// follow its schema, defects without detail; then the same over the owner-only socket with several windows.

import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import { bridgeCalls, mostRequestLength, roles } from '../../../../app/bridge.ts';
import type { CallName, Handlers, Reply } from '../../../../app/bridge.ts';
import { RefusalError } from '../../../../app/errors.ts';
import { dispatcher } from '../../../../main/host/bridge/dispatch.ts';
import { attachToHost, socketPath } from '../../../../main/host/bridge/socket.ts';
import { openHost } from '../../../../main/host/bridge/host.ts';
import { auditor, bridgeOver, hostOptions, steward, valueOf, withHost } from './home.ts';

const names = Object.keys(bridgeCalls) as CallName[];

/** Handlers of which every one fails as told. */
const failing = (error: unknown): Handlers =>
  Object.fromEntries(names.map((name) => [name, () => Promise.reject(error)])) as unknown as Handlers;

const codeOf = (reply: Reply<unknown>): string => (reply.ok ? 'ok' : reply.error.code);

test('every call is a noun and a verb, may be made by somebody, and refuses what it does not know', () => {
  assert.ok(names.length >= 20);
  for (const name of names) {
    const { roles: allowed, input } = bridgeCalls[name];
    assert.match(name, /^[a-z]+\.[a-z]+$/);
    assert.ok(allowed.length > 0 && allowed.every((role) => roles.includes(role)), name);
    assert.equal(input.safeParse({ unexpected: 1 }).success, false, `${name} takes a field that nobody knows`);
    assert.equal(input.safeParse(null).success, false, name);
  }
});

test('an auditor may change nothing but an export, an administrator agrees to nothing', () => {
  const allowed = (role: (typeof roles)[number]) =>
    names.filter((name) => (bridgeCalls[name].roles as readonly string[]).includes(role));
  const writing =
    /^(?:demo\.start|demo\.open|invitation\.accept|consent\.|round\.pause|round\.resume|session\.ask|session\.approve|data\.check|data\.preview|data\.keep|data\.delete|exclusion\.add|file\.|study\.baseline)/;
  assert.deepEqual(
    allowed('auditor').filter((name) => writing.test(name)),
    [],
  );
  assert.deepEqual(
    allowed('administrator').filter((name) => writing.test(name)),
    [],
  );
  assert.ok(allowed('auditor').includes('audit.export'));
});

test('a request is refused by name, then by input, then by role, before any handler hears of it', async () => {
  const dispatch = dispatcher(failing(new RefusalError('reached', 'The handler was reached.')), () => {});
  const code = async (session: typeof steward, name: string, input: unknown) =>
    codeOf(await dispatch(session, name, input));
  for (const name of ['', 'nothing.here', 'constructor', '__proto__', 'toString'])
    assert.equal(await code(steward, name, {}), 'unknown-call');
  assert.equal(await code(steward, 'consent.give', { study: '../x' }), 'input-invalid');
  assert.equal(await code(auditor, 'consent.give', { study: '../x' }), 'input-invalid');
  assert.equal(await code(steward, 'study.review', { study: '../../etc' }), 'input-invalid');
  assert.equal(await code(steward, 'audit.list', { from: 0, count: 1e6, kinds: [] }), 'input-invalid');
  assert.equal(await code(auditor, 'consent.withdraw', { study: 'sample', reason: null }), 'role-not-allowed');
  assert.equal(await code(steward, 'consent.withdraw', { study: 'sample', reason: null }), 'reached');
});

test('a defect says nothing of itself to the window, and is heard of once', async () => {
  const heard: unknown[] = [];
  const defect = new Error('secret detail');
  const dispatch = dispatcher(failing(defect), (_name, error) => heard.push(error));
  const reply = await dispatch(steward, 'session.get', {});
  assert.ok(!reply.ok && reply.error.code === 'defect' && !reply.error.message.includes('secret'));
  assert.deepEqual(heard, [defect]);
});

test('an answer that is more than its schema does not leave the host', async () => {
  const heard: unknown[] = [];
  const leaking = Object.fromEntries(names.map((name) => [name, () => Promise.resolve({ key: 'x' })]));
  const dispatch = dispatcher(leaking as unknown as Handlers, (_name, error) => heard.push(error));
  assert.equal(codeOf(await dispatch(steward, 'round.pause', { study: 'sample' })), 'output-invalid');
  assert.equal(heard.length, 1);
});

test('several windows attach to one host through its socket, each in its own role', async () => {
  await withHost(null, {}, async (_host, home) => {
    const one = await attachToHost(socketPath(home), steward);
    const two = await attachToHost(socketPath(home), auditor);
    assert.equal(valueOf(await bridgeOver(one).call('session.get', {})).role, 'steward');
    const session = valueOf(await bridgeOver(two).call('session.get', {}));
    assert.deepEqual([session.role, session.id, session.institution], ['auditor', 'grace', null]);
    assert.equal(valueOf(await bridgeOver(one).call('system.get', {})).windows, 2);
    one.close();
    assert.equal(codeOf(await two.call('round.pause', { study: 'sample' })), 'role-not-allowed');
    assert.equal(codeOf(await two.call('audit.export', {})), 'ledger-empty');
    two.close();
  });
});

test(
  'the socket is its owner’s alone, and there is one host for a home',
  { skip: process.platform === 'win32' },
  async () => {
    await withHost(null, {}, async (host, home) => {
      assert.equal(statSync(host.socket).mode & 0o777, 0o600);
      await assert.rejects(openHost(hostOptions(home)), { code: 'in-use' });
    });
  },
);

test('a window is told when the host ends, and its calls are answered', async () => {
  let closed = false;
  let connection: Awaited<ReturnType<typeof attachToHost>> | null = null;
  await withHost(null, {}, async (_host, home) => {
    connection = await attachToHost(socketPath(home), steward);
    connection.onClose(() => (closed = true));
    await connection.call('session.get', {});
  });
  assert.equal(codeOf(await connection!.call('session.get', {})), 'host-gone');
  assert.ok(closed);
  await assert.rejects(attachToHost('/nonexistent/host.sock', steward), { code: 'no-host' });
});

test('the socket hangs up on whoever does not say who they are, talks nonsense or too long', async () => {
  await withHost(null, {}, async (host) => {
    const hello = `${JSON.stringify({ hello: steward })}\n`;
    for (const text of [
      '{"id":1,"name":"session.get","input":{}}\n',
      '{"hello":{"id":"x","role":"root","signIn":"x"}}\n',
      `${hello}not json\n`,
      `${hello}${JSON.stringify({ id: 1, name: 'session.get', input: {}, more: 1 })}\n`,
      `${hello}${'x'.repeat(mostRequestLength + 10)}`,
    ]) {
      const socket = createConnection(host.socket);
      socket.on('error', () => {});
      socket.resume();
      socket.write(text);
      await once(socket, 'close');
    }
    const good = await attachToHost(host.socket, steward);
    assert.ok((await good.call('session.get', {})).ok);
    good.close();
  });
});
