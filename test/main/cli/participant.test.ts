// The participant as people start it: a coordinator and four institutions as processes of their own, over sockets, with
// the real trainer; one of them is killed in mid-round and comes back.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { toHex } from '../../../app/encoding/bytes.ts';
import { openEnrolment } from '../../../app/study/enrolment.ts';
import { signContract, signedContractText } from '../../../app/study/signed-contract.ts';
import { openKeystore } from '../../../main/host/keys/keystore.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { readStatus } from '../../../main/host/participant/status.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';
import { freePort } from '../free-port.ts';
import { invitationText, ledgerEntries, recordsText } from '../host/participant/homes.ts';

const program = fileURLToPath(new URL('../../../main/cli/index.ts', import.meta.url));

type Result = { readonly code: number; readonly out: string; readonly lines: { readonly [name: string]: unknown }[] };

function run(args: readonly string[]): Promise<Result> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args, '--json'], (error, out) => {
      const lines = out
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { [name: string]: unknown });
      resolve({ code: error === null ? 0 : Number(error.code), out, lines });
    });
  });
}

async function ok(args: readonly string[]): Promise<{ readonly [name: string]: unknown }> {
  const { code, out, lines } = await run(args);
  assert.equal(code, 0, out);
  return lines.at(-1)!;
}

test('four institutions and a coordinator as processes; one is killed after sealing and comes back', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-journey-'));
  const children: ChildProcess[] = [];
  t.after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  const at = (name: string): string => join(folder, name);
  await writeFile(at('credential'), 'a credential of enough characters\n', { mode: 0o600 });
  await writeFile(at('wrong'), 'another credential of enough length\n', { mode: 0o600 });
  const credential = ['--credential-file', at('credential')];
  const address = `http://127.0.0.1:${await freePort()}`;
  const { lead } = sampleStudy({ institutions: 4 });
  const central = await openKeystore({ folder: at('central'), credentialFile: at('credential'), keyring: false });
  const coordinatorKey = toHex(central.identity.publicKey);
  central.close();

  await writeFile(at('invitation.json'), invitationText({ address }));
  const names = [0, 1, 2, 3].map((index) => `site-${index}`);
  await Promise.all(
    names.map(async (name, index) => {
      await writeFile(at(`${name}.csv`), recordsText(100, index + 1));
      const joining = ['join', at('invitation.json'), '--name', name, '--organisation', `Hospital ${index}`];
      await ok([
        'participant',
        ...joining,
        '--units',
        '100',
        '--home',
        at(name),
        '--out',
        at(`${name}.json`),
        ...credential,
      ]);
    }),
  );
  const roster = await Promise.all(
    names.map(async (name) => {
      const { enrolment } = openEnrolment(nodeCipher, await readFile(at(`${name}.json`), 'utf8'));
      const { organisation, identityKey, nominalUnits } = enrolment;
      return { name, organisation, identityKey, nominalUnits };
    }),
  );
  const { contract } = sampleStudy({
    institutions: 4,
    change: (base) => ({
      ...base,
      coordinator: { ...base.coordinator, address, key: coordinatorKey },
      roster,
      schedule: {
        rounds: 3,
        attempts: 6,
        stageSeconds: { ready: 30, shares: 30, masked: 30, consistency: 30, unmask: 30 },
        intervalSeconds: 0,
      },
    }),
  });
  await writeFile(at('signed.json'), signedContractText(signContract(nodeCipher, lead, contract)));

  const start = (args: readonly string[]): ChildProcess => {
    const child = spawn(process.execPath, [program, ...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    return child;
  };
  const port = new URL(address).port;
  const coordinator = start([
    'coordinator',
    '--study',
    at('signed.json'),
    '--home',
    at('central'),
    '--port',
    port,
    ...credential,
  ]);
  await once(coordinator.stdout!, 'data');

  await Promise.all(
    names.map(async (name, index) => {
      // The first asks the coordinator for the contract; the others were given the file.
      const source = index === 0 ? ['--invited', 'sample'] : ['--contract', at('signed.json')];
      // The second has its file read where it lies; the others keep an encrypted copy, so their files may go.
      const inPlace = index === 1 ? ['--in-place'] : [];
      const given = ['--home', at(name), '--data', at(`${name}.csv`), ...source, ...inPlace, ...credential];
      const consent = await ok(['participant', 'consent', ...given]);
      assert.deepEqual([consent['index'], consent['outcome'], consent['untold']], [index, 'warn', null]);
      assert.equal((consent['dataset'] as { encryptedCopy: boolean }).encryptedCopy, index !== 1);
      if (index !== 1) await unlink(at(`${name}.csv`));
    }),
  );

  const takePart = (name: string) => {
    const child = start(['participant', 'run', '--home', at(name), ...credential]);
    let out = '';
    child.stdout!.on('data', (data: Buffer) => (out += data.toString('utf8')));
    const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out }));
    return { child, ended };
  };
  const runs = new Map(names.map((name) => [name, takePart(name)]));
  const victim = 'site-2';
  for (;;) {
    const status = await readStatus(at(victim));
    if (status?.round === 2 && ['masked', 'consistency'].includes(status.stage ?? '')) break;
    assert.equal(runs.get(victim)!.child.exitCode, null, 'it ended before it could be killed');
    await sleep(2);
  }
  runs.get(victim)!.child.kill('SIGKILL');
  await runs.get(victim)!.ended;
  const seen = await ok(['participant', 'status', '--home', at(victim)]);
  assert.equal(seen['running'], false);
  const refused = await run(['participant', 'run', '--home', at(victim), '--credential-file', at('wrong')]);
  assert.deepEqual([refused.code, (refused.lines[0]!['error'] as { code: string }).code], [1, 'wrong-key']);
  runs.set(victim, takePart(victim));

  const models = new Set<string>();
  for (const [name, { ended }] of runs) {
    const { code, out } = await ended;
    assert.equal(code, 0, `${name}: ${out}`);
    const outcome = JSON.parse(out.trimEnd().split('\n').at(-1)!) as { [name: string]: unknown };
    assert.deepEqual([outcome['outcome'], outcome['roundsClosed']], ['complete', 3]);
    assert.equal((outcome['ledger'] as { verified: boolean }).verified, true);
    const { share } = outcome['epsilon'] as { share: number };
    assert.ok(share > 0 && share < 1);
    models.add(String(outcome['model']));
    const entries = await ledgerEntries(at(name));
    const reserved = entries.filter((entry) => entry.kind === 'budget-reserved').map((entry) => entry.body['round']);
    assert.deepEqual(reserved, [...new Set(reserved)], name);
    assert.ok(!out.includes('untrained'), out);
  }
  assert.equal(models.size, 1);
  const verified = await ok(['ledger', 'verify', join(at(victim), 'ledger')]);
  assert.equal(verified['verified'], true);
});
