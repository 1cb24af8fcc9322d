// SIGKILL of the host while a consent reads and keeps records: early in the file, when the copy is being written, and when
// the log has its first entries. The next start finds a whole log, nothing agreed to by half, and the same consent succeeds.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Bridge } from '../../../app/bridge.ts';
import { attachToHost, socketPath } from '../../../main/host/bridge/socket.ts';
import { bridgeOver, steward, valueOf } from '../host/bridge/home.ts';
import { ledgerEntries, makeHomes, recordsText } from '../host/participant/homes.ts';
import { withTerms } from '../../browser/prepared-window.ts';

const program = fileURLToPath(new URL('../../../main/cli/index.ts', import.meta.url));

/** A hundred records among columns that the study does not read: long to read, and still as many units as were agreed. */
function wideRecords(): string {
  const extra = Array.from({ length: 3000 }, (_, column) => `other${column}`).join(',');
  const filler = Array.from({ length: 3000 }, (_, column) => `text of column ${column}`).join(',');
  return recordsText(100, 1)
    .trimEnd()
    .split('\n')
    .map((line, row) => `${line},${row === 0 ? extra : filler}`)
    .join('\n');
}

type RunningHost = { readonly child: ChildProcess; readonly bridge: Bridge; readonly close: () => void };

async function startHost(home: string, credential: string): Promise<RunningHost> {
  const args = [program, 'host', '--home', home, '--credential-file', credential, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const connection = await attachToHost(socketPath(home), steward);
  return { child, bridge: bridgeOver(connection), close: () => connection.close() };
}

test(
  'the host is killed in the middle of an import, again and again: nothing is lost, nothing is agreed to by half',
  { timeout: 400_000 },
  async (t) => {
    await withTerms(async (address, serve) => {
      const homes = await makeHomes(3, (same) => same, address);
      let host: RunningHost | null = null;
      t.after(() => host?.child.kill('SIGKILL'));
      try {
        serve(homes.contractText);
        const { home } = homes.institutions[0]!;
        const credential = homes.keys.credentialFile!;
        const path = join(homes.folder, 'export.csv');
        await writeFile(path, wideRecords());
        const digest = async (): Promise<string> =>
          createHash('sha256')
            .update(await readFile(path))
            .digest('hex');
        const before = await digest();
        const log = join(home, 'ledger', 'ledger.jsonl');
        const logAtFirst = statSync(log).size;
        const records = join(home, 'records');
        const consent = {
          study: 'sample',
          dataset: 'records',
          path,
          epsilon: null,
          datasetEpsilon: null,
          acceptNoNoise: false,
          expires: null,
        };

        /** Each says whether the consent has come so far. */
        const moments: readonly (readonly [string, (bridge: Bridge) => Promise<boolean>])[] = [
          [
            'while the file is read',
            async (bridge) => {
              const [work] = valueOf(await bridge.call('work.list', {}));
              return work !== undefined && work.done > 0.1 * (work.total ?? Infinity);
            },
          ],
          ['when a copy is begun', async () => existsSync(records) && readdirSync(records).length > 0],
          ['when the log has begun to say it', async () => statSync(log).size > logAtFirst],
        ];
        for (const [when, reached] of moments) {
          host = await startHost(home, credential);
          const given = host.bridge.call('consent.give', consent);
          while (!(await reached(host.bridge))) await sleep(1);
          host.child.kill('SIGKILL');
          await once(host.child, 'exit');
          const ended = await given;
          host.close();
          const agreed = (await ledgerEntries(home)).filter(({ kind }) => kind === 'consent-given');
          assert.ok(agreed.length <= (when.includes('read') ? 0 : 1), when);
          assert.equal(await digest(), before, `${when}: the file is as it was`);

          host = await startHost(home, credential);
          const verdict = valueOf(await host.bridge.call('audit.verify', {}));
          assert.ok(verdict.verified, `${when}: ${verdict.finding}`);
          const [study] = valueOf(await host.bridge.call('study.list', {}));
          // Signed only where the log holds it; else it waits for the same decision.
          const signed = study!.state !== 'decide';
          assert.ok(!signed || agreed.length === 1, `${when}: ${study!.state}`);
          assert.ok(!ended.ok || signed, `${when}: what was answered is there`);
          host.child.kill('SIGTERM');
          await once(host.child, 'exit');
          host.close();
        }

        host = await startHost(home, credential);
        const done = valueOf(await host.bridge.call('consent.give', consent));
        const page = valueOf(await host.bridge.call('study.review', { study: 'sample' }));
        assert.equal(page.consent?.epsilon, done.epsilon);
        const [dataset] = valueOf(await host.bridge.call('data.list', {}));
        assert.deepEqual([dataset!.encrypted, dataset!.amounts], [true, 0]);
        assert.ok(valueOf(await host.bridge.call('audit.verify', {})).verified);
        host.child.kill('SIGTERM');
        await once(host.child, 'exit');
        host.close();
        const kept = await readdir(records);
        assert.deepEqual(
          kept.map((name) => name.split('.')[1]).sort(),
          ['copy', 'key'],
          `what is left: ${kept.join(' ')}`,
        );
        assert.equal(await digest(), before);
      } finally {
        await homes.remove();
      }
    });
  },
);
