// Loaded before a test run (`node --import`): one module of the product is read with one change in it, which the
// environment names. Nothing on disk is touched, and without the variable nothing happens.

import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';

export type Change = { readonly file: string; readonly at: number; readonly from: string; readonly to: string };

export const variable = 'CONSILIENCE_TEST_CHANGE';

const given = process.env[variable];
if (given !== undefined) {
  const change = JSON.parse(given) as Change;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!new URL(url, 'file:').pathname.endsWith(`/${change.file}`)) return loaded;
      return { ...loaded, source: changed(textOf(loaded.source), change) };
    },
  });
}

function textOf(source: unknown): string {
  if (typeof source === 'string') return source;
  assert.ok(source instanceof Uint8Array);
  return Buffer.from(source).toString('utf8');
}

export function changed(source: string, { at, from, to }: Change): string {
  assert.equal(source.slice(at, at + from.length), from, 'the file changed while it was being tested');
  return source.slice(0, at) + to + source.slice(at + from.length);
}
