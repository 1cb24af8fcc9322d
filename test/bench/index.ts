// `npm run bench -- NAME [--json]`: measurements on real data, JSON out. Skips with a reason where the data are absent.

import { accountingBench } from './accounting.ts';
import { heartBench } from './heart.ts';

const benches: { readonly [name: string]: () => Promise<object> } = { accounting: accountingBench, heart: heartBench };

const [name, ...flags] = process.argv.slice(2).filter((word) => word !== '--json');
if (name === undefined || flags.length > 0 || !Object.hasOwn(benches, name)) {
  process.stderr.write(`bench: give one of ${Object.keys(benches).join(', ')}, and --json if you like.\n`);
  process.exit(2);
}
const result = await benches[name]!();
process.stdout.write(`${JSON.stringify(result, null, process.argv.includes('--json') ? 0 : 2)}\n`);
