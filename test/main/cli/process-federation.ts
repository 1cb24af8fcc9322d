// A coordinator and institutions as processes of their own, started from the command line as people start them, for tests
// that kill processes and listen to the wire. Everything that a process says is kept.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toHex } from '../../../app/encoding/bytes.ts';
import type { Signer } from '../../../app/ports.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { openEnrolment } from '../../../app/study/enrolment.ts';
import { signContract, signedContractText } from '../../../app/study/signed-contract.ts';
import { openKeystore } from '../../../main/host/keys/keystore.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';
import { invitationText } from '../host/participant/homes.ts';

const program = fileURLToPath(new URL('../../../main/cli/index.ts', import.meta.url));

export type Ended = { readonly code: number | null; readonly out: string };
export type Started = { readonly child: ChildProcess; readonly ended: Promise<Ended> };

export type ProcessFederation = {
  readonly folder: string;
  readonly names: readonly string[];
  /** A path in the federation's folder. */
  at(name: string): string;
  /** Starts a command; its words, errors included, go to `said` too. */
  start(...args: readonly string[]): Started;
  /** The last line of a command that must succeed, from JSON. */
  ok(...args: readonly string[]): Promise<{ readonly [name: string]: unknown }>;
  /** `home`: its folder in the federation's. */
  startCoordinator(home?: string): Promise<Started>;
  takePart(name: string): Started;
  /** All that any process has written to its standard output and error so far. */
  said(): string;
  close(): Promise<void>;
};

/**
 * Institutions that have joined and consented; nothing runs but the coordinator.
 * @param options.address where participants are told to find it, when that is not the port it listens on
 */
export async function processFederation(options: {
  readonly records: readonly string[];
  readonly port: number;
  readonly address?: string;
  readonly schedule: Contract['schedule'];
  readonly units?: number;
  /** Short name and title of the study, where there is more than one. */
  readonly study?: { readonly study: string; readonly title: string };
  /** The first institution takes part from a home that is there already, whose credential is the same. */
  readonly firstHome?: string;
  /** Signs invitation and terms; a key of the tests otherwise. */
  readonly lead?: Signer;
  /** Other terms, before they are signed. */
  readonly change?: (contract: Contract) => Contract;
}): Promise<ProcessFederation> {
  const { records, port, address = `http://127.0.0.1:${port}` } = options;
  const folder = await mkdtemp(join(tmpdir(), 'consilience-processes-'));
  const { study = { study: 'sample', title: 'A sample study' }, firstHome } = options;
  const at = (name: string): string => (name === 'site-0' && firstHome !== undefined ? firstHome : join(folder, name));
  await mkdir(at('temporary'));
  const children: ChildProcess[] = [];
  let said = '';
  const credential = ['--credential-file', at('credential')];
  const names = records.map((_, index) => `site-${index}`);

  const start = (...args: readonly string[]): Started => {
    const child = spawn(process.execPath, [program, ...args, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: at('temporary') },
    });
    children.push(child);
    let out = '';
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString('utf8');
      said += data.toString('utf8');
    });
    child.stderr.on('data', (data: Buffer) => (said += data.toString('utf8')));
    const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out }));
    return { child, ended };
  };
  const ok = async (...args: readonly string[]) => {
    const { code, out } = await start(...args).ended;
    assert.equal(code, 0, `${args.join(' ')}: ${out} ${said}`);
    return JSON.parse(out.trimEnd().split('\n').at(-1)!) as { readonly [name: string]: unknown };
  };
  const startCoordinator = async (home = 'central'): Promise<Started> => {
    const where = ['--study', at('signed.json'), '--home', at(home), '--port', String(port)];
    const started = start('coordinator', '--log', ...where, ...credential);
    await once(started.child.stdout!, 'data');
    return started;
  };

  await writeFile(at('credential'), 'a credential of enough characters\n', { mode: 0o600 });
  const central = await openKeystore({ folder: at('central'), credentialFile: at('credential'), keyring: false });
  const coordinatorKey = toHex(central.identity.publicKey);
  central.close();
  const lead = options.lead ?? sampleStudy({ institutions: 3 }).lead;
  await writeFile(at('invitation.json'), invitationText({ address, ...study }, lead));
  const roster = await Promise.all(
    names.map(async (name, index) => {
      await mkdir(at(`records-${index}`));
      await writeFile(at(`records-${index}/records.csv`), records[index]!);
      const own = ['--name', name, '--organisation', `Hospital ${index}`, '--units', String(options.units ?? 100)];
      await ok('participant', 'join', at('invitation.json'), ...own, '--home', at(name), ...credential);
      const answer = await readFile(join(at(name), 'invitations', study.study, 'enrolment.json'), 'utf8');
      const { organisation, identityKey, nominalUnits } = openEnrolment(nodeCipher, answer).enrolment;
      return { name, organisation, identityKey, nominalUnits };
    }),
  );
  const { contract } = sampleStudy({
    institutions: names.length,
    change: (base) => {
      const contract = {
        ...base,
        name: study.study,
        title: study.title,
        lead: { ...base.lead, identityKey: toHex(lead.publicKey) },
        coordinator: { ...base.coordinator, address, key: coordinatorKey },
        roster,
        schedule: options.schedule,
      };
      return options.change?.(contract) ?? contract;
    },
  });
  await writeFile(at('signed.json'), signedContractText(signContract(nodeCipher, lead, contract)));

  return {
    folder,
    names,
    at,
    start,
    ok,
    startCoordinator,
    takePart: (name) => start('participant', 'run', '--home', at(name), ...credential),
    said: () => said,
    async close() {
      for (const child of children)
        if (child.exitCode === null && child.signalCode === null) {
          const gone = once(child, 'exit');
          child.kill('SIGKILL');
          await gone;
        }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** How a process ended that must end by itself; one that goes on is killed, and its code is then null. */
export async function endedWithin({ child, ended }: Started, seconds: number): Promise<Ended> {
  const timer = setTimeout(() => child.kill('SIGKILL'), 1000 * seconds);
  try {
    return await ended;
  } finally {
    clearTimeout(timer);
  }
}

/** Consents for everybody; the coordinator must be reachable at the contract's address. */
export async function consentEverybody(fed: ProcessFederation, ...more: readonly string[]): Promise<void> {
  await Promise.all(
    fed.names.map((name, index) => {
      const data = ['--data', fed.at(`records-${index}/records.csv`), '--contract', fed.at('signed.json')];
      return fed.ok(
        'participant',
        'consent',
        '--home',
        fed.at(name),
        ...data,
        '--credential-file',
        fed.at('credential'),
        ...more,
      );
    }),
  );
}
