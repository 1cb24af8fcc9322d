// The client against servers that misbehave: away, busy, cutting, strangers, wrong certificates. And resuming uploads.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { toHex } from '../../../../app/encoding/bytes.ts';
import { canonicalJson } from '../../../../app/encoding/canonical-json.ts';
import { signerFromSeed } from '../../../../app/encoding/signature.ts';
import { signMessage } from '../../../../app/round/messages.ts';
import { contextOf } from '../../../../app/round/parameters.ts';
import { pieceBytes } from '../../../../app/round/request.ts';
import { connectCoordinator, fetchSignedContract } from '../../../../main/host/connection/coordinator-client.ts';
import type { CoordinatorClient } from '../../../../main/host/connection/coordinator-client.ts';
import { nodeCipher, nodeMachine } from '../../../../main/host/machine.ts';
import { sampleStudy } from '../../../app/round/sample-study.ts';

const study = sampleStudy({ institutions: 3 });
const message = signMessage(nodeCipher, study.identities[0]!, contextOf(study.parameters, 7), 3, 0, {
  u1: '0'.repeat(64),
  u2: '0'.repeat(64),
  statement: '0'.repeat(64),
});
const patience = { attempts: 3, firstMs: 1, longestMs: 2 };

function clientOf(t: TestContext, address: string, patient = patience): CoordinatorClient {
  const client = connectCoordinator({
    machine: nodeMachine,
    parameters: study.parameters,
    index: 0,
    identity: study.identities[0]!,
    transport: signerFromSeed(nodeCipher, new Uint8Array(32).fill(5)),
    address,
    patience: patient,
  });
  t.after(() => client.close());
  return client;
}

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    if ('closeAllConnections' in server) (server as ReturnType<typeof createServer>).closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(t, createServer(listener))}`;
}

const problem = (code: string): string => canonicalJson({ code, detail: 'A sentence for the person.', status: 0 });

test('busy and cut connections are tried again, each time with a new nonce', async (t) => {
  const heads = new Set<string>();
  const address = await serve(t, (request, response) => {
    heads.add(String(request.headers['consilience-request']));
    if (heads.size === 1) return void request.socket.destroy();
    if (heads.size === 2) return void response.writeHead(503).end(problem('stopping'));
    response.end('bytes');
  });
  assert.equal(toHex(await clientOf(t, address).boxes(1)), toHex(Buffer.from('bytes')));
  assert.equal(heads.size, 3);
});

test('a connection that the coordinator closed while it was idle costs neither a try nor the way chunks travel', async (t) => {
  const heads: string[] = [];
  const paths: string[] = [];
  const used = new WeakSet<object>();
  const address = await serve(t, (request, response) => {
    // As where it was closed and this process had no time to notice: the second request on it meets a reset.
    if (used.has(request.socket)) return void request.socket.destroy();
    used.add(request.socket);
    heads.push(String(request.headers['consilience-request']));
    paths.push(request.url!);
    request.resume().on('end', () => response.end(canonicalJson({ received: [] })));
  });
  const client = clientOf(t, address, { ...patience, attempts: 1 });
  await client.upload(7, [new Uint8Array(2 * pieceBytes)]);
  await client.send(message);
  assert.deepEqual(paths, ['/v1/rounds/7/chunks', '/v1/rounds/7/chunks/0', '/v1/rounds/7/messages']);
  assert.equal(new Set(heads).size, 3);
});

test('a real server’s idle limit is outlived by a process that was busy meanwhile', async (t) => {
  // In a process of its own, so that it closes while this one is busy.
  const program = `const server = require('node:http').createServer((_, response) => response.end('bytes'));
    server.keepAliveTimeout = 2000; server.keepAliveTimeoutBuffer = 0;
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const [port] = (await once(createInterface(child.stdout), 'line')) as [string];
  const client = clientOf(t, `http://127.0.0.1:${port}`, { ...patience, attempts: 1 });
  await client.boxes(1);
  await new Promise((resolve) => setImmediate(resolve));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4000);
  await client.boxes(1);
});

test('patience ends in words: away, and busy for good', async (t) => {
  let asked = 0;
  const address = await serve(t, (_, response) => {
    asked += 1;
    response.writeHead(429).end(problem('too-many-requests'));
  });
  await assert.rejects(clientOf(t, address).boxes(1), { name: 'UnavailableError', code: 'too-many-requests' });
  assert.equal(asked, 3);
  const away = clientOf(t, 'http://127.0.0.1:1');
  await assert.rejects(away.boxes(1), { name: 'UnavailableError', code: 'coordinator-unreachable' });
});

test('a refusal is not tried again and keeps its code and sentence', async (t) => {
  let asked = 0;
  const address = await serve(t, (_, response) => {
    asked += 1;
    response.writeHead(409).end(problem('stage-over'));
  });
  await assert.rejects(clientOf(t, address).boxes(1), {
    name: 'RefusalError',
    code: 'stage-over',
    message: 'A sentence for the person.',
  });
  assert.equal(asked, 1);
});

test('what a coordinator says of its disk is not taken for this machine’s, and nothing it says commands a terminal', async (t) => {
  const address = await serve(t, (_, response) => {
    const detail = 'The disk\u001b[2J is full.';
    response.writeHead(503).end(canonicalJson({ code: 'disk-full', detail, status: 503 }));
  });
  const expected = { name: 'UnavailableError', code: 'coordinator-disk-full', message: 'The disk [2J is full.' };
  await assert.rejects(clientOf(t, address).consents(), expected);
});

test('a stranger’s answer is not taken for the coordinator’s', async (t) => {
  const address = await serve(t, (_, response) => response.writeHead(404).end('<html>not found</html>'));
  await assert.rejects(clientOf(t, address).broadcast(1, 0), { name: 'RefusalError', code: 'reply-unknown' });
  const other = await serve(t, (_, response) => response.end('{"cursor":"x"}'));
  await assert.rejects(clientOf(t, other).status(null, 0), { code: 'message-malformed' });
});

test('what is not there is null, not an error', async (t) => {
  const address = await serve(t, (_, response) => response.writeHead(404).end(problem('not-there')));
  assert.equal(await clientOf(t, address).broadcast(1, 4), null);
});

test('an upload sends only what is missing, and all of it once more when it was dropped', async (t) => {
  const chunks = [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)];
  const sent: string[] = [];
  let held = [0, 2];
  let drops = 1;
  const address = await serve(t, (request, response) => {
    if (request.method === 'GET') {
      const received = held.map((chunk) => ({ chunk, sha256: toHex(nodeCipher.sha256(chunks[chunk]!)) }));
      return void response.end(canonicalJson({ received }));
    }
    sent.push(request.url!);
    request.resume();
    if (drops-- > 0) {
      held = [];
      return void response.writeHead(409).end(problem('vector-off-root'));
    }
    response.end('{}');
  });
  await clientOf(t, `${address}/prefix/`).upload(7, chunks);
  assert.deepEqual(
    sent,
    [1, 0, 1, 2].map((chunk) => `/prefix/v1/rounds/7/chunks/${chunk}`),
  );
});

test('once the link has broken a chunk goes on in pieces, and none that is there is sent again', async (t) => {
  const chunk = Uint8Array.from({ length: 2 * pieceBytes + 5 }, (_, at) => at % 251);
  const sent: string[] = [];
  const lengths: number[] = [];
  const address = await serve(t, (request, response) => {
    if (request.method === 'GET')
      return void response.end(canonicalJson({ received: request.url!.endsWith('/pieces') ? [0] : [] }));
    sent.push(request.url!);
    // The first time it might have been an idle connection that was closed; the second time it is the link.
    if (sent.length <= 2) return void request.socket.destroy();
    let length = 0;
    request.on('data', (part: Buffer) => (length += part.length));
    request.on('end', () => {
      lengths.push(length);
      response.end('{}');
    });
  });
  await clientOf(t, address).upload(7, [chunk]);
  const path = '/v1/rounds/7/chunks/0';
  assert.deepEqual(sent, [path, path, `${path}/pieces/1`, `${path}/pieces/2`]);
  assert.deepEqual(lengths, [pieceBytes, 5]);
});

test('a private certificate authority is believed where the study terms name it, and only there', async (t) => {
  if (spawnSync('openssl', ['version']).status !== 0) return t.skip('openssl is not installed');
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-tls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string): string => path.join(folder, name);
  const words = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test';
  const named = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', file('key.pem'), '-out', file('cert.pem')];
  const made = spawnSync('openssl', [...words.split(' '), ...named]);
  assert.equal(made.status, 0);
  const cert = readFileSync(file('cert.pem'), 'utf8');
  const server = createSecureServer({ cert, key: readFileSync(file('key.pem')) }, (_, response) => response.end('ok'));
  const port = await listen(t, server);
  const get = (host: string, authority: string | null) =>
    fetchSignedContract(nodeMachine, `https://${host}:${port}`, authority, patience);
  assert.equal(await get('127.0.0.1', cert), 'ok');
  await assert.rejects(get('127.0.0.1', null), { name: 'RefusalError', code: 'coordinator-certificate' });
  await assert.rejects(get('localhost', cert), { name: 'RefusalError', code: 'coordinator-certificate' });
});
