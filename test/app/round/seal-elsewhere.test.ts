// Sealing by a port, as the host's threads do it, signs the bytes that sealing in one go signs; where the port fails nothing
// is signed, and the same vector can be sealed again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnavailableError } from '../../../app/errors.ts';
import { receiveShares, sealVector, sealVectorBy } from '../../../app/round/participant.ts';
import type { Masking } from '../../../app/round/participant.ts';
import { deliveryBytes } from '../../../app/round/coordinator-lists.ts';
import { chunkWords, createMasks } from '../../../app/sealed-sum/masks.ts';
import { nodeCipher, nodeMachine } from '../../../main/host/machine.ts';
import { createSealer } from '../../../main/host/sealing/sealer.ts';
import { federation, ready, share, sharersList } from './federation.ts';
import { sampleStudy } from './sample-study.ts';

const dimension = chunkWords + 5;

test('two chunks: by the pure core, by a port, by threads: the same bytes, the same signature', async (t) => {
  const study = sampleStudy({
    institutions: 4,
    change: (contract) => ({ ...contract, sealing: { ...contract.sealing, dimension } }),
  });
  const fed = federation(study, nodeMachine);
  ready(fed);
  share(fed);
  const [party] = fed.parties;
  const { participant } = party!;
  const boxes = deliveryBytes(fed.coordinator, fed.round, participant.index)!;
  const opened = receiveShares(participant, party!.state!, sharersList(fed, party!), boxes).state;
  const vector = Uint32Array.from({ length: dimension }, (_, at) => at % 97);
  const plain = sealVector(participant, opened, vector);
  assert.equal(plain.chunks.length, 2);

  const masks = createMasks(nodeCipher);
  const inTurn: Masking = async (words, chunk, keys) => {
    const copy = words.slice();
    masks.applyAll(copy, chunk, keys);
    return copy;
  };
  const sealer = createSealer({ cipher: nodeCipher, threads: 2, fewWords: 0 });
  t.after(() => sealer.close());
  for (const mask of [inTurn, sealer.mask])
    assert.deepEqual(await sealVectorBy(mask, participant, opened, vector), plain);

  const failing: Masking = async (words, chunk, keys) => {
    if (chunk === 1) throw new UnavailableError('sealing-stopped', 'The threads ended.');
    return inTurn(words, chunk, keys);
  };
  await assert.rejects(sealVectorBy(failing, participant, opened, vector), { code: 'sealing-stopped' });
  assert.deepEqual(await sealVectorBy(inTurn, participant, opened, vector), plain);
});
