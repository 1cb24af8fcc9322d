// Through an HTTP CONNECT proxy: which one is taken, TLS end to end inside it, and what is said when it asks for a password.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fetchSignedContract } from '../../../../main/host/connection/coordinator-client.ts';
import { nodeMachine } from '../../../../main/host/machine.ts';
import { proxyFor } from '../../../../main/host/connection/proxy.ts';
import { startConnectProxy } from './connect-proxy.ts';

const patience = { attempts: 1, firstMs: 1, longestMs: 1 };

test('which proxy: the policy’s before the environment’s, none on this machine, exceptions by name and below it', () => {
  const coordinator = new URL('https://study.example.org:8440');
  const policy = {
    proxy: { address: 'http://proxy.hospital:3128', except: ['intern.example.org', '*.clinic.example'] },
  };
  const environment = { HTTPS_PROXY: 'http://name:pass%20word@other:8080', NO_PROXY: 'example.net, .example.com:443' };
  const taken = (to: string, own: typeof policy | null, said: Record<string, string> = environment): string | null =>
    proxyFor(new URL(to), own, said)?.href ?? null;
  assert.equal(proxyFor(coordinator, policy, environment)?.host, 'proxy.hospital:3128');
  assert.equal(taken('https://a.intern.example.org', policy), null);
  assert.equal(taken('https://x.clinic.example', policy), null);
  assert.equal(taken('https://notclinic.example', policy), 'http://proxy.hospital:3128/');
  assert.equal(taken(coordinator.href, null), 'http://name:pass%20word@other:8080/');
  assert.equal(taken('https://sub.example.net', null), null);
  assert.equal(taken('https://example.com', null), null);
  assert.equal(taken('https://badexample.com', null), 'http://name:pass%20word@other:8080/');
  assert.equal(taken('http://study.example.org', null), null);
  assert.equal(taken('http://study.example.org', null, { all_proxy: 'proxy:1' }), 'http://proxy:1/');
  assert.equal(taken('https://study.example.org', null, { https_proxy: 'a:1', HTTPS_PROXY: 'b:1' }), 'http://a:1/');
  assert.equal(taken('https://study.example.org', null, { HTTPS_PROXY: 'a:1', no_proxy: '*' }), null);
  for (const own of ['http://127.0.0.1:8440', 'https://localhost', 'http://[::1]:1'])
    assert.equal(taken(own, policy), null);
  assert.throws(
    () => proxyFor(coordinator, null, { HTTPS_PROXY: 'socks5://secret@host' }),
    (error: Error) => {
      assert.match(error.message, /http:\/\/NAME:PASSWORD@HOST:PORT/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
});

test('a tunnel with a password: the certificate is the coordinator’s own; a wrong password is said as that', async (t) => {
  if (spawnSync('openssl', ['version']).status !== 0) return t.skip('openssl is not installed');
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-proxy-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const words = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -batch';
  const files = ['-addext', 'subjectAltName=DNS:study.example.org', '-keyout', 'key.pem', '-out', 'cert.pem'];
  assert.equal(spawnSync('openssl', [...words.split(' '), ...files], { cwd: folder }).status, 0);
  const cert = readFileSync(path.join(folder, 'cert.pem'), 'utf8');
  const key = readFileSync(path.join(folder, 'key.pem'));
  const server = createSecureServer({ cert, key }, (request, response) => response.end(request.headers.host));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const proxy = await startConnectProxy('site', 'p@ss:word', (server.address() as AddressInfo).port);
  t.after(() => proxy.close());
  const get = (userinfo: string | undefined, authority: string | null = cert) =>
    fetchSignedContract(
      nodeMachine,
      'https://study.example.org',
      authority,
      patience,
      new URL(proxy.address(userinfo)),
    );
  assert.equal(await get('site:p%40ss%3Aword'), 'study.example.org');
  assert.deepEqual(proxy.tunnels, ['study.example.org:443']);
  for (const userinfo of ['site:wrong', undefined])
    await assert.rejects(get(userinfo), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'proxy-refused');
      assert.doesNotMatch(error.message, /wrong/);
      return true;
    });
  // Trusted is the coordinator's certificate authority, not whatever the proxy would show.
  await assert.rejects(get('site:p%40ss%3Aword', null), { code: 'coordinator-certificate' });
  await proxy.close();
  await assert.rejects(get('site:p%40ss%3Aword'), { code: 'coordinator-unreachable', message: /through the proxy/ });
});
