// The coordinator's HTTP server: fastify, loopback or TLS, every request but two signed and checked before its body is
// read. It trusts no caller and holds no secret but the coordinator's signing key. Design 6, "API".

import { fastify } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify';
import { InvariantError, RefusalError } from '../../app/errors.ts';
import { checkRequestBody } from '../../app/round/request.ts';
import { parseAddress } from '../../app/study/address.ts';
import { createAdmission, usualLimits } from './admission.ts';
import type { Admitted, Limits } from './admission.ts';
import { codeOf } from './engine.ts';
import type { Engine } from './engine.ts';
import type { RequestFacts } from './observation/metrics.ts';
import { NotThereError, problemBytes, problemFor, problemType } from './problems.ts';
import { addRoutes } from './routes.ts';

export type ServerOptions = {
  readonly engine: Engine;
  /** The signed contract's file, served as it is. */
  readonly contract: Uint8Array;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: { readonly certificate: Uint8Array; readonly key: Uint8Array };
  /** Plain HTTP beyond loopback is taken only from a proxy that ends TLS. */
  readonly behindProxy?: boolean;
  readonly limits?: Partial<Limits>;
  /** Is told of each request when its reply is sent. */
  readonly onRequest?: (facts: RequestFacts) => void;
  /** Is told of each address that is served. */
  readonly onRoute?: (method: string, path: string) => void;
};

export type RunningServer = {
  /** With scheme and port, without a path. */
  readonly address: string;
  close(): Promise<void>;
};

/** A request must have arrived whole after this, so that slow callers hold nothing. */
const requestMs = 60_000;

declare module 'fastify' {
  // oxlint-disable-next-line typescript/consistent-type-definitions
  interface FastifyContextConfig {
    /** Answered without a signature. */
    open?: boolean;
  }
}

/** @throws RefusalError `plain-http`, `address-in-use`, `address-unusable`. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { host, port, tls } = options;
  const written = host.includes(':') ? `[${host}]` : host;
  if (tls === undefined && options.behindProxy !== true && parseAddress(`http://${written}`)?.loopback !== true)
    throw new RefusalError(
      'plain-http',
      `Beyond this machine (${host}) the coordinator speaks HTTPS only. Give --tls-cert and --tls-key, or --behind-proxy where a proxy ends TLS.`,
    );
  const app = buildServer(options);
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    const busy = codeOf(error) === 'EADDRINUSE';
    throw new RefusalError(
      busy ? 'address-in-use' : 'address-unusable',
      busy ? `Port ${port} is in use by another program.` : `The coordinator cannot listen on ${host}, port ${port}.`,
      { cause: error },
    );
  }
  const bound = app.server.address();
  if (bound === null || typeof bound === 'string')
    throw new InvariantError('not-listening', 'The coordinator listens on no port.');
  return {
    address: `${tls === undefined ? 'http' : 'https'}://${written}:${bound.port}`,
    close: () => app.close(),
  };
}

function buildServer(options: ServerOptions): FastifyInstance {
  const { engine, tls } = options;
  const { cipher, clock, parameters, store } = engine.options;
  const limits = { ...usualLimits, ...options.limits };
  const log = engine.options.log ?? (() => undefined);
  const common = {
    bodyLimit: 0x1000,
    requestTimeout: requestMs,
    connectionTimeout: 2 * requestMs,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 20 },
  } as const;
  const app = (
    tls === undefined
      ? fastify(common)
      : fastify({ ...common, https: { cert: Buffer.from(tls.certificate), key: Buffer.from(tls.key) } })
  ) as FastifyInstance;
  const admission = createAdmission(cipher, clock, parameters, limits);
  const admitted = new WeakMap<FastifyRequest, Admitted>();

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body));

  app.addHook('onRequest', async (request) => {
    if (request.is404) throw new NotThereError('unknown-address', 'There is nothing at this address.');
    if (request.routeOptions.config.open === true) return;
    const { method, url: path, headers } = request;
    const caller = admission.admit({ method, path, headers });
    // Other replicas' nonces, and what they accepted before this request came.
    if (!(await store.firstUse(`${caller.index}/${caller.head.nonce}`, clock.now())))
      throw new RefusalError(
        'request-replayed',
        'The same signed request came twice; the second one was not carried out.',
      );
    await engine.fresh();
    admitted.set(request, caller);
  });
  app.addHook('preHandler', async (request) => {
    const caller = admitted.get(request);
    if (caller === undefined) return;
    const body = request.body instanceof Uint8Array ? request.body : null;
    checkRequestBody(cipher, caller.head, body);
  });

  app.addHook('onResponse', async (request, reply) => {
    const length = (value: unknown): number => Number(value ?? 0) || 0;
    options.onRequest?.({
      method: request.method,
      route: request.routeOptions.url ?? 'unknown',
      status: reply.statusCode,
      seconds: reply.elapsedTime / 1000,
      receivedBytes: length(request.headers['content-length']),
      sentBytes: length(reply.getHeader('content-length')),
    });
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
  app.setNotFoundHandler(async () => {
    throw new NotThereError('unknown-address', 'There is nothing at this address.');
  });

  app.addHook('onRoute', ({ method, url }) => options.onRoute?.(String(method), url));
  addRoutes(app, {
    engine,
    contract: options.contract,
    limits,
    callerOf(request) {
      const caller = admitted.get(request);
      if (caller === undefined)
        throw new InvariantError('caller-unknown', 'A signed address was reached without a checked signature.');
      return caller;
    },
  });
  return app;
}
