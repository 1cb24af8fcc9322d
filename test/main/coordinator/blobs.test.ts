// Where vectors lie: files and objects behave alike; what the object storage refuses or fails is said as what it is.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { openBlobs } from '../../../main/coordinator/vectors/blobs.ts';
import type { BlobPlace } from '../../../main/coordinator/vectors/blobs.ts';
import { startObjectStorage } from './s3-server.ts';

async function storageFor(t: TestContext) {
  const storage = await startObjectStorage();
  t.after(() => storage.close());
  return storage;
}

const places: { readonly [name: string]: (t: TestContext) => Promise<BlobPlace> } = {
  files: async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'consilience-blobs-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    return { kind: 'folder', folder: path.join(folder, 'made', 'at-once') };
  },
  objects: async (t) => (await storageFor(t)).place,
};

for (const [name, placeFor] of Object.entries(places))
  test(`${name}: stored whole, replaced, listed by folder over pages, removed by folder`, async (t) => {
    const place = await placeFor(t);
    const blobs = await openBlobs(place);
    assert.equal(await blobs.get('masked/1/0/0'), null);
    assert.deepEqual(await blobs.names('masked'), []);
    const bytes = Uint8Array.from({ length: 300_000 }, (_, at) => at % 251);
    for (const round of [1, 2, 3])
      for (const sender of [0, 1, 12]) await blobs.put(`masked/${round}/${sender}/0`, Uint8Array.of(round, sender));
    await blobs.put('sums/1/0', bytes);
    await blobs.put('masked/2/1/0', bytes);
    const again = await openBlobs(place);
    assert.deepEqual(await again.get('masked/2/1/0'), bytes);
    assert.deepEqual([...(await again.names('masked'))].sort(), ['1', '2', '3']);
    await again.removeAll('masked/2/1');
    assert.equal(await again.get('masked/2/1/0'), null);
    // 12 begins as 1 does.
    assert.deepEqual(await again.get('masked/2/12/0'), Uint8Array.of(2, 12));
    await again.removeAll('masked/1');
    assert.deepEqual([...(await again.names('masked'))].sort(), ['2', '3']);
    await again.removeAll('nothing/there');
    assert.deepEqual(await again.get('sums/1/0'), bytes);
  });

test('object storage: a failure passes, a wrong key or bucket is refused at the start', async (t) => {
  const storage = await storageFor(t);
  const blobs = await openBlobs(storage.place);
  storage.failNext(2, 503);
  await blobs.put('sums/1/0', Uint8Array.of(7));
  assert.deepEqual([...storage.objects.keys()], ['study/one/sums/1/0']);
  storage.failNext(20, 500);
  await assert.rejects(blobs.put('sums/1/1', Uint8Array.of(8)), {
    name: 'UnavailableError',
    code: 'storage-unreachable',
  });
  storage.failNext(0, 0);
  assert.equal(await blobs.get('sums/1/1'), null);
  await assert.rejects(openBlobs({ ...storage.place, secretAccessKey: 'other' }), { code: 'storage-refused' });
  await assert.rejects(openBlobs({ ...storage.place, bucket: 'nowhere' }), { code: 'storage-refused' });
  await assert.rejects(openBlobs({ ...storage.place, endpoint: 'http://127.0.0.1:1' }), {
    code: 'storage-unreachable',
  });
});
