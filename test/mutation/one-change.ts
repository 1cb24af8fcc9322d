// Loaded before a test run (`node --import`): one module of the product is read from another file, which the environment
// names. Nothing of the product is touched, and without the variable nothing happens.

import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

/** `file`: the module's path from the root; `instead`: where its changed source lies. */
export type Replacement = { readonly file: string; readonly instead: string };

export const variable = 'CONSILIENCE_TEST_CHANGE';

const given = process.env[variable];
if (given !== undefined) {
  const { file, instead } = JSON.parse(given) as Replacement;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const { pathname, searchParams } = new URL(url, 'file:');
      // A module that a test itself loads with less in it (without.ts) is that test's own affair.
      const same = pathname.endsWith(`/${file}`) && searchParams.size === 0;
      return same ? { ...loaded, source: readFileSync(instead, 'utf8') } : loaded;
    },
  });
}
