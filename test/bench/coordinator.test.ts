// The load of `bench -- coordinator`, scaled down: whole rounds against the real command, no failed request, every sum the
// sum (runLoad throws otherwise), and what is reported is measured.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runLoad } from './coordinator.ts';

test('two rounds of sixteen against the real command: no failed request, sums right, memory and times measured', async () => {
  const result = await runLoad({ participants: 16, hidden: [200], rounds: 2 });
  assert.deepEqual([result.participants, result.dimension, result.rounds, result.failedRequests], [16, 1201, 2, 0]);
  // At least what the stages of a round ask of each institution: five messages, five lists, five statuses, boxes, chunks.
  assert.ok(result.requests >= 2 * 16 * 18);
  assert.ok(result.requestsPerSecond > 0 && result.p99Milliseconds > 0);
  if (process.platform === 'linux') assert.ok(result.peakBytes! > 2 ** 24 && result.peakBytes! < 1.5 * 2 ** 30);
});
