// Rounds of a contract whose vectors travel packed to the ring's bits: through the wire, the store, threads and a reopened
// coordinator, with a dropout; every survivor adds the same sum up again. A contract without the member is as before.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../app/encoding/canonical-json.ts';
import { contractSchema } from '../../../app/study/contract.ts';
import { chunkWords } from '../../../app/sealed-sum/masks.ts';
import { packedLength } from '../../../app/sealed-sum/packing.ts';
import { reduceWords } from '../../../app/sealed-sum/unmask.ts';
import {
  agree,
  consentAll,
  everyone,
  expire,
  liveFederation,
  plainSum,
  ready,
  reveal,
  seal,
  sealed,
  share,
  unmask,
  verify,
} from './federation.ts';

const bits = 21;
const dimension = chunkWords + 13;

test('packed vectors: fewer bytes, the same sum mod 2^w, for whoever stayed, and after a restart', async (t) => {
  const fed = await liveFederation({
    institutions: 4,
    change: (contract) => ({
      ...contract,
      sealing: { ...contract.sealing, dimension, packing: 'ring', ringBits: bits },
    }),
  });
  t.after(() => fed.close());
  await consentAll(fed);
  for (const stage of [ready, share]) await everyone(fed, stage);
  await everyone(fed, seal, [0, 2]);

  // The chunk's length is the packed one; a chunk of 32-bit words is refused and changes nothing.
  const [first] = fed.parties;
  const masked = await sealed(fed, first!);
  assert.deepEqual(
    first!.chunks.map((chunk) => chunk.length),
    [packedLength(chunkWords, bits), packedLength(13, bits)],
  );
  await first!.client.send(masked);
  const unpacked = new Uint8Array(4 * 13);
  await assert.rejects(first!.client.upload(masked.round, [first!.chunks[0]!, unpacked]), { code: 'chunk-length' });
  await first!.client.upload(masked.round, first!.chunks);

  await expire(fed);
  for (const stage of [agree, unmask]) await everyone(fed, stage, [2]);
  await fed.engine.settled();
  const expected = plainSum([0, 1, 3], dimension);
  reduceWords(expected, bits);
  await everyone(fed, async (_, party) => assert.deepEqual(await verify(fed, party), expected), [2]);
  const stored = await fed.engine.options.store.files.readSum(1, 0);
  assert.equal(stored!.length, packedLength(chunkWords, bits), 'the sum lies and travels packed too');

  // A reopened coordinator reads the sum it stored, and applies it as it did before.
  const model = fed.engine.study().model;
  await fed.reopen();
  assert.equal(fed.engine.study().model, model);
  assert.deepEqual(await first!.client.sumChunk(1, 1), expected.subarray(chunkWords));
});

test('packed vectors on a sparse graph: the same sum with one institution lost, after restarts', async (t) => {
  const fed = await liveFederation({
    institutions: 8,
    sparse: { colluders: 1, losses: 1 },
    change: (contract) => ({ ...contract, sealing: { ...contract.sealing, packing: 'ring', ringBits: bits } }),
  });
  t.after(() => fed.close());
  const length = fed.study.parameters.dimension;
  await consentAll(fed);
  for (const stage of [ready, reveal, share]) await everyone(fed, stage);
  assert.notEqual(fed.engine.study().round!.ring, undefined);
  await everyone(fed, seal, [2]);
  await fed.reopen();
  await expire(fed);
  for (const stage of [agree, unmask]) await everyone(fed, stage, [2]);
  await fed.engine.settled();
  await fed.reopen();
  const expected = plainSum([0, 1, 3, 4, 5, 6, 7], length);
  reduceWords(expected, bits);
  await everyone(fed, async (_, party) => assert.deepEqual(await verify(fed, party), expected), [2]);
  assert.equal(fed.parties[0]!.chunks[0]!.length, packedLength(length, bits));
});

test('the member is optional, knows one word, and changes the study', async (t) => {
  const fed = await liveFederation({ institutions: 3 });
  t.after(() => fed.close());
  const { contract } = fed.study;
  assert.ok(!('packing' in contract.sealing));
  const packed = { ...contract, sealing: { ...contract.sealing, packing: 'ring' } };
  assert.notEqual(toHex(canonicalBytes(contractSchema.parse(packed))), toHex(canonicalBytes(contract)));
  const other = { ...contract, sealing: { ...contract.sealing, packing: 'zip' } };
  assert.throws(() => contractSchema.parse(other));
});
