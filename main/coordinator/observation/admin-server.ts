// A second, small server for whoever runs a coordinator or a relay: /metrics for Prometheus, /health for probes and a page for
// people. It is bound apart from the study's address and says nothing that participants could not know; still it is for
// the operator's network only.

import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RefusalError } from '../../../app/errors.ts';
import type { Engine, LogLine } from '../engine.ts';
import { codeOf } from '../engine.ts';
import type { Metrics } from './metrics.ts';

export type AdminServer = { readonly address: string; close(): Promise<void> };

/** Where the study stands, as the watched server knows it. */
export type WatchedState = {
  readonly round: number | null;
  readonly stage: string | null;
  readonly closedRounds: number;
  readonly outcome: string | null;
  /** A relay's: whether the coordinator answers it. */
  readonly rootAnswers?: boolean;
};

export type Watched = {
  readonly name: 'Coordinator' | 'Relay';
  readonly state: () => WatchedState;
  /** Throws where the store does not answer. */
  readonly check: () => Promise<void>;
  readonly log: (line: LogLine) => void;
};

export function watchedEngine(engine: Engine): Watched {
  return {
    name: 'Coordinator',
    state() {
      const { round, closed, outcome } = engine.study();
      return { round: round?.round ?? null, stage: round?.stage ?? null, closedRounds: closed.length, outcome };
    },
    check: () => engine.options.store.check(),
    log: (line) => engine.options.log?.(line),
  };
}

type Health = {
  readonly status: 'ok' | 'failing';
  readonly study: string;
  readonly store: 'ok' | 'failing';
  readonly round: number | null;
  readonly stage: string | null;
  readonly closedRounds: number;
  readonly outcome: string | null;
  readonly root?: 'ok' | 'failing';
};

/** @throws RefusalError `address-unusable`. */
export async function startAdminServer(options: {
  readonly watched: Watched;
  readonly metrics: Pick<Metrics, 'storeAnswers' | 'text' | 'contentType'>;
  readonly study: string;
  readonly host: string;
  readonly port: number;
}): Promise<AdminServer> {
  const { watched, metrics, study, host, port } = options;

  async function health(): Promise<Health> {
    const answers = await watched.check().then(
      () => true,
      () => false,
    );
    metrics.storeAnswers(answers);
    const { rootAnswers, ...state } = watched.state();
    return {
      status: answers ? 'ok' : 'failing',
      study,
      store: answers ? 'ok' : 'failing',
      ...state,
      ...(rootAnswers === undefined ? {} : { root: rootAnswers ? 'ok' : 'failing' }),
    };
  }

  async function answer(method: string, path: string, response: ServerResponse): Promise<void> {
    const say = (status: number, type: string, text: string): void => {
      response
        .writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
        .end(method === 'HEAD' ? '' : text);
    };
    if (method !== 'GET' && method !== 'HEAD') return say(405, 'text/plain', 'Only GET is answered here.\n');
    if (path !== '/' && path !== '/health' && path !== '/metrics')
      return say(404, 'text/plain', 'There are /metrics, /health and a page at /.\n');
    const found = await health();
    if (path === '/metrics') return say(200, metrics.contentType, await metrics.text());
    const status = found.status === 'ok' ? 200 : 503;
    if (path === '/health') return say(status, 'application/json', `${JSON.stringify(found)}\n`);
    return say(status, 'text/html; charset=utf-8', page(watched.name, found));
  }

  const server = createServer((request, response) => {
    answer(request.method ?? '', new URL(request.url ?? '/', 'http://localhost').pathname, response).catch(
      (error: unknown) => {
        watched.log({ event: 'admin-request-failed', code: codeOf(error) });
        response.writeHead(500).end();
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new RefusalError('address-unusable', `The admin address ${host}, port ${port}, cannot be listened on.`, {
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: `http://${host.includes(':') ? `[${host}]` : host}:${bound.port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Numbers and words of the program alone: nothing needs escaping. */
function page(name: string, { status, study, store, round, stage, closedRounds, outcome, root }: Health): string {
  const rows = [
    ['State', status],
    ['Study', study],
    ['Store', store],
    ['Open round', round === null ? 'none' : `${round}, ${stage}`],
    ['Closed rounds', String(closedRounds)],
    ['Outcome', outcome ?? 'goes on'],
    ...(root === undefined ? [] : [['Coordinator', root]]),
  ];
  const body = rows.map(([row, value]) => `<tr><th scope="row">${row}</th><td>${value}</td></tr>`).join('\n');
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="10"><title>${name}: ${status}</title>
<h1>${name}: ${status}</h1>
<table>
${body}
</table>
</html>
`;
}
