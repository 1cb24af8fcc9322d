// The API's document: every address that is served stands in it and no other, its references lead somewhere, and its
// schemas come from those that check what comes in.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServer } from '../../../main/coordinator/server.ts';
import { liveFederation } from './federation.ts';

type Document = {
  readonly openapi: string;
  readonly paths: {
    readonly [path: string]: { readonly [method: string]: { readonly security?: readonly unknown[] } };
  };
  readonly components: { readonly schemas: { readonly [name: string]: { readonly additionalProperties?: boolean } } };
};

test('the document names exactly the addresses that are served', async (t) => {
  const fed = await liveFederation({ institutions: 3 });
  t.after(() => fed.close());
  const served = new Set<string>();
  const server = await startServer({
    engine: fed.engine,
    contract: new Uint8Array(0),
    host: '127.0.0.1',
    port: 0,
    onRoute: (method, path) => served.add(`${method} ${path}`),
  });
  t.after(() => server.close());
  const document = (await (await fetch(`${server.address}/v1/openapi.json`)).json()) as Document;
  assert.equal(document.openapi, '3.1.0');
  const named = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
  );
  // fastify answers HEAD wherever it answers GET.
  assert.deepEqual(named.sort(), [...served].filter((route) => !route.startsWith('HEAD ')).sort());

  // What the document calls open is answered unsigned, and nothing else is.
  for (const [path, methods] of Object.entries(document.paths)) {
    if (methods['get'] === undefined) continue;
    const reply = await fetch(server.address + path.replaceAll(/\{\w+\}/g, '1'));
    await reply.arrayBuffer();
    assert.equal(reply.status, methods['get'].security?.length === 0 ? 200 : 401, path);
  }

  const { schemas } = document.components;
  for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g))
    assert.ok(schemas[name!] !== undefined, `there is no schema ${name}`);
  assert.equal(schemas['SignedConsent']!.additionalProperties, false, 'unknown members are refused, and it says so');
});
