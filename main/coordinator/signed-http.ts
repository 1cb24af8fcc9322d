// What the coordinator's and a relay's HTTP servers have in common: loopback or TLS, every request but the open ones signed
// and checked before its body is read, refusals as problem documents (RFC 9457), replies that nobody caches. Design 6, "API".

import { fastify } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { InputError, InvariantError, RefusalError } from '../../app/errors.ts';
import type { Cipher } from '../../app/ports.ts';
import { checkRequestBody } from '../../app/round/request.ts';
import { parseAddress } from '../../app/study/address.ts';
import type { Admission, Admitted } from './admission.ts';
import { codeOf } from './engine.ts';
import type { LogLine } from './engine.ts';
import type { RequestFacts } from './observation/meters.ts';
import { problemBytes, problemFor, problemType } from './problems.ts';

export type ListeningPlace = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: { readonly certificate: Uint8Array; readonly key: Uint8Array };
  /** Plain HTTP beyond loopback is taken only from a proxy that ends TLS. */
  readonly behindProxy?: boolean;
};

export type SignedHttpOptions = {
  readonly cipher: Cipher;
  readonly admission: Admission;
  readonly tls: ListeningPlace['tls'];
  /** Bytes, where an address does not say another limit. */
  readonly bodyLimit: number;
  /** How long a connection may be silent, ms. */
  readonly silentMs: number;
  readonly isOpen: (request: FastifyRequest) => boolean;
  /** What else is asked of a caller whose signature is right. @throws to refuse. */
  readonly admitted: (caller: Admitted) => Promise<void> | void;
  readonly log: (line: LogLine) => void;
};

export type SignedHttp = {
  readonly app: FastifyInstance;
  /** @throws InvariantError `caller-unknown` on an open address. */
  readonly callerOf: (request: FastifyRequest) => Admitted;
};

export const jsonType = 'application/json';
export const octetsType = 'application/octet-stream';

/** A request must have arrived whole after this, so that slow callers hold nothing. */
export const requestMs = 60_000;

export function signedHttp(options: SignedHttpOptions): SignedHttp {
  const { cipher, admission, tls, bodyLimit, silentMs, log } = options;
  const common = {
    bodyLimit,
    requestTimeout: requestMs,
    connectionTimeout: silentMs,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 20 },
  } as const;
  const app = (
    tls === undefined
      ? fastify(common)
      : fastify({ ...common, https: { cert: Buffer.from(tls.certificate), key: Buffer.from(tls.key) } })
  ) as FastifyInstance;
  const callers = new WeakMap<FastifyRequest, Admitted>();

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body));
  app.addHook('onRequest', async (request) => {
    if (options.isOpen(request)) return;
    const { method, url: path, headers } = request;
    const caller = admission.admit({ method, path, headers });
    await options.admitted(caller);
    callers.set(request, caller);
  });
  app.addHook('preHandler', async (request) => {
    const caller = callers.get(request);
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
  return {
    app,
    callerOf(request) {
      const caller = callers.get(request);
      if (caller === undefined)
        throw new InvariantError('caller-unknown', 'A signed address was reached without a checked signature.');
      return caller;
    },
  };
}

const written = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** Beyond this machine nothing is answered in the clear. `who`: "coordinator" or "relay". @throws RefusalError `plain-http`. */
export function requireEncrypted(who: string, { host, tls, behindProxy }: ListeningPlace): void {
  if (tls === undefined && behindProxy !== true && parseAddress(`http://${written(host)}`)?.loopback !== true)
    throw new RefusalError(
      'plain-http',
      `Beyond this machine (${host}) the ${who} speaks HTTPS only. Give --tls-cert and --tls-key, or --behind-proxy where a proxy ends TLS.`,
    );
}

/** @returns scheme, host and port. @throws RefusalError `address-in-use`, `address-unusable`; the server is closed then. */
export async function listen(app: FastifyInstance, who: string, { host, port, tls }: ListeningPlace): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    const busy = codeOf(error) === 'EADDRINUSE';
    throw new RefusalError(
      busy ? 'address-in-use' : 'address-unusable',
      busy ? `Port ${port} is in use by another program.` : `The ${who} cannot listen on ${host}, port ${port}.`,
      { cause: error },
    );
  }
  const bound = app.server.address();
  if (bound === null || typeof bound === 'string') throw new InvariantError('not-listening', 'No port.');
  return `${tls === undefined ? 'http' : 'https'}://${written(host)}:${bound.port}`;
}

/** What is measured of a request when its reply is sent. */
export function factsOf(request: FastifyRequest, reply: FastifyReply): RequestFacts {
  const length = (value: unknown): number => Number(value ?? 0) || 0;
  return {
    method: request.method,
    route: request.routeOptions.url ?? 'unknown',
    status: reply.statusCode,
    seconds: reply.elapsedTime / 1000,
    receivedBytes: length(request.headers['content-length']),
    sentBytes: length(reply.getHeader('content-length')),
  };
}

export const send = (reply: FastifyReply, type: string, bytes: Uint8Array): FastifyReply =>
  reply
    .header('content-type', type)
    .header('cache-control', 'no-store')
    .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));

/** @throws InputError `body-missing`. */
export function bodyOf(request: FastifyRequest): Uint8Array {
  if (!(request.body instanceof Uint8Array)) throw new InputError('body-missing', 'The request came without its body.');
  return new Uint8Array(request.body.buffer, request.body.byteOffset, request.body.length);
}

/** A whole number of an address, in its one canonical form. @throws InputError `number-malformed`. */
export function numberFrom(values: { readonly [name: string]: string | undefined }, name: string): number {
  const text = values[name];
  const value = text !== undefined && /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value))
    throw new InputError('number-malformed', `The number "${name}" in the address must be a whole number.`);
  return value;
}
