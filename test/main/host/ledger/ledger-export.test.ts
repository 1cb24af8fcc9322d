// An export counts how far it is, is cancelled without a trace, and leaves no half bundle where a disk fails. That what it
// writes verifies is held by test/main/cli/ledger.test.ts.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exportBundle, exportSteps } from '../../../../app/ledger/export.ts';
import { fromHex } from '../../../../app/encoding/bytes.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { exportLedger } from '../../../../main/host/ledger/ledger-export.ts';
import { verifyOwnLedger } from '../../../../main/host/participant/verify.ts';
import { lengthenLog } from '../../../browser/long-log.ts';
import { bridgeOver, steward, valueOf, withHost } from '../bridge/home.ts';
import { makeHomes } from '../participant/homes.ts';
import type { Homes } from '../participant/homes.ts';

async function withLongLog(rounds: number, use: (homes: Homes, home: string) => Promise<void>): Promise<void> {
  const homes = await makeHomes(3);
  try {
    const { study } = await homes.consent(homes.institutions[0]!);
    await lengthenLog(homes, study, rounds);
    const { home } = homes.institutions[0]!;
    await writeFile(join(home, 'host.json'), JSON.stringify({ paused: [study] }));
    await use(homes, home);
  } finally {
    await homes.remove();
  }
}

test('progress counts every entry twice, in small steps, and the steps give the same bundle', () =>
  withLongLog(100, async (homes, home) => {
    const ledger = new Uint8Array(await readFile(join(home, 'ledger', 'ledger.jsonl')));
    const checkpoint = await readFile(join(home, 'ledger', 'checkpoint'), 'utf8');
    const input = { ledger, checkpoint, contracts: [], publicKeys: [] };
    const steps = exportSteps(nodeCipher, input);
    const counted: number[] = [0];
    for (;;) {
      const step = steps.next();
      if (step.done === true) {
        assert.deepEqual(step.value, exportBundle(nodeCipher, input));
        break;
      }
      assert.equal(step.value.total, 2 * 506);
      counted.push(step.value.done);
    }
    counted.push(2 * 506);
    for (const [place, done] of counted.entries())
      if (place > 0) assert.ok(done > counted[place - 1]! && done - counted[place - 1]! <= 50, `${done}`);

    const out = join(homes.folder, 'bundle');
    let last = 0;
    const { entries } = await exportLedger(home, out, { onProgress: (done) => (last = done) });
    assert.equal(entries, 506);
    assert.ok(last > 506 && existsSync(join(out, 'SHA256SUMS')));
  }));

test('what stops an export leaves no folder and no half bundle', () =>
  withLongLog(40, async (homes, home) => {
    const out = join(homes.folder, 'bundle');
    const stop = (): never => {
      throw new Error('stopped');
    };
    await assert.rejects(exportLedger(home, out, { onProgress: stop }), /stopped/);
    assert.ok(!existsSync(out));
    // A disk that fails at the second file: its place is taken while the log is verified.
    const block = (): void => void mkdir(join(out, 'verify.html'), { recursive: true });
    await assert.rejects(exportLedger(home, out, { onProgress: block }), { code: 'disk-failed' });
    assert.ok(!existsSync(out));
    await mkdir(out);
    await assert.rejects(exportLedger(home, out, { onProgress: block }), { code: 'disk-failed' });
    assert.deepEqual(await readdir(out), []);
  }));

test('a window sees how far its export is, cancels it, and finds nothing changed', () =>
  withLongLog(3000, async (homes, home) => {
    await withHost(home, { keys: homes.keys }, async (host) => {
      const bridge = bridgeOver(host.connect(steward));
      const exporting = bridge.call('audit.export', {});
      for (;;) {
        const [work] = valueOf(await bridge.call('work.list', {}));
        if (work !== undefined && work.done > 0) {
          assert.equal(work.name, 'audit.export');
          assert.equal(work.total, 2 * 15_006);
          assert.ok(work.done < work.total);
          break;
        }
        await sleep(5);
      }
      assert.ok(valueOf(await bridge.call('work.cancel', { name: 'audit.export' })).cancelled);
      const ended = await exporting;
      assert.ok(!ended.ok && ended.error.code === 'cancelled');
      assert.deepEqual(await readdir(join(home, 'exports')), []);

      const { folder, entries, files } = valueOf(await bridge.call('audit.export', {}));
      assert.deepEqual([entries, files.includes('verify.html')], [15_006, true]);
      assert.ok(existsSync(join(folder, 'ledger.jsonl')));
      // An auditor takes it along, into a folder of their own.
      const auditor = bridgeOver(host.connect({ ...steward, role: 'auditor' }));
      const stick = join(homes.folder, 'stick');
      for (const none of [stick, 'relative', homes.institutions[0]!.data]) {
        const refused = await auditor.call('audit.export', { folder: none });
        assert.ok(!refused.ok && refused.error.code === 'no-such-folder' && refused.error.message.includes(none));
      }
      assert.ok(!existsSync(stick));
      await mkdir(stick);
      const taken = valueOf(await auditor.call('audit.export', { folder: stick }));
      assert.equal(dirname(taken.folder), stick);
      assert.ok((await readdir(taken.folder)).includes('ledger.jsonl'));
      const [study] = valueOf(await bridge.call('study.list', {}));
      const key = homes.signed.contract.roster[0]!.identityKey;
      assert.ok(study !== undefined && (await verifyOwnLedger(home, fromHex(key, 32))).verified);
    });
  }));
