// The built window over app://consilience, from memory, by exact path: no path reaches a file system. Issue 6, item 4.

import { protocol } from 'electron';
import type { Asset } from '../window/assets.ts';
import { pageAnswer } from '../window/page.ts';

const scheme = 'app';
const host = 'consilience';
export const pageAddress = `${scheme}://${host}/`;

export const isOwnPage = (url: string): boolean => url === pageAddress || url.startsWith(`${pageAddress}#`);

/** Before Electron is ready, once. */
export function registerScheme(): void {
  protocol.registerSchemesAsPrivileged([{ scheme, privileges: { standard: true, secure: true } }]);
}

/** After Electron is ready, once. The page connects to nothing: it has the bridge. */
export function servePage(assets: ReadonlyMap<string, Asset>): void {
  protocol.handle(scheme, ({ url, method }) => {
    const { hostname, pathname } = new URL(url);
    const known = method === 'GET' && hostname === host;
    const { status, headers, body } = pageAnswer(known ? assets : new Map(), pathname, "'none'");
    return new Response(typeof body === 'string' ? body : new Uint8Array(body), { status, headers: { ...headers } });
  });
}
