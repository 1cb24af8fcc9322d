// A window onto a host in this process, over the real loopback shell, on a home that was prepared without processes of its
// own: quick, and any state of it can be had. Whole studies with real processes are walked in journeys.test.ts.

import { createServer } from 'node:http';
import { once } from 'node:events';
import path from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright';
import type { Session } from '../../app/bridge.ts';
import { openHost } from '../../main/host/bridge/host.ts';
import type { Host, HostOptions } from '../../main/host/bridge/host.ts';
import { openLoopback } from '../../main/loopback/server.ts';
import { readAssets } from '../../main/window/assets.ts';
import { hostOptions, steward } from '../main/host/bridge/home.ts';
import { builtWindow } from '../renderer/built.ts';
import { patience } from './journeys.ts';
import { complaintsOf } from './screen-checks.ts';

/** What the window showed when a test failed, for people to look at. */
const failurePicture = path.resolve(import.meta.dirname, `../../test-results/failed-${process.pid}.png`);

export type PreparedWindow = {
  readonly host: Host;
  readonly page: Page;
  readonly origin: string;
  readonly complaints: readonly string[];
};

export async function withWindow(
  browser: Browser,
  home: string,
  use: (window: PreparedWindow) => Promise<void>,
  options: {
    readonly host?: Partial<HostOptions>;
    readonly session?: Session;
    readonly context?: BrowserContextOptions;
  } = {},
): Promise<void> {
  const assets = readAssets(builtWindow());
  const host = await openHost(hostOptions(home, { lookEveryMs: 200, ...options.host }));
  try {
    const connect = () => Promise.resolve(host.connect(options.session ?? steward));
    const loopback = await openLoopback({ assets, connect, port: 0 });
    const context = await browser.newContext({
      locale: 'en-GB',
      viewport: { width: 1280, height: 900 },
      ...options.context,
    });
    try {
      const page = await context.newPage();
      page.setDefaultTimeout(patience);
      const complaints = complaintsOf(page);
      await page.goto(loopback.address);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await use({ host, page, origin: loopback.origin, complaints }).catch(async (error: unknown) => {
        await page.screenshot({ path: failurePicture, fullPage: true }).catch(() => {});
        throw error;
      });
    } finally {
      await context.close();
      await loopback.close();
    }
  } finally {
    await host.close();
  }
}

/** A relay that hands out study terms and nothing else: all that a window needs before a consent. */
export async function withTerms(
  use: (address: string, serve: (terms: string) => void) => Promise<void>,
): Promise<void> {
  let terms = '';
  const server = createServer((request, response) => {
    if (request.url === '/v1/contract' && terms !== '') response.end(terms);
    else response.writeHead(503).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port could be had');
  try {
    await use(`http://127.0.0.1:${address.port}`, (text) => {
      terms = text;
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
