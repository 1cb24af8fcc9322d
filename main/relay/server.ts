// The relay's HTTP server: speaks to its members as the coordinator does. Chunks stay here; everything else goes to the
// root as it came, signature and all, so that a relay can change no word between a member and the root. Broadcasts and
// opened sums, which are the same for all, are fetched once. Design 6, "Scale-out in trees".

import type { FastifyReply, FastifyRequest } from 'fastify';
import { canonicalBytes } from '../../app/encoding/canonical-json.ts';
import { RefusalError } from '../../app/errors.ts';
import { decodeMessage } from '../../app/round/messages.ts';
import { certificateHeader, requestHeader } from '../../app/round/request.ts';
import { createAdmission, usualLimits } from '../coordinator/admission.ts';
import { NotThereError, problemType } from '../coordinator/problems.ts';
import type { RequestFacts } from '../coordinator/observation/meters.ts';
import {
  bodyOf,
  factsOf,
  jsonType,
  listen,
  numberFrom,
  octetsType,
  requireEncrypted,
  send,
  signedHttp,
} from '../coordinator/signed-http.ts';
import type { ListeningPlace } from '../coordinator/signed-http.ts';
import { openExchange } from '../host/connection/http-exchange.ts';
import type { Reply } from '../host/connection/http-exchange.ts';
import type { Relay } from './relay.ts';

export type RelayServerOptions = ListeningPlace & {
  readonly relay: Relay;
  /** Of the root. */
  readonly address: string;
  readonly certificateAuthority: string | null;
  readonly proxy: URL | null;
  /** Is told of each request when its reply is sent. */
  readonly onRequest?: (facts: RequestFacts) => void;
};

export type RunningRelay = {
  readonly address: string;
  /** Bytes of chunks that members sent here, and of replies that came from the root. */
  readonly bytes: () => { readonly received: number; readonly fromRoot: number };
  close(): Promise<void>;
};

/** The root answers a waiting status call after 25 s at most. */
const forwardMs = 90_000;
const mostBodyBytes = 4 * 1024 * 1024;
const mostCachedBytes = 64 * 1024 * 1024;
const shared = /^\/v1\/rounds\/\d+\/(?:broadcasts\/\w+|sum\/\d+|regions(?:\/\d+\/chunks\/\d+)?)$/;
const open: ReadonlySet<string> = new Set(['/v1/health', '/v1/contract', '/v1/openapi.json']);

/** @throws RefusalError `plain-http`, `address-in-use`, `address-unusable`. */
export async function startRelayServer(options: RelayServerOptions): Promise<RunningRelay> {
  const { relay } = options;
  const { cipher, clock, parameters, region, log } = relay.options;
  requireEncrypted('relay', options);
  const { app, callerOf } = signedHttp({
    cipher,
    admission: createAdmission(cipher, clock, parameters, usualLimits),
    tls: options.tls,
    bodyLimit: mostBodyBytes,
    silentMs: 2 * forwardMs,
    isOpen: ({ method, url }) => method === 'GET' && open.has(url),
    admitted({ index }) {
      if (!region.members.includes(index))
        throw new RefusalError('region-foreign-member', `This is the relay of region ${region.name}; dial your own.`);
    },
    log,
  });
  const exchange = openExchange(options.address, options.certificateAuthority, options.proxy);
  const cache = createCache(mostCachedBytes);
  let received = 0;
  let fromRoot = 0;

  const done = (reply: FastifyReply): FastifyReply => send(reply, jsonType, canonicalBytes({ cursor: 0 }));

  app.addHook('onResponse', async (request, reply) => options.onRequest?.(factsOf(request, reply)));

  // ---- what stays here ----

  app.put('/v1/rounds/:round/chunks/:chunk', async (request, reply) => {
    const [round, chunk] = numbers(request, 'round', 'chunk');
    received += bodyOf(request).length;
    await relay.uploads.accept(round!, callerOf(request).index, chunk!, bodyOf(request));
    return done(reply);
  });
  app.put('/v1/rounds/:round/chunks/:chunk/pieces/:piece', async (request, reply) => {
    const [round, chunk, piece] = numbers(request, 'round', 'chunk', 'piece');
    received += bodyOf(request).length;
    await relay.uploads.acceptPiece(round!, callerOf(request).index, chunk!, piece!, bodyOf(request));
    return done(reply);
  });
  app.get('/v1/rounds/:round/chunks/:chunk/pieces', async (request, reply) => {
    const [round, chunk] = numbers(request, 'round', 'chunk');
    const there = await relay.uploads.receivedPieces(round!, callerOf(request).index, chunk!);
    return send(reply, jsonType, canonicalBytes({ received: there }));
  });
  app.get('/v1/rounds/:round/chunks', async (request, reply) => {
    const [round] = numbers(request, 'round');
    const rows = await relay.uploads.received(round!, callerOf(request).index);
    const there = rows.map(({ chunk, sha256 }) => ({ chunk, sha256 }));
    return send(reply, jsonType, canonicalBytes({ received: there }));
  });
  app.get('/v1/rounds/:round/vectors/:index/chunks/:chunk', async (request, reply) => {
    const [round, index, chunk] = numbers(request, 'round', 'index', 'chunk');
    if (!region.members.includes(index!)) throw new NotThereError('not-there', 'That is no member of this region.');
    const bytes = await relay.masked(round!, index!, chunk!);
    if (bytes === null) throw new NotThereError('not-there', 'The relay has no such chunk, or not yet.');
    return send(reply, octetsType, bytes);
  });

  // ---- what passes ----

  app.post('/v1/rounds/:round/messages', async (request, reply) => {
    const passed = await pass(request);
    if (passed.status < 300) await relay.accepted(decodeMessage(bodyOf(request)));
    return answer(reply, passed);
  });
  app.setNotFoundHandler(async (request, reply) => {
    const { method, url: path, headers } = request;
    const cached = method === 'GET' && headers.range === undefined && shared.test(path);
    const known = cached ? cache.get(path) : undefined;
    if (known !== undefined) return send(reply, octetsType, known);
    const passed = await pass(request);
    if (cached && passed.status === 200) cache.set(path, passed.bytes);
    return answer(reply, passed);
  });

  async function pass(request: FastifyRequest): Promise<Reply> {
    const body = request.body instanceof Uint8Array ? bodyOf(request) : null;
    const kept = [certificateHeader, requestHeader, 'content-type', 'range'];
    const headers = Object.fromEntries(
      kept.flatMap((name) => (typeof request.headers[name] === 'string' ? [[name, request.headers[name]]] : [])),
    );
    const { method, url: path } = request;
    const passed = await exchange.send({ method, path, headers, body, timeoutMs: forwardMs, signal: null });
    fromRoot += passed.bytes.length;
    return passed;
  }

  const answer = (reply: FastifyReply, { status, bytes }: Reply): FastifyReply =>
    send(reply.status(status), status < 300 ? octetsType : problemType, bytes);

  return {
    address: await listen(app, 'relay', options),
    bytes: () => ({ received, fromRoot }),
    async close() {
      await app.close();
      exchange.close();
    },
  };
}

/** Replies that are the same for all and never change, the oldest forgotten first. */
function createCache(most: number) {
  const held = new Map<string, Uint8Array>();
  let total = 0;
  return {
    get: (path: string): Uint8Array | undefined => held.get(path),
    set(path: string, bytes: Uint8Array): void {
      if (bytes.length > most || held.has(path)) return;
      held.set(path, bytes);
      total += bytes.length;
      for (const [old, { length }] of held) {
        if (total <= most) break;
        held.delete(old);
        total -= length;
      }
    },
  };
}

function numbers(request: FastifyRequest, ...names: readonly string[]): number[] {
  const values = request.params as { readonly [name: string]: string | undefined };
  return names.map((name) => numberFrom(values, name));
}
