// Institutions for tests of the participant: real homes, made by joining and consenting, and a coordinator in memory
// behind the connection that the real client implements.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock, nodeCipher, nodeMachine } from '../../../../main/host/machine.ts';
import { UnavailableError } from '../../../../app/errors.ts';
import type { Signer } from '../../../../app/ports.ts';
import { createModelChain } from '../../../../app/round/model-chain.ts';
import { statusFor } from '../../../../app/round/coordinator-study.ts';
import { studyParameters } from '../../../../app/round/parameters.ts';
import { memoryCoordinator } from '../../../../app/simulation/memory-coordinator.ts';
import type { MemoryCoordinator } from '../../../../app/simulation/memory-coordinator.ts';
import { openSignedConsent, openSignedWithdrawal } from '../../../../app/study/consent.ts';
import type { Contract } from '../../../../app/study/contract.ts';
import type { Enrolment } from '../../../../app/study/enrolment.ts';
import { openEnrolment } from '../../../../app/study/enrolment.ts';
import { signInvitation, signedInvitationText } from '../../../../app/study/invitation.ts';
import { signContract, signedContractText } from '../../../../app/study/signed-contract.ts';
import type { SignedContract } from '../../../../app/study/signed-contract.ts';
import type { KeySourceOptions } from '../../../../main/host/keys/key-source.ts';
import type { StudyConnection } from '../../../../main/host/participant/connection.ts';
import { consentToStudy } from '../../../../main/host/participant/consent.ts';
import type { ConsentOptions, Consented } from '../../../../main/host/participant/consent.ts';
import { openSignedDeviceReplacement } from '../../../../app/study/device-replacement.ts';
import type { RecoveryConnection } from '../../../../main/host/participant/recover.ts';
import { joinStudy } from '../../../../main/host/participant/join.ts';
import type { RunOptions } from '../../../../main/host/participant/run.ts';
import type { RoundTrainerOptions } from '../../../../main/host/participant/trainer.ts';
import { zeroPlusNoise } from '../../../../main/trainer/sealed-vector.ts';
import { sampleStudy } from '../../../app/round/sample-study.ts';

export type Institution = { readonly home: string; readonly name: string; readonly data: string };

export type Homes = {
  readonly folder: string;
  readonly keys: KeySourceOptions;
  readonly institutions: readonly Institution[];
  readonly signed: SignedContract;
  readonly contractText: string;
  consent(institution: Institution, change?: Partial<ConsentOptions>): Promise<Consented>;
  /** Another contract of the same lead, for the same institutions. */
  another(change: (contract: Contract) => Contract): string;
  remove(): Promise<void>;
};

const { lead } = sampleStudy({ institutions: 3 });

export const invitationText = (
  change: {
    readonly address?: string;
    readonly expires?: string;
    readonly study?: string;
    readonly title?: string;
  } = {},
  by: Signer = lead,
): string =>
  signedInvitationText(
    signInvitation(nodeCipher, by, {
      format: 'consilience/invitation/1',
      study: 'sample',
      title: 'A sample study',
      purpose: 'To test the protocol.',
      address: 'http://127.0.0.1:1',
      lead: { organisation: 'Lead', identityKey: Buffer.from(by.publicKey).toString('hex') },
      certificateAuthority: null,
      created: '2026-01-01T00:00:00.000Z',
      expires: '2036-01-01T00:00:00.000Z',
      ...change,
    }),
  );

/** Made-up records that the sample contract accepts; the label follows the first feature. */
export function recordsText(rows: number, seed: number): string {
  const lines = ['x0,x1,x2,x3,y'];
  for (let row = 0; row < rows; row++) {
    const value = (column: number): number => Math.sin(seed * 97 + row * 13 + column * 7);
    lines.push([0, 1, 2, 3].map((column) => value(column).toFixed(4)).join(',') + `,${value(0) > 0 ? 1 : 0}`);
  }
  return `${lines.join('\n')}\n`;
}

export async function makeHomes(
  count: number,
  change: (contract: Contract) => Contract = (same) => same,
  /** Of the coordinator; nobody listens at the usual one. */
  address = 'http://127.0.0.1:1',
): Promise<Homes> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-participant-'));
  const credentialFile = join(folder, 'credential');
  await writeFile(credentialFile, 'a credential of enough characters\n', { mode: 0o600 });
  const keys: KeySourceOptions = { credentialFile, keyring: false, scryptLogN: 14 };
  const institutions: Institution[] = [];
  const enrolments: Enrolment[] = [];
  for (let index = 0; index < count; index++) {
    const name = `site-${index}`;
    const home = join(folder, name);
    const data = join(folder, `${name}.csv`);
    await writeFile(data, recordsText(100, index + 1));
    const invitation = invitationText({ address });
    const joined = await joinStudy({ home, keys, invitation, name, organisation: `Site ${index}`, nominalUnits: 100 });
    enrolments.push(openEnrolment(nodeCipher, joined.enrolment).enrolment);
    institutions.push({ home, name, data });
  }
  const contractFor = (more: (contract: Contract) => Contract): SignedContract => {
    const { contract } = sampleStudy({
      institutions: count,
      change: (base) =>
        more(
          change({
            ...base,
            coordinator: { ...base.coordinator, address },
            roster: enrolments.map(({ name, organisation, identityKey, nominalUnits }) => ({
              name,
              organisation,
              identityKey,
              nominalUnits,
            })),
          }),
        ),
    });
    return signContract(nodeCipher, lead, contract);
  };
  const signed = contractFor((same) => same);
  return {
    folder,
    keys,
    institutions,
    signed,
    contractText: signedContractText(signed),
    consent: (institution, options = {}) =>
      consentToStudy({
        home: institution.home,
        keys,
        contract: signedContractText(signed),
        policy: null,
        data: { name: 'records', path: institution.data },
        epsilon: null,
        datasetEpsilon: null,
        acceptNoNoise: false,
        expires: null,
        send: () => Promise.resolve(),
        ...options,
      }),
    another: (more) => signedContractText(contractFor(more)),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export type Central = {
  readonly coordinator: MemoryCoordinator;
  /** Set: every call fails as if nobody answered. */
  down: boolean;
  readonly withdrawals: string[];
  readonly replacements: string[];
  connect(index: number): StudyConnection & RecoveryConnection;
};

/** The real reducer in memory, as every institution's client would see it. */
export function makeCentral(contract: Contract): Central {
  const parameters = studyParameters(nodeCipher, contract);
  const signer = sampleStudy({ institutions: 3 }).coordinator;
  const first = createModelChain(nodeCipher, contract);
  const coordinator = memoryCoordinator({ cipher: nodeCipher, parameters, signer }, first, systemClock);
  const withdrawals: string[] = [];
  const replacements: string[] = [];
  const central: Central = {
    coordinator,
    down: false,
    withdrawals,
    replacements,
    connect(index) {
      const port = coordinator.portFor(index);
      const guarded = new Proxy(port, {
        get: (target, name, receiver) => {
          const method: unknown = Reflect.get(target, name, receiver);
          if (typeof method !== 'function') return method;
          return async (...args: unknown[]) => {
            requireUp();
            const answer: unknown = await method.apply(target, args);
            coordinator.openIfDue();
            return answer;
          };
        },
      });
      return {
        port: guarded,
        async status(cursor, waitMs, signal) {
          const until = performance.now() + Math.min(waitMs, 200);
          for (;;) {
            requireUp();
            coordinator.apply({ kind: 'tick', now: Date.now() });
            coordinator.openIfDue();
            const status = statusFor(coordinator.study(), index);
            const next = fingerprint(JSON.stringify(status));
            if (cursor === null || next !== cursor || performance.now() >= until || signal.aborted)
              return { cursor: next, status };
            await sleep(3);
          }
        },
        async sendConsent(text) {
          requireUp();
          openSignedConsent(nodeCipher, contract, text.trimEnd());
          coordinator.apply({ kind: 'consented', index, now: Date.now() });
        },
        async sendWithdrawal(text) {
          requireUp();
          openSignedWithdrawal(nodeCipher, contract, text);
          withdrawals.push(text);
          coordinator.apply({ kind: 'withdrawn', index, now: Date.now() });
        },
        async ownReadies() {
          requireUp();
          return coordinator.study().readies.filter((ready) => ready.sender === index);
        },
        async sendReplacement(text) {
          requireUp();
          const { counter, head } = openSignedDeviceReplacement(nodeCipher, contract, text).replacement;
          replacements.push(text);
          coordinator.apply({ kind: 'replaced', index, counter, head, now: Date.now() });
        },
        close() {},
      };
    },
  };
  const requireUp = (): void => {
    if (central.down) throw new UnavailableError('coordinator-unreachable', 'The coordinator does not answer.');
  };
  return central;
}

function fingerprint(text: string): number {
  let hash = 1;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) >>> 0;
  return hash;
}

/** A trainer that gives zeros plus noise at once, and counts; in place of the process. */
export function quickTrainer(): RoundTrainerOptions['trainer'] & { rounds: number } {
  const trainer = {
    rounds: 0,
    async run(work: Parameters<RoundTrainerOptions['trainer']['run']>[0]) {
      if (work.kind !== 'round') throw new TypeError('only rounds here');
      trainer.rounds += 1;
      const { contract, index, parameters, subset = null } = work;
      const words = await zeroPlusNoise({ contract, index, parameters, subset, random: nodeMachine.random });
      return { kind: 'round', words, failure: null } as never;
    },
    close: () => Promise.resolve(),
  };
  return trainer;
}

/** A quick run of the one study that was agreed to, through `central`. */
export function runOptions(
  homes: Pick<Homes, 'keys'>,
  central: Central,
  institution: Pick<Institution, 'home'>,
  signal: AbortSignal,
): RunOptions {
  return {
    home: institution.home,
    keys: homes.keys,
    study: null,
    policy: null,
    connect: (_stored, index) => Promise.resolve(central.connect(index)),
    trainer: quickTrainer(),
    signal,
    onEvent: () => {},
  };
}

export async function ledgerEntries(home: string) {
  const text = await readFile(join(home, 'ledger', 'ledger.jsonl'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; body: { [name: string]: unknown } });
}
