// Persons who object: never sampled from the next round on, whatever is restarted, killed, put back or imported again.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Contract } from '../../../../app/study/contract.ts';
import { hasPrint, personPrint, printCount } from '../../../../app/training/prints.ts';
import type { Excluded } from '../../../../app/training/prints.ts';
import { excludePersons } from '../../../../main/host/records/exclusion-list.ts';
import { nodeCipher } from '../../../../main/host/machine.ts';
import { openHome } from '../../../../main/host/participant/home.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import { openRegister, registerPath } from '../../../../main/host/records/register.ts';
import type { RoundWork } from '../../../../main/trainer/messages.ts';
import { Trainer } from '../../../../main/trainer/client.ts';
import { ledgerEntries, makeCentral, makeHomes, quickTrainer, recordsText } from '../participant/homes.ts';
import type { Central, Homes, Institution } from '../participant/homes.ts';
import { numbered, protectingPersons, visits } from './person-data.ts';

const schedule = {
  rounds: 2,
  attempts: 4,
  stageSeconds: { ready: 2, shares: 2, masked: 2, consistency: 2, unmask: 2 },
  intervalSeconds: 0,
};
const persons = (contract: Contract): Contract => protectingPersons({ ...contract, schedule });

async function setUp(t: TestContext, change = persons, text = visits(numbered(0, 60))) {
  const homes = await makeHomes(4, change);
  t.after(() => homes.remove());
  for (const { data } of homes.institutions) await writeFile(data, text);
  return { homes, site: homes.institutions[0]! };
}

async function exclude(homes: Homes, site: Institution, ...identifiers: string[]) {
  const path = join(homes.folder, 'objections.txt');
  await writeFile(path, `\uFEFF${identifiers.join('\r\n')}\r\n\n`);
  return excludePersons({ home: site.home, keys: homes.keys, path });
}

/** What the next start would leave out. */
async function excludedNow(homes: Homes, site: Institution): Promise<Excluded> {
  const opened = await openHome(site.home, homes.keys);
  try {
    const { keystore, entries } = opened;
    return (await openRegister({ home: site.home, keystore, entries })).excluded();
  } finally {
    await opened.close();
  }
}

const holds = (excluded: Excluded | null, identifier: string): boolean =>
  excluded !== null && hasPrint(excluded.persons, personPrint(nodeCipher, excluded.key, identifier));

function start(homes: Homes, central: Central, site: Institution, seen: RoundWork[], onRound = async () => {}) {
  const quick = quickTrainer();
  const events: string[] = [];
  const done = runParticipant({
    home: site.home,
    keys: homes.keys,
    study: null,
    policy: null,
    connect: (_stored, index) => Promise.resolve(central.connect(index)),
    trainer: {
      ...quick,
      async run(work, options) {
        if (work.kind === 'round') seen.push(work);
        const outcome = await quick.run(work, options);
        await onRound();
        return outcome;
      },
    },
    signal: AbortSignal.timeout(20_000),
    onEvent: (event) => events.push(event.text),
  });
  done.catch(() => {});
  return { done, events };
}

test('a list given while a study runs is in force from the next round on', async (t) => {
  const { homes, site } = await setUp(t);
  for (const institution of homes.institutions) await homes.consent(institution);
  const central = makeCentral(homes.signed.contract);
  const seen: RoundWork[] = [];
  let given: Promise<unknown> | null = null;
  const first = start(homes, central, site, seen, async () => {
    given ??= exclude(homes, site, 'p 7').then(({ by }) => assert.equal(by, 'running'));
    await given;
  });
  const others = homes.institutions.slice(1).map((one) => start(homes, central, one, []));
  assert.equal((await first.done).outcome, 'complete');
  await Promise.all(others.map((one) => one.done));
  assert.deepEqual(
    seen.map(({ excluded }) => holds(excluded, 'P-7')),
    [false, true],
  );
  const entries = await ledgerEntries(site.home);
  const [loaded, ...more] = entries.filter(({ kind }) => kind === 'exclusion-list-loaded');
  assert.equal(more.length, 0);
  assert.deepEqual([loaded!.body['countFrom'], loaded!.body['countTo']], [0, 9]);
  assert.ok(!JSON.stringify(entries).toLowerCase().includes('p 7'));
  assert.deepEqual(await readdir(join(site.home, 'exclusions')), []);
});

test('it outlives re-imports and new studies, and grows only', async (t) => {
  const { homes, site } = await setUp(t);
  const early = await exclude(homes, site, 'P-1', 'P-2');
  assert.deepEqual([early.by, early.count], ['here', { from: 0, to: 9 }]);
  await homes.consent(site);
  const another = homes.another((same) => ({ ...same, title: 'Another' }));
  await homes.consent(site, { contract: another, data: { name: 'again', path: site.data } });
  await exclude(homes, site, ' p 2', 'P-3');
  const excluded = await excludedNow(homes, site);
  assert.equal(printCount(excluded.persons), 3);
  for (const one of ['P-1', 'P-2', 'P-3']) assert.ok(holds(excluded, one));
  assert.ok(!holds(excluded, 'P-4'));
});

test('an older list put back is refused; an unreadable one that waits trains nobody', async (t) => {
  const { homes, site } = await setUp(t);
  await homes.consent(site);
  await exclude(homes, site, 'P-1');
  const old = join(homes.folder, 'old');
  await copyFile(registerPath(site.home), old);
  await exclude(homes, site, 'P-2');
  await exclude(homes, site, 'P-3');
  const newest = await readFile(registerPath(site.home));
  await copyFile(old, registerPath(site.home));
  const central = makeCentral(homes.signed.contract);
  await assert.rejects(start(homes, central, site, []).done, { code: 'register-behind' });
  await writeFile(registerPath(site.home), newest);
  await writeFile(join(site.home, 'exclusions', `${'ab'.repeat(16)}.sealed`), 'not sealed here');
  await assert.rejects(start(homes, central, site, []).done, { code: 'state-altered' });
});

test('killed at any moment of giving a list: what was confirmed stays, and all of it can be opened', async (t) => {
  const { homes, site } = await setUp(t);
  await homes.consent(site);
  await exclude(homes, site, 'P-1');
  const path = join(homes.folder, 'more.txt');
  await writeFile(path, `${numbered(1000, 1200).join('\n')}\n`);
  const entry = join(import.meta.dirname, '../../../../main/cli/index.ts');
  const credential = homes.keys.credentialFile!;
  const command = [
    entry,
    'participant',
    'exclude',
    '--file',
    path,
    '--home',
    site.home,
    '--credential-file',
    credential,
  ];
  const began = performance.now();
  const whole = spawn(process.execPath, command, { stdio: 'ignore' });
  assert.deepEqual(await once(whole, 'exit'), [0, null]);
  const took = performance.now() - began;
  let killed = 0;
  for (const part of [0.2, 0.6, 0.8, 0.95]) {
    const child = spawn(process.execPath, command, { stdio: 'ignore' });
    const ended = once(child, 'exit');
    await Promise.race([sleep(took * part), ended]);
    if (child.exitCode === null) killed++;
    child.kill('SIGKILL');
    await ended;
    const excluded = await excludedNow(homes, site);
    assert.ok(holds(excluded, 'P-1') && holds(excluded, 'P-1100'));
  }
  assert.ok(killed > 0);
  await exclude(homes, site, 'P-5');
  assert.equal(printCount((await excludedNow(homes, site)).persons), 202);
});

test('where no column names persons, only the steward can say that they are not in the file', async (t) => {
  const bare = (contract: Contract): Contract => ({ ...contract, schedule });
  const { homes, site } = await setUp(t, bare, recordsText(60, 1));
  await exclude(homes, site, 'P-1');
  await assert.rejects(homes.consent(site), { code: 'exclusion-without-persons' });
  await homes.consent(site, { excludedRemoved: true });
  const central = makeCentral(homes.signed.contract);
  const stop = AbortSignal.timeout(300);
  const options = {
    home: site.home,
    keys: homes.keys,
    study: null,
    policy: null,
    connect: (_stored: unknown, index: number) => Promise.resolve(central.connect(index)),
    trainer: quickTrainer(),
    onEvent: () => {},
  };
  assert.equal((await runParticipant({ ...options, signal: stop })).outcome, 'stopped');
  // A longer list is another question.
  await exclude(homes, site, 'P-2');
  await assert.rejects(runParticipant({ ...options, signal: AbortSignal.timeout(300) }), {
    code: 'exclusion-without-persons',
  });
});

test('what is no list of identifiers is refused', async (t) => {
  const { homes, site } = await setUp(t);
  const path = join(homes.folder, 'list');
  const given = (content: string | Uint8Array) =>
    writeFile(path, content).then(() => excludePersons({ home: site.home, keys: homes.keys, path }));
  for (const content of ['', '\n\n', Uint8Array.of(0xff, 0xfe, 0x41), `a\n${'x'.repeat(501)}`, 'a\tb\n'])
    await assert.rejects(given(content), { code: 'exclusion-file' });
  await assert.rejects(
    given('fine').then(() => excludePersons({ home: site.home, keys: homes.keys, path: `${path}-` })),
    {
      code: 'disk-failed',
    },
  );
});

test('the trainer process drops their rows before it samples', async (t) => {
  const { homes, site } = await setUp(t);
  const { contract } = homes.signed;
  const noiseless: Contract = {
    ...contract,
    training: { ...contract.training, samplingRate: 1 },
    privacy: { ...contract.privacy, noise: 'none', noiseMultiplier: 0 } as unknown as Contract['privacy'],
  };
  const trainer = new Trainer();
  t.after(() => trainer.close());
  const sum = async (identifiers: readonly string[]): Promise<readonly number[]> => {
    if (identifiers.length > 0) await exclude(homes, site, ...identifiers);
    const excluded = await excludedNow(homes, site);
    const parameters = new Float32Array(contract.sealing.dimension);
    const work = {
      kind: 'round',
      contract: noiseless,
      index: 0,
      parameters,
      recordsFile: site.data,
      excluded,
    } as const;
    return [...(await trainer.run(work)).words].map((word) => word | 0);
  };
  const all = await sum([]);
  assert.ok(all.some((word) => word !== 0));
  const fewer = await sum(numbered(0, 30));
  assert.notDeepEqual(fewer, all);
  assert.deepEqual(new Set(await sum(numbered(0, 60))), new Set([0]));
});
