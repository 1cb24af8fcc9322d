// How the built window is answered, on both shells: the asset at exactly that path, a fresh nonce in index.html, the content
// policy as a header, nothing cached. Only where the page may connect to differs. Issue 6, items 3 and 4.

import { randomBytes } from 'node:crypto';
import { noncePlaceholder } from './assets.ts';
import type { Asset } from './assets.ts';

export type PageAnswer = {
  readonly status: 200 | 404;
  readonly headers: { readonly [name: string]: string };
  readonly body: Buffer | string;
};

/**
 * @param path as the browser asks for it, "/" for the page itself; never taken as a path of a file system.
 * @param connect the policy's connect-src.
 */
export function pageAnswer(assets: ReadonlyMap<string, Asset>, path: string, connect: string): PageAnswer {
  const asset = assets.get(path === '/' ? '/index.html' : path);
  if (asset === undefined)
    return {
      status: 404,
      headers: { ...pageHeaders('', connect), 'Content-Type': 'text/plain; charset=utf-8' },
      body: 'There is no such page.\n',
    };
  const nonce = randomBytes(18).toString('base64');
  const html = asset.type.startsWith('text/html');
  return {
    status: 200,
    headers: { ...pageHeaders(nonce, connect), 'Content-Type': asset.type },
    body: html ? asset.bytes.toString('utf8').replaceAll(noncePlaceholder, nonce) : asset.bytes,
  };
}

export function pageHeaders(nonce: string, connect: string): { readonly [name: string]: string } {
  return {
    'Content-Security-Policy': contentPolicy(nonce, connect),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), microphone=(), geolocation=(), usb=()',
  };
}

function contentPolicy(nonce: string, connect: string): string {
  const styles = nonce === '' ? "'self'" : `'self' 'nonce-${nonce}'`;
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src ${styles}`,
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src ${connect}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
