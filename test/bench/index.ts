// `npm run bench -- NAME [WORDS] [--json]`: measurements on real data, JSON out. Skips with a reason where the data are absent.

import { accountingBench } from './accounting.ts';
import { coordinatorBench } from './coordinator.ts';
import { heartBench } from './heart.ts';
import { noiseBench } from './noise.ts';
import { sealedSumBench } from './sealed-sum.ts';
import { trainingBench } from './training.ts';

const benches: { readonly [name: string]: (words: readonly string[]) => Promise<object> } = {
  accounting: accountingBench,
  coordinator: coordinatorBench,
  heart: heartBench,
  noise: noiseBench,
  'sealed-sum': sealedSumBench,
  training: trainingBench,
};

const [name, ...words] = process.argv.slice(2).filter((word) => word !== '--json');
if (
  name === undefined ||
  (words.length > 0 && !['coordinator', 'sealed-sum', 'training'].includes(name)) ||
  !Object.hasOwn(benches, name)
) {
  process.stderr.write(`bench: give one of ${Object.keys(benches).join(', ')}, and --json if you like.\n`);
  process.exit(2);
}
const result = await benches[name]!(words);
process.stdout.write(`${JSON.stringify(result, null, process.argv.includes('--json') ? 0 : 2)}\n`);
