// The whole of it: 758 MB at 10 Mbit/s with cuts takes about a quarter of an hour and no memory to speak of.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sendLargeUpdate } from './large-update.ts';

test('758 MB over 10 Mbit/s with cuts arrive in flat memory', { timeout: 3_600_000 }, async (t) => {
  const dimension = 189_500_000;
  const sent = await sendLargeUpdate(t, { dimension, bytesPerSecond: 1.25e6, cutAfterBytes: 20e6 });
  t.diagnostic(JSON.stringify(sent));
  assert.ok(sent.cuts >= 30);
  assert.ok(sent.passed < 1.2 * 4 * dimension);
  assert.ok(sent.grewBytes < 150e6, `the sender grew by ${sent.grewBytes} bytes`);
  assert.ok(sent.serverGrewBytes < 300e6, `the coordinator grew by ${sent.serverGrewBytes} bytes`);
});
