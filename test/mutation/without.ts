// Takes checks out of the client for one test or one run, and only there: a module is loaded a second time under a query
// that names the refusal codes to be left out, and `throw refuse('code'` in its source becomes a statement without effect.
// Nothing in the product can ask for this; modules without the query are untouched.

import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

const marker = 'without';

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context);
    const parent = context.parentURL === undefined ? null : new URL(context.parentURL).searchParams.get(marker);
    const own = new URL(resolved.url, 'file:').searchParams.get(marker);
    if (parent === null || own !== null || !/\/app\/(?:round|simulation)\/[a-z-]+\.ts$/.test(resolved.url))
      return resolved;
    return { ...resolved, url: `${resolved.url}?${marker}=${parent}` };
  },
  load(url, context, nextLoad) {
    const codes = new URL(url, 'file:').searchParams.get(marker);
    const loaded = nextLoad(url, context);
    if (codes === null) return loaded;
    return { ...loaded, source: withoutChecks(sourceText(loaded.source), codes.split(',')) };
  },
});

function sourceText(source: unknown): string {
  if (typeof source === 'string') return source;
  assert.ok(source instanceof Uint8Array);
  return Buffer.from(source).toString('utf8');
}

function withoutChecks(source: string, codes: readonly string[]): string {
  return codes.reduce(
    (text, code) => text.replaceAll(new RegExp(`throw (refuse\\(\\s*'${code}')`, 'g'), 'void $1'),
    source,
  );
}

/** The participant's steps with the refusals of these codes taken out of app/round. */
export const participantWithout = (codes: readonly string[]) =>
  moduleWithout<typeof import('../../app/round/participant.ts')>('app/round/participant.ts', codes);

/** Whole federations whose institutions, and whose coordinator, lack these refusals. */
export const federationWithout = (codes: readonly string[]) =>
  moduleWithout<typeof import('../../app/simulation/faulty-federation.ts')>(
    'app/simulation/faulty-federation.ts',
    codes,
  );

async function moduleWithout<Module>(name: string, codes: readonly string[]): Promise<Module> {
  const file = new URL(`../../${name}`, import.meta.url);
  if (codes.length > 0) file.searchParams.set(marker, codes.join(','));
  assert.ok(fileURLToPath(file).endsWith(name));
  return (await import(file.href)) as Module;
}
