// Opening in threads: the parts of the survivors, dealt out to any number of threads, add up to the same sum, with and
// without dropouts; a damaged contribution is found in whichever thread it falls.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { chunkWords } from '../../../app/sealed-sum/masks.ts';
import { createAddingPool } from '../../../main/coordinator/vectors/adding-pool.ts';
import {
  agree,
  consentAll,
  everyone,
  expire,
  liveFederation,
  plainSum,
  ready,
  seal,
  share,
  unmask,
} from './federation.ts';

// Two chunks, the first of them large enough for threads.
const dimension = chunkWords + 7;

const endsWhenAsked = `require('node:worker_threads').parentPort.on('message', () => process.exit(1))`;

test('any number of threads gives the plain sum of those who stayed', async (t) => {
  const fed = await liveFederation({
    institutions: 4,
    change: (contract) => ({ ...contract, sealing: { ...contract.sealing, dimension } }),
  });
  t.after(() => fed.close());
  await consentAll(fed);
  for (const stage of [ready, share]) await everyone(fed, stage);
  await everyone(fed, seal, [2]);
  await expire(fed);
  for (const stage of [agree, unmask]) await everyone(fed, stage, [2]);
  await fed.engine.settled();
  const { cipher, parameters, store } = fed.engine.options;
  const round = fed.engine.study().ended.at(-1)!;
  assert.deepEqual([round.stage, round.survivors], ['closed', [0, 1, 3]]);
  const plain = plainSum([0, 1, 3], dimension);
  for (const threads of [0, 1, 2, 5]) {
    const pool = createAddingPool({ cipher, parameters, store, threads, smallWords: 0 });
    try {
      // At once, as the opener asks.
      const [first, second] = await Promise.all([pool.chunk(round, 0), pool.chunk(round, 1)]);
      assert.deepEqual(first, plain.subarray(0, chunkWords), `${threads} threads`);
      assert.deepEqual(second, plain.subarray(chunkWords), `${threads} threads`);
    } finally {
      await pool.close();
    }
  }

  // Each crew's second thread ends when it is asked, twice; then the third crew does both chunks from what is stored.
  const started: Worker[] = [];
  const mortal = createAddingPool({
    cipher,
    parameters,
    store,
    threads: 2,
    smallWords: 0,
    startThread(entry, workerData) {
      const dies = started.length === 1 || started.length === 3;
      started.push(dies ? new Worker(endsWhenAsked, { eval: true }) : new Worker(entry, { workerData }));
      return started.at(-1)!;
    },
  });
  t.after(() => mortal.close());
  assert.deepEqual(
    await Promise.all([mortal.chunk(round, 0), mortal.chunk(round, 1)]),
    [plain.subarray(0, chunkWords), plain.subarray(chunkWords)],
    'threads that end lose nothing',
  );
  assert.equal(started.length, 6);
  const hopeless = createAddingPool({
    cipher,
    parameters,
    store,
    threads: 2,
    smallWords: 0,
    startThread: () => new Worker(endsWhenAsked, { eval: true }),
  });
  t.after(() => hopeless.close());
  await assert.rejects(hopeless.chunk(round, 0), { code: 'adding-stopped' });

  await store.files.writeMasked(1, 3, 0, new Uint8Array(4 * chunkWords));
  const pool = createAddingPool({ cipher, parameters, store, threads: 2, smallWords: 0 });
  t.after(() => pool.close());
  await assert.rejects(pool.chunk(round, 0), { name: 'DamagedChunkError', code: 'chunk-damaged' });
  assert.deepEqual(await pool.chunk(round, 1), plain.subarray(chunkWords), 'the threads go on');
});
