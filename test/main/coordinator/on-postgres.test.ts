// The coordinator's suites once more, with PostgreSQL as its store: the same tests, not others like them.

import { after, test } from 'node:test';
import { postgresMissing, startPostgres } from './postgres-server.ts';
import { useDatabases } from './stores.ts';

const missing = postgresMissing();

if (missing !== null) test('the suites on PostgreSQL', { skip: missing }, () => undefined);
else {
  const server = await startPostgres();
  after(() => server.stop());
  useDatabases(server);
  for (const suite of ['store', 'rounds', 'admission', 'clocks', 'complaints', 'replacement', 'archive'])
    await import(`./${suite}.test.ts`);
}
