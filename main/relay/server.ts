// The relay's HTTP server: speaks to its members as the coordinator does. Chunks stay here; everything else goes to the
// root as it came, signature and all, so that a relay can change no word between a member and the root. Broadcasts and
// opened sums, which are the same for all, are fetched once. Design 6, "Scale-out in trees".

import { fastify } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { canonicalBytes } from '../../app/encoding/canonical-json.ts';
import { InputError, InvariantError, RefusalError } from '../../app/errors.ts';
import { decodeMessage } from '../../app/round/messages.ts';
import { certificateHeader, checkRequestBody, requestHeader } from '../../app/round/request.ts';
import { parseAddress } from '../../app/study/address.ts';
import { createAdmission, usualLimits } from '../coordinator/admission.ts';
import type { Admitted } from '../coordinator/admission.ts';
import { codeOf } from '../coordinator/engine.ts';
import { NotThereError, problemBytes, problemFor, problemType } from '../coordinator/problems.ts';
import { openExchange } from '../host/http-exchange.ts';
import type { Reply } from '../host/http-exchange.ts';
import type { Relay } from './relay.ts';

export type RelayServerOptions = {
  readonly relay: Relay;
  /** Of the root. */
  readonly address: string;
  readonly certificateAuthority: string | null;
  readonly proxy: URL | null;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: { readonly certificate: Uint8Array; readonly key: Uint8Array };
  readonly behindProxy?: boolean;
};

export type RunningRelay = {
  readonly address: string;
  /** Bytes of chunks that members sent here, and of replies that came from the root. */
  readonly bytes: () => { readonly received: number; readonly fromRoot: number };
  close(): Promise<void>;
};

const requestMs = 60_000;
/** The root answers a waiting status call after 25 s at most. */
const forwardMs = 90_000;
const mostBodyBytes = 4 * 1024 * 1024;
const mostCachedBytes = 64 * 1024 * 1024;
const shared = /^\/v1\/rounds\/\d+\/(?:broadcasts\/\w+|sum\/\d+|regions(?:\/\d+\/chunks\/\d+)?)$/;
const open: ReadonlySet<string> = new Set(['/v1/health', '/v1/contract', '/v1/openapi.json']);
const octets = 'application/octet-stream';

/** @throws RefusalError `plain-http`, `address-in-use`, `address-unusable`. */
export async function startRelayServer(options: RelayServerOptions): Promise<RunningRelay> {
  const { relay, host, port, tls } = options;
  const { cipher, clock, parameters, region, log } = relay.options;
  const written = host.includes(':') ? `[${host}]` : host;
  if (tls === undefined && options.behindProxy !== true && parseAddress(`http://${written}`)?.loopback !== true)
    throw new RefusalError(
      'plain-http',
      `Beyond this machine (${host}) the relay speaks HTTPS only. Give --tls-cert and --tls-key, or --behind-proxy where a proxy ends TLS.`,
    );
  const common = {
    bodyLimit: mostBodyBytes,
    requestTimeout: requestMs,
    connectionTimeout: 2 * forwardMs,
    forceCloseConnections: true,
  } as const;
  const app = (
    tls === undefined
      ? fastify(common)
      : fastify({ ...common, https: { cert: Buffer.from(tls.certificate), key: Buffer.from(tls.key) } })
  ) as FastifyInstance;
  const exchange = openExchange(options.address, options.certificateAuthority, options.proxy);
  const admission = createAdmission(cipher, clock, parameters, usualLimits);
  const admitted = new WeakMap<FastifyRequest, Admitted>();
  const cache = createCache(mostCachedBytes);
  let received = 0;
  let fromRoot = 0;

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body));
  app.addHook('onRequest', async (request) => {
    const { method, url: path, headers } = request;
    if (method === 'GET' && open.has(path)) return;
    const caller = admission.admit({ method, path, headers });
    if (!region.members.includes(caller.index))
      throw new RefusalError('region-foreign-member', `This is the relay of region ${region.name}; dial your own.`);
    admitted.set(request, caller);
  });
  app.addHook('preHandler', async (request) => {
    const caller = admitted.get(request);
    if (caller === undefined) return;
    checkRequestBody(cipher, caller.head, request.body instanceof Uint8Array ? request.body : null);
  });
  app.setErrorHandler(async (error: FastifyError, _, reply) => {
    const problem = problemFor(error);
    if (problem.status >= 500) log({ event: 'request-failed', code: codeOf(error), status: problem.status });
    if (problem.status === 429 || problem.status === 503) reply.header('retry-after', '1');
    return reply
      .status(problem.status)
      .header('content-type', problemType)
      .send(Buffer.from(problemBytes(problem)));
  });

  const send = (reply: FastifyReply, type: string, bytes: Uint8Array): FastifyReply =>
    reply
      .header('content-type', type)
      .header('cache-control', 'no-store')
      .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  const done = (reply: FastifyReply): FastifyReply => send(reply, 'application/json', canonicalBytes({ cursor: 0 }));
  const callerOf = (request: FastifyRequest): number => {
    const caller = admitted.get(request);
    if (caller === undefined) throw new InvariantError('caller-unknown', 'A request passed unchecked.');
    return caller.index;
  };

  // ---- what stays here ----

  app.put('/v1/rounds/:round/chunks/:chunk', async (request, reply) => {
    const [round, chunk] = numbers(request, 'round', 'chunk');
    received += bodyOf(request).length;
    await relay.uploads.accept(round!, callerOf(request), chunk!, bodyOf(request));
    return done(reply);
  });
  app.put('/v1/rounds/:round/chunks/:chunk/pieces/:piece', async (request, reply) => {
    const [round, chunk, piece] = numbers(request, 'round', 'chunk', 'piece');
    received += bodyOf(request).length;
    await relay.uploads.acceptPiece(round!, callerOf(request), chunk!, piece!, bodyOf(request));
    return done(reply);
  });
  app.get('/v1/rounds/:round/chunks/:chunk/pieces', async (request, reply) => {
    const [round, chunk] = numbers(request, 'round', 'chunk');
    const there = await relay.uploads.receivedPieces(round!, callerOf(request), chunk!);
    return send(reply, 'application/json', canonicalBytes({ received: there }));
  });
  app.get('/v1/rounds/:round/chunks', async (request, reply) => {
    const [round] = numbers(request, 'round');
    const rows = await relay.uploads.received(round!, callerOf(request));
    const there = rows.map(({ chunk, sha256 }) => ({ chunk, sha256 }));
    return send(reply, 'application/json', canonicalBytes({ received: there }));
  });
  app.get('/v1/rounds/:round/vectors/:index/chunks/:chunk', async (request, reply) => {
    const [round, index, chunk] = numbers(request, 'round', 'index', 'chunk');
    if (!region.members.includes(index!)) throw new NotThereError('not-there', 'That is no member of this region.');
    const bytes = await relay.masked(round!, index!, chunk!);
    if (bytes === null) throw new NotThereError('not-there', 'The relay has no such chunk, or not yet.');
    return send(reply, octets, bytes);
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
    if (known !== undefined) return send(reply, octets, known);
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
    send(reply.status(status), status < 300 ? octets : problemType, bytes);

  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    const busy = codeOf(error) === 'EADDRINUSE';
    throw new RefusalError(
      busy ? 'address-in-use' : 'address-unusable',
      busy ? `Port ${port} is in use by another program.` : `The relay cannot listen on ${host}, port ${port}.`,
      { cause: error },
    );
  }
  const bound = app.server.address();
  if (bound === null || typeof bound === 'string') throw new InvariantError('not-listening', 'No port.');
  return {
    address: `${tls === undefined ? 'http' : 'https'}://${written}:${bound.port}`,
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

function bodyOf(request: FastifyRequest): Uint8Array {
  if (!(request.body instanceof Uint8Array)) throw new InputError('body-missing', 'The request came without its body.');
  return new Uint8Array(request.body.buffer, request.body.byteOffset, request.body.length);
}

function numbers(request: FastifyRequest, ...names: readonly string[]): number[] {
  const values = request.params as { readonly [name: string]: string | undefined };
  return names.map((name) => {
    const value = /^(?:0|[1-9][0-9]{0,15})$/.test(values[name] ?? '') ? Number(values[name]) : Number.NaN;
    if (!Number.isSafeInteger(value))
      throw new InputError('number-malformed', `The number "${name}" in the address must be a whole number.`);
    return value;
  });
}
