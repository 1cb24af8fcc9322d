// SIGKILL of the window's host, which takes part on its own, at every stage that its status file names: the next start takes
// the study up again with the same keys, log and sealed bytes. kills.test.ts does the same to the command line's participant.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStatus } from '../../../main/host/participant/status.ts';
import { builtWindow } from '../../renderer/built.ts';
import { ledgerEntries, recordsText } from '../host/participant/homes.ts';
import { freePort } from '../free-port.ts';
import { consentEverybody, processFederation } from './process-federation.ts';
import type { Started } from './process-federation.ts';

const schedule = {
  rounds: 2,
  attempts: 4,
  stageSeconds: { ready: 120, shares: 120, masked: 120, consistency: 120, unmask: 120 },
  intervalSeconds: 0,
};

test(
  'the host is killed at every stage: charged once, no round opened again, everybody’s model in the end',
  { timeout: 400_000 },
  async (t) => {
    builtWindow();
    const fed = await processFederation({
      records: [1, 2, 3].map((seed) => recordsText(90, seed)),
      port: await freePort(),
      schedule,
    });
    t.after(() => fed.close());
    await fed.startCoordinator();
    await consentEverybody(fed);

    const home = fed.at('site-0');
    const credential = ['--credential-file', fed.at('credential')];
    const startHost = (): Started => fed.start('app', '--loopback', '--no-open', '--home', home, ...credential);
    const others = [fed.takePart('site-1'), fed.takePart('site-2')];
    const killed: string[] = [];
    let host = startHost();
    for (;;) {
      assert.equal(host.child.exitCode, null, fed.said());
      const status = await readStatus(home);
      if (status?.doing === 'finished') break;
      const at = status?.doing === 'round' ? status.stage : null;
      if (
        status?.pid === host.child.pid &&
        at !== null &&
        at !== undefined &&
        !killed.includes(at) &&
        killed.length < 5
      ) {
        killed.push(at);
        host.child.kill('SIGKILL');
        await host.ended;
        host = startHost();
      }
      await sleep(5);
    }
    host.child.kill('SIGTERM');
    assert.equal((await host.ended).code, 0, fed.said());
    assert.ok(killed.length >= 3, `killed at: ${killed.join('; ')}`);

    const models = new Set([(await readStatus(home))?.model]);
    for (const other of others) {
      const { code, out } = await other.ended;
      assert.equal(code, 0, out + fed.said());
      models.add((JSON.parse(out.trimEnd().split('\n').at(-1)!) as { model: string }).model);
    }
    assert.equal(models.size, 1, [...models].join(' '));
    assert.equal((await fed.ok('ledger', 'verify', join(home, 'ledger')))['verified'], true);
    const entries = await ledgerEntries(home);
    for (const kind of ['budget-reserved', 'budget-settled', 'round-closed', 'round-aborted'])
      assert.deepEqual(
        entries.filter((entry) => entry.kind === kind).map((entry) => entry.body['round']),
        kind === 'round-aborted' ? [] : [1, 2],
        kind,
      );
  },
);
