// The coordinator's HTTP server: fastify, loopback or TLS, every request but two signed and checked before its body is
// read. It trusts no caller and holds no secret but the coordinator's signing key. Design 6, "API".

import type { FastifyInstance } from 'fastify';
import { RefusalError } from '../../app/errors.ts';
import { createAdmission, usualLimits } from './admission.ts';
import type { Limits } from './admission.ts';
import type { Engine } from './engine.ts';
import type { RequestFacts } from './observation/meters.ts';
import { NotThereError } from './problems.ts';
import { addRoutes } from './routes.ts';
import { factsOf, listen, requestMs, requireEncrypted, signedHttp } from './signed-http.ts';
import type { ListeningPlace } from './signed-http.ts';

export type ServerOptions = ListeningPlace & {
  readonly engine: Engine;
  /** The signed contract's file, served as it is. */
  readonly contract: Uint8Array;
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

declare module 'fastify' {
  // oxlint-disable-next-line typescript/consistent-type-definitions
  interface FastifyContextConfig {
    /** Answered without a signature. */
    open?: boolean;
  }
}

/** @throws RefusalError `plain-http`, `address-in-use`, `address-unusable`. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  requireEncrypted('coordinator', options);
  const app = buildServer(options);
  return { address: await listen(app, 'coordinator', options), close: () => app.close() };
}

function buildServer(options: ServerOptions): FastifyInstance {
  const { engine, tls } = options;
  const { cipher, clock, parameters, store } = engine.options;
  const limits = { ...usualLimits, ...options.limits };
  const { app, callerOf } = signedHttp({
    cipher,
    admission: createAdmission(cipher, clock, parameters, limits),
    tls,
    bodyLimit: 0x1000,
    silentMs: 2 * requestMs,
    isOpen(request) {
      if (request.is404) throw new NotThereError('unknown-address', 'There is nothing at this address.');
      return request.routeOptions.config.open === true;
    },
    async admitted(caller) {
      // Other replicas' nonces, and what they accepted before this request came.
      if (!(await store.firstUse(`${caller.index}/${caller.head.nonce}`, clock.now())))
        throw new RefusalError(
          'request-replayed',
          'The same signed request came twice; the second one was not carried out.',
        );
      await engine.fresh();
    },
    log: engine.options.log ?? (() => undefined),
  });

  app.addHook('onResponse', async (request, reply) => options.onRequest?.(factsOf(request, reply)));

  app.setNotFoundHandler(async () => {
    throw new NotThereError('unknown-address', 'There is nothing at this address.');
  });

  app.addHook('onRoute', ({ method, url }) => options.onRoute?.(String(method), url));
  addRoutes(app, {
    engine,
    contract: options.contract,
    limits,
    callerOf,
  });
  return app;
}
