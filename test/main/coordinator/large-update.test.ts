// A large contribution arrives over a link that is slow and cut again and again, and nobody holds it whole in memory. The
// long twin sends 758 MB at 10 Mbit/s.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunkWords } from '../../../app/sealed-sum/masks.ts';
import { connectCoordinator } from '../../../main/host/connection/coordinator-client.ts';
import { startBadLink } from '../host/connection/bad-link.ts';
import { consentAll, everyone, liveFederation, plainSum, stages, verify } from './federation.ts';
import { sendLargeUpdate } from './large-update.ts';

const skip = process.platform === 'linux' ? false : 'memory is read from /proc';

test(
  '80 MB over a link that is cut every megabyte: it arrives, a little more than once, in flat memory',
  { skip },
  async (t) => {
    const dimension = 20 * chunkWords;
    const bytes = 4 * dimension;
    const cutAfterBytes = 2 ** 20;
    const sent = await sendLargeUpdate(t, { dimension, bytesPerSecond: 40e6, cutAfterBytes });
    assert.ok(sent.cuts >= bytes / cutAfterBytes / 2, `${sent.cuts} cuts`);
    // At most a piece is lost with each cut.
    assert.ok(sent.passed < 1.6 * bytes, `${sent.passed} bytes passed`);
    assert.ok(sent.grewBytes < 0.35 * bytes, `the sender grew by ${sent.grewBytes} bytes`);
  },
);

test('downloads go on where they were cut; a quiet connection that is cut is asked again', async (t) => {
  const dimension = chunkWords;
  const fed = await liveFederation({
    institutions: 3,
    change: (contract) => ({ ...contract, sealing: { ...contract.sealing, dimension } }),
  });
  t.after(() => fed.close());
  await consentAll(fed);
  for (const stage of stages) await everyone(fed, stage);
  await fed.engine.settled();
  const [party] = fed.parties;
  const to = Number(new URL(fed.server.address).port);
  const through = async (options: Parameters<typeof startBadLink>[0]) => {
    const link = await startBadLink(options);
    t.after(() => link.close());
    const { participant, transport } = party!;
    const { machine, parameters, index, identity } = participant;
    const address = `http://127.0.0.1:${link.port}`;
    const patience = { attempts: 4, firstMs: 5, longestMs: 50 };
    const client = connectCoordinator({ machine, parameters, index, identity, transport, address, patience });
    t.after(() => client.close());
    return { link, client };
  };
  const { link, client } = await through({ to, cutAfterBytes: 700_000 });
  assert.deepEqual(await client.sumChunk(1, 0), plainSum([0, 1, 2], dimension));
  assert.ok(link.cuts() >= 5);
  assert.ok(link.passed() < 1.3 * 4 * dimension, 'nothing was asked for twice but what was on its way');
  party!.client.close();
  party!.client = client;
  assert.deepEqual(await verify(fed, party!), plainSum([0, 1, 2], dimension));

  const quiet = await through({ to, cutAfterQuietMs: 3000 });
  const { cursor } = await quiet.client.status(null, 0);
  const said = await quiet.client.status(cursor, 12_000);
  assert.equal(said.cursor, cursor);
  // Four times, if it did not learn how long a connection may be quiet.
  assert.ok(quiet.link.cuts() >= 1 && quiet.link.cuts() <= 2, `${quiet.link.cuts()} cuts`);
});
