// The built window, read into memory once: what is served is looked up by its exact path and by nothing else, so that no
// path can leave the folder. index.html gets a fresh nonce in every answer. Design 8 (Mantine and style-src).

import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { UnavailableError } from '../../app/errors.ts';

export type Asset = { readonly bytes: Buffer; readonly type: string };

const types: { readonly [extension: string]: string } = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

/** What Vite wrote where the nonce belongs (renderer/vite.config.ts). */
export const noncePlaceholder = '__CSP_NONCE__';

/**
 * @param folder of the built window.
 * @returns files by their path as a browser asks for it, "/index.html" first of all.
 * @throws UnavailableError `window-not-built`.
 */
export function readAssets(folder: string): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  const read = (path: string): void => {
    for (const entry of readdirSync(join(folder, path), { withFileTypes: true })) {
      const type = types[extname(entry.name)];
      if (entry.isDirectory()) read(`${path}/${entry.name}`);
      else if (entry.isFile() && type !== undefined)
        assets.set(`${path}/${entry.name}`, { bytes: readFileSync(join(folder, path, entry.name)), type });
    }
  };
  try {
    read('');
  } catch (error) {
    throw new UnavailableError('window-not-built', notBuilt(folder), { cause: error });
  }
  if (!assets.has('/index.html')) throw new UnavailableError('window-not-built', notBuilt(folder));
  return assets;
}

const notBuilt = (folder: string): string => `There is no built window in ${folder}. Build it: npm run build`;
