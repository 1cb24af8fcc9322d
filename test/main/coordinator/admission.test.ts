// Who is refused, with which problem document, and that nothing changes then: unsigned, wrong signer, replayed, stale,
// oversized, out of order, too fast; bad, conflicting and foreign chunks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { concat, fromHex, toHex, u32, utf8 } from '../../../app/encoding/bytes.ts';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import { encodeMessage, signMessage } from '../../../app/round/messages.ts';
import { contextOf } from '../../../app/round/parameters.ts';
import { certificateHeader, certifyTransportKey, requestHeader, signRequest } from '../../../app/round/request.ts';
import { signWithdrawal, signedWithdrawalText } from '../../../app/study/consent.ts';
import { startServer } from '../../../main/coordinator/server.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import {
  consentAll,
  consentText,
  dealt,
  everyone,
  expire,
  liveFederation,
  ready,
  seal,
  sealed,
  share,
} from './federation.ts';
import type { LiveFederation } from './federation.ts';

async function federationFor(t: TestContext, options: Parameters<typeof liveFederation>[0]): Promise<LiveFederation> {
  const fed = await liveFederation(options);
  t.after(() => fed.close());
  return fed;
}

type Raw = {
  readonly method?: 'GET' | 'POST' | 'PUT';
  readonly path?: string;
  readonly body?: Uint8Array | null;
  /** Changes between signing and sending. */
  readonly sent?: { readonly path?: string; readonly body?: Uint8Array };
  readonly certificate?: string;
  readonly time?: number;
  readonly nonce?: Uint8Array;
  readonly signer?: number;
};

/** A request as party 0, with one thing wrong. @returns status and problem code ("ok" for none). */
async function raw(fed: LiveFederation, request: Raw): Promise<string> {
  const { method = 'GET', path = '/v1/status', body = null } = request;
  const [party] = fed.parties;
  const signer = fed.parties[request.signer ?? 0]!.transport;
  const certificate =
    request.certificate ??
    certifyTransportKey(party!.participant.identity, fed.study.parameters, {
      index: 0,
      key: party!.transport.publicKey,
      notAfter: fed.clock.now + 1000,
    });
  const time = request.time ?? fed.clock.now;
  const nonce = request.nonce ?? fed.machine.random.bytes(16);
  const signed = signRequest(nodeCipher, signer, { method, path, body, time, nonce });
  const bytes = request.sent?.body ?? body;
  const response = await fetch(fed.server.address + (request.sent?.path ?? path), {
    method,
    headers: {
      [certificateHeader]: Buffer.from(certificate).toString('base64url'),
      [requestHeader]: Buffer.from(signed).toString('base64url'),
    },
    ...(bytes === null ? {} : { body: new Uint8Array(bytes) }),
  });
  if (response.ok) {
    await response.arrayBuffer();
    return 'ok';
  }
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
  const problem = (await response.json()) as { status: number; code: string; detail: string; type: string };
  assert.equal(problem.status, response.status);
  assert.equal(problem.type, 'about:blank');
  assert.match(problem.detail, /^[A-Z].{10,}\.$/s);
  return `${problem.status} ${problem.code}`;
}

test('a request is answered only with the right key, certificate, time, path, body, and once', async (t) => {
  const fed = await federationFor(t, { institutions: 3 });
  const { identities, parameters } = fed.study;
  const key = fed.parties[0]!.transport.publicKey;
  const notAfter = fed.clock.now + 1000;
  const certify = (who: number, index: number, until = notAfter): string =>
    certifyTransportKey(identities[who]!, parameters, { index, key, notAfter: until });
  const other = { ...parameters, study: new Uint8Array(32) };

  assert.equal(await raw(fed, {}), 'ok');
  assert.equal(await raw(fed, { signer: 1 }), '401 request-signature');
  assert.equal(await raw(fed, { certificate: certify(1, 0) }), '401 certificate-signature');
  assert.equal(await raw(fed, { certificate: certify(0, 7) }), '401 certificate-unknown');
  assert.equal(await raw(fed, { certificate: certify(0, 0, fed.clock.now) }), '401 certificate-expired');
  assert.equal(
    await raw(fed, { certificate: certifyTransportKey(identities[0]!, other, { index: 0, key, notAfter }) }),
    '401 certificate-other-study',
  );
  assert.equal(await raw(fed, { certificate: '{}' }), '401 certificate-invalid');
  assert.equal(await raw(fed, { time: fed.clock.now - 300_001 }), '401 request-stale');
  assert.equal(await raw(fed, { time: fed.clock.now + 300_001 }), '401 request-stale');
  assert.equal(await raw(fed, { time: fed.clock.now - 299_999 }), 'ok');
  assert.equal(await raw(fed, { sent: { path: '/v1/status?cursor=1' } }), '401 request-differs');
  const nonce = fed.machine.random.bytes(16);
  assert.equal(await raw(fed, { nonce }), 'ok');
  assert.equal(await raw(fed, { nonce }), '401 request-replayed');
  // Remembered for as long as it could be replayed: from five minutes ahead of the clock to five minutes behind it.
  // Ten minutes after the start, when the memory is about to turn over.
  fed.clock.now += 590_000;
  const early = fed.machine.random.bytes(16);
  const time = fed.clock.now + 299_000;
  const again = { nonce: early, time, certificate: certify(0, 0, notAfter + 3_600_000) };
  assert.equal(await raw(fed, again), 'ok');
  for (let minute = 0; minute < 9; minute++) {
    fed.clock.now += 60_000;
    await fed.parties[1]!.client.status(null, 0);
    assert.equal(await raw(fed, again), '401 request-replayed');
  }
  const unsigned = await fetch(`${fed.server.address}/v1/consents`);
  assert.equal(((await unsigned.json()) as { code: string }).code, 'certificate-invalid');
});

test('a body that is not the signed one, too large, missing or malformed changes nothing', async (t) => {
  const fed = await federationFor(t, { institutions: 3 });
  const consent = utf8(consentText(fed, 0));
  const post = { method: 'POST', path: '/v1/consents' } as const;
  assert.equal(
    await raw(fed, { ...post, body: consent, sent: { body: consent.slice(1) } }),
    '401 request-body-differs',
  );
  assert.equal(await raw(fed, { ...post, body: new Uint8Array(300_000) }), '413 body-too-large');
  assert.equal(await raw(fed, post), '400 body-missing');
  assert.equal(await raw(fed, { ...post, body: utf8('{') }), '400 not-json');
  assert.equal(await raw(fed, { ...post, body: utf8(consentText(fed, 1)) }), '403 wrong-sender');
  assert.equal(
    await raw(fed, { ...post, body: utf8(consentText(fed, 0, { expires: '2026-06-01T00:00:00.000Z' })) }),
    '409 consent-expired',
  );
  assert.equal(await raw(fed, { path: '/v1/nothing' }), '404 unknown-address');
  assert.equal(await raw(fed, { path: '/v1/closed' }), '400 number-malformed');
  assert.equal(await raw(fed, { path: '/v1/rounds/1/broadcasts/0' }), '404 not-there');
  assert.equal(await raw(fed, { path: '/v1/rounds/1/broadcasts/9' }), '404 not-there');
  assert.equal(await raw(fed, { path: '/v1/rounds/1/sum/0' }), '404 not-there');
  assert.equal(fed.engine.study().consented.size, 0);
  assert.equal(await raw(fed, { ...post, body: consent }), 'ok');
  assert.equal(await raw(fed, { ...post, body: consent }), 'ok');
  assert.deepEqual([...fed.engine.study().consented], [0]);
});

test('messages: the same again is fine, another one proves its sender false, another’s and another round’s are refused', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  const [first, second] = fed.parties;
  await consentAll(fed);
  await ready(fed, first!);
  const message = first!.state!.ready;
  await first!.client.send(message);
  await assert.rejects(second!.client.send(message), { code: 'wrong-sender' });
  const { identities, parameters } = fed.study;
  const different = signMessage(nodeCipher, identities[0]!, contextOf(parameters, 1), 0, 0, {
    ...message.body,
    head: 'ff'.repeat(32),
  });
  await first!.client.send(different);
  const kept = fed.engine.study().round!;
  assert.deepEqual(kept.readies.get(0), message, 'the first message stands');
  assert.deepEqual(
    kept.accusations.map(({ accused, reason }) => [accused, reason]),
    [[0, 'two-messages-for-one-stage']],
  );
  const forged = signMessage(nodeCipher, identities[2]!, contextOf(parameters, 1), 0, 1, message.body);
  await assert.rejects(second!.client.send(forged), { name: 'RefusalError' });
  const path = '/v1/rounds/2/messages';
  assert.equal(await raw(fed, { method: 'POST', path, body: encodeMessage(message) }), '400 old-round');
  assert.equal(fed.engine.study().round?.readies.size, 1);

  await everyone(fed, ready, [0]);
  const { shares, bundle } = await dealt(first!);
  const bytes = encodeMessage(shares!);
  const frame = (boxes: Uint8Array): Uint8Array => concat(u32(bytes.length), bytes, boxes);
  const put = { method: 'POST', path: '/v1/rounds/1/shares' } as const;
  assert.equal(await raw(fed, { ...put, body: frame(fromHex(bundle!).slice(0, -1)) }), '400 box-frame');
  assert.equal(await raw(fed, { ...put, body: new Uint8Array([0, 0, 9]) }), '400 shares-frame');
  assert.equal(await raw(fed, { ...put, path: '/v1/rounds/1/messages', body: bytes }), '400 wrong-stage');
  await expire(fed);
  assert.equal(await raw(fed, { ...put, body: frame(fromHex(bundle!)) }), '409 no-round-open');
});

test('chunks: right length and number, in their stage, never replaced, and on the signed root', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  const [first] = fed.parties;
  const { client } = first!;
  await consentAll(fed);
  await everyone(fed, ready);
  const chunk = new Uint8Array(4 * fed.study.parameters.dimension).fill(7);
  const put = (body: Uint8Array, path = '/v1/rounds/1/chunks/0') => raw(fed, { method: 'PUT', path, body });
  assert.equal(await put(chunk), '409 stage-over');
  await everyone(fed, share);
  assert.equal(await put(chunk.slice(4)), '400 chunk-length');
  assert.equal(await put(chunk, '/v1/rounds/1/chunks/1'), '400 chunk-unknown');
  assert.equal(await put(chunk, '/v1/rounds/2/chunks/0'), '409 old-round');
  assert.equal(await put(new Uint8Array(4 * 2 ** 20 + 1)), '413 body-too-large');
  const piece = '/v1/rounds/1/chunks/0/pieces';
  assert.equal(await put(chunk.slice(4), `${piece}/0`), '400 piece-length');
  assert.equal(await put(chunk, `${piece}/1`), '400 piece-unknown');
  assert.equal(await put(chunk, '/v1/rounds/1/chunks/1/pieces/0'), '400 chunk-unknown');
  assert.equal(await put(chunk, '/v1/rounds/2/chunks/0/pieces/0'), '409 old-round');
  assert.equal(await put(new Uint8Array(2 ** 18 + 1), `${piece}/0`), '413 body-too-large');
  assert.equal(await raw(fed, { path: piece }), 'ok');
  assert.deepEqual(await client.receivedChunks(1), []);

  // Before the signed root is there nothing can be held against it; when it comes, the wrong bytes go.
  assert.equal(await put(chunk), 'ok');
  assert.equal(await put(chunk), 'ok');
  assert.equal(await put(chunk.slice().fill(8)), '409 chunk-differs');
  assert.deepEqual(await client.receivedChunks(1), [{ chunk: 0, sha256: toHex(nodeCipher.sha256(chunk)) }]);
  const masked = await sealed(fed, first!);
  await client.send(masked);
  assert.deepEqual(await client.receivedChunks(1), []);
  assert.equal(await put(chunk), '409 vector-off-root');
  assert.equal(fed.engine.study().round?.masked.get(0)?.complete, false);
  await client.upload(1, first!.chunks);
  assert.equal(fed.engine.study().round?.masked.get(0)?.complete, true);
  await client.upload(1, first!.chunks);
  await assert.rejects(client.maskedChunk(1, 0, 0), { code: 'not-there' });
  await everyone(fed, seal, [0]);
  assert.equal(fed.engine.study().round?.stage, 'consistency');
});

test('withdrawal: only one’s own, takes effect at once, and consent cannot be given again', async (t) => {
  const fed = await federationFor(t, { institutions: 4 });
  await consentAll(fed);
  const withdrawal = signedWithdrawalText(
    signWithdrawal(nodeCipher, fed.study.identities[3]!, {
      format: 'consilience/withdrawal/1',
      contract: toHex(fed.study.parameters.study),
      institution: { index: 3, name: 'site-3' },
      dataset: 'data-3',
      reason: null,
      given: '2026-06-01T00:00:00.000Z',
    }),
  );
  await assert.rejects(fed.parties[2]!.client.sendWithdrawal(withdrawal), { code: 'wrong-sender' });
  await fed.parties[3]!.client.sendWithdrawal(withdrawal);
  const status = await fed.parties[3]!.client.status(null, 0);
  assert.deepEqual(status.withdrawn, [3]);
  assert.equal(status.round?.eligible, false);
  await assert.rejects(ready(fed, fed.parties[3]!), { code: 'not-eligible' });
});

test('too many requests of one member are put off; the others are still answered', async (t) => {
  const fed = await federationFor(t, { institutions: 3, limits: { perSecond: 1, burst: 3 } });
  for (let i = 0; i < 3; i++) assert.equal(await raw(fed, {}), 'ok');
  assert.equal(await raw(fed, {}), '429 too-many-requests');
  assert.equal((await fed.parties[1]!.client.status(null, 0)).closed, 0);
  fed.clock.now += 1000;
  assert.equal(await raw(fed, { certificate: certifyFor(fed) }), 'ok');
});

const certifyFor = (fed: LiveFederation): string =>
  certifyTransportKey(fed.study.identities[0]!, fed.study.parameters, {
    index: 0,
    key: signerFromSeed(nodeCipher, new Uint8Array(32).fill(0x70)).publicKey,
    notAfter: fed.clock.now + 1000,
  });

test('uploads wait for one of few places; where too many wait they are put off', async (t) => {
  const narrow = await federationFor(t, { institutions: 5, limits: { chunksAtOnce: 1 } });
  await consentAll(narrow);
  for (const stage of [ready, share, seal]) await everyone(narrow, stage);
  assert.equal(narrow.engine.study().round?.stage, 'consistency');
  const fed = await federationFor(t, { institutions: 3, limits: { chunksAtOnce: 0, chunksWaiting: 0 } });
  const body = new Uint8Array(4 * fed.study.parameters.dimension);
  assert.equal(await raw(fed, { method: 'PUT', path: '/v1/rounds/1/chunks/0', body }), '429 too-many-uploads');
});

test('beyond loopback plain HTTP is refused unless a proxy ends TLS', async (t) => {
  const fed = await federationFor(t, { institutions: 3 });
  const options = { engine: fed.engine, contract: new Uint8Array(0), host: '0.0.0.0', port: 0 };
  await assert.rejects(startServer(options), { code: 'plain-http' });
  const server = await startServer({ ...options, behindProxy: true });
  await server.close();
  const busy = Number(new URL(fed.server.address).port);
  await assert.rejects(startServer({ ...options, host: '127.0.0.1', port: busy }), { code: 'address-in-use' });
});
