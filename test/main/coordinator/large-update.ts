// A large contribution over a bad link, of any size: the suite of large-update.test.ts and large-update.long.ts.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fromHex, toHex } from '../../../app/encoding/bytes.ts';
import { merkleRoot } from '../../../app/encoding/merkle.ts';
import { signMessage } from '../../../app/round/messages.ts';
import { contextOf } from '../../../app/round/parameters.ts';
import { chunkCount } from '../../../app/sealed-sum/masks.ts';
import { vectorLeafHash } from '../../../app/sealed-sum/vector-root.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { startBadLink } from '../host/connection/bad-link.ts';
import { consentAll, everyone, liveFederation, openBoxes, ready, share } from './federation.ts';
import { withDimension } from './replicas.ts';
import { largeChunk } from './slow-sender.ts';
import type { SlowSenderOptions } from './slow-sender.ts';

const sender = fileURLToPath(new URL('slow-sender.ts', import.meta.url));

export async function sendLargeUpdate(
  t: TestContext,
  options: { readonly dimension: number; readonly bytesPerSecond: number; readonly cutAfterBytes: number },
): Promise<{
  /** By how much the sender’s peak rose in the second half. */
  readonly grewBytes: number;
  readonly serverGrewBytes: number;
  readonly passed: number;
  readonly cuts: number;
}> {
  const { dimension, bytesPerSecond, cutAfterBytes } = options;
  const fed = await liveFederation({
    institutions: 3,
    change: withDimension(dimension),
    clock: { now: () => Date.now() },
  });
  t.after(() => fed.close());
  await consentAll(fed);
  for (const stage of [ready, share]) await everyone(fed, stage);
  const [party] = fed.parties;
  const { u1, u2 } = await openBoxes(party!);
  const context = contextOf(fed.study.parameters, 1);
  const leaves: Uint8Array[] = [];
  for (let chunk = 0; chunk < chunkCount(dimension); chunk++)
    leaves.push(vectorLeafHash(nodeCipher, context, 0, chunk, largeChunk(dimension, chunk)));
  const root = toHex(merkleRoot(nodeCipher, leaves));
  const body = { u1: u1!.hash, u2: u2!.hash, root };
  await party!.client.send(signMessage(nodeCipher, fed.study.identities[0]!, context, 2, 0, body));

  const link = await startBadLink({ to: Number(new URL(fed.server.address).port), bytesPerSecond, cutAfterBytes });
  t.after(() => link.close());
  const before = process.memoryUsage().rss;
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 50);
  t.after(() => clearInterval(watch));
  const given: SlowSenderOptions = {
    institutions: 3,
    dimension,
    round: 1,
    address: `http://127.0.0.1:${link.port}`,
  };
  const { stdout } = await promisify(execFile)(process.execPath, [sender, JSON.stringify(given)]);
  assert.equal(fed.engine.study().round!.masked.get(0)!.complete, true);
  // What lies in the store is what was sent, chunk for chunk.
  const rows = await fed.engine.options.store.chunksOf(1, 0);
  assert.deepEqual(
    rows.map((row) => fromHex(row.leaf, 32)),
    leaves,
  );
  assert.deepEqual(await fed.engine.options.store.files.piecesOf(1, 0, 0), []);
  const said = JSON.parse(stdout) as { half: number; end: number };
  return {
    grewBytes: said.end - said.half,
    serverGrewBytes: most - before,
    passed: link.passed(),
    cuts: link.cuts(),
  };
}
