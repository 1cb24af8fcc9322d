// `npm run -s bench -- coordinator [--participants N]`: whole rounds of up to 500 institutions at d = 10⁵ against the real
// command on SQLite, as a process of its own on the same two cores as the load (load-client.ts). Design 6, "Load to hold".

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fromUtf8 } from '../../app/encoding/bytes.ts';
import { createModelChain } from '../../app/round/model-chain.ts';
import { subsetSize } from '../../app/sealed-sum/subset.ts';
import { consentTo, signConsent, signedConsentText } from '../../app/study/consent.ts';
import { signContract, signedContractText } from '../../app/study/signed-contract.ts';
import { nodeCipher } from '../../main/host/machine.ts';
import { sampleStudy } from '../app/round/sample-study.ts';
import type { SampleStudy } from '../app/round/sample-study.ts';
import { startByteCounter } from './byte-counter.ts';
import type { ByteCounter } from './byte-counter.ts';
import { loadClient, plainWord } from './load-client.ts';
import type { LoadClient, RoundSecrets } from './load-client.ts';

export type LoadOptions = {
  readonly participants: number;
  /** Hidden layers of an MLP of 4 features. */
  readonly hidden: readonly number[];
  readonly rounds: number;
  /** Vectors travel packed to this many bits. */
  readonly packedBits?: number;
  /** This part of the parameters travels. */
  readonly subset?: number;
  /** An institution whose bytes on the wire are counted, from its Ready to its last share. */
  readonly countBytesOf?: number;
};

/** d = 100 003. */
const fullHidden = [16_667];
/** Requests under way at once. */
const atOnce = 32;
const stageSeconds = 86_400;
const entry = path.resolve(import.meta.dirname, '../../main/cli/index.ts');

export type LoadResult = {
  readonly participants: number;
  /** Words that travel. */
  readonly dimension: number;
  /** Of the model. */
  readonly parameters: number;
  readonly rounds: number;
  readonly requests: number;
  readonly failedRequests: number;
  /** Of the coordinator's process; null where the system does not say. */
  readonly peakBytes: number | null;
  readonly requestsPerSecond: number;
  /** Of messages and status calls, from the institution's side. */
  readonly p99Milliseconds: number;
  readonly secondsPerRound: number;
  /** Of the institution that was asked for: all rounds, the sums' own bytes not in it. */
  readonly bytes?: { readonly sent: number; readonly received: number };
};

export async function coordinatorBench(words: readonly string[] = []): Promise<object> {
  const most = Number(words[words.indexOf('--participants') + 1] ?? Number.NaN);
  const full = Number.isSafeInteger(most) && most >= 3 ? Math.min(most, 500) : 500;
  const growth: LoadResult[] = [];
  for (const participants of [Math.ceil(full / 4), Math.ceil(full / 2), full])
    growth.push(await runLoad({ participants, hidden: fullHidden, rounds: 1 }));
  const { participants, failedRequests: _, peakBytes, requestsPerSecond, p99Milliseconds, ...rest } = growth.at(-1)!;
  return {
    participants,
    failedRequests: growth.reduce((sum, one) => sum + one.failedRequests, 0),
    peakBytes,
    requestsPerSecond,
    p99Milliseconds,
    ...rest,
    cores: availableParallelism(),
    requestsAtOnce: atOnce,
    growth: growth.map((one) => ({ participants: one.participants, peakBytes: one.peakBytes })),
    note: 'Coordinator and load share the cores. The load sends what full clients send; see test/bench/load-client.ts.',
  };
}

/** Whole rounds of that many institutions. @throws Error where a sum is not the sum. */
export async function runLoad({
  participants,
  hidden,
  rounds,
  packedBits,
  subset,
  countBytesOf,
}: LoadOptions): Promise<LoadResult> {
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-load-'));
  const credential = path.join(folder, 'credential');
  writeFileSync(credential, 'a credential that is long enough\n', { mode: 0o600 });
  const keys = ['--home', path.join(folder, 'home'), '--credential-file', credential];
  const env = { ...process.env, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent' };
  const made = spawnSync(process.execPath, [entry, 'coordinator', 'key', '--json', ...keys], { encoding: 'utf8', env });
  const { key } = JSON.parse(made.stdout) as { key: string };
  const smaller = {
    ...(packedBits === undefined ? {} : { packedBits }),
    ...(subset === undefined ? {} : { subset }),
  };
  const study = loadStudy({ participants, hidden, rounds, ...smaller }, key);
  const studyFile = path.join(folder, 'study.json');
  writeFileSync(studyFile, signedContractText(signContract(nodeCipher, study.lead, study.contract)));
  const child = spawn(process.execPath, [entry, 'coordinator', '--json', '--study', studyFile, ...keys], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env,
  });
  let counter: ByteCounter | null = null;
  try {
    const address = await new Promise<string>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the coordinator ended with ${code}`)));
      createInterface(child.stdout).once('line', (line) => resolve((JSON.parse(line) as { address: string }).address));
    });
    if (countBytesOf !== undefined) counter = await startByteCounter(address);
    const counted = counter === null ? null : { index: countBytesOf!, counter };
    const measured = await drive(study, address, rounds, counted);
    const { dimension } = study.parameters;
    const parameters = study.contract.sealing.subset?.parameters ?? dimension;
    return { participants, dimension, parameters, rounds, peakBytes: peakOf(child.pid!), ...measured };
  } finally {
    await counter?.close();
    child.removeAllListeners('exit');
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null) {
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

function loadStudy({ participants, hidden, rounds, packedBits, subset }: LoadOptions, key: string): SampleStudy {
  const layers = [4, ...hidden, 1];
  const dimension = hidden.reduce((sum, width, at) => sum + width * (layers[at]! + 1), hidden.at(-1)! + 1);
  return sampleStudy({
    institutions: participants,
    change: (contract) => ({
      ...contract,
      coordinator: { ...contract.coordinator, key },
      task: {
        ...contract.task,
        model: { kind: 'mlp', hidden: [...hidden], activation: 'relu', initialisation: { kind: 'seeded', seed: 1 } },
      },
      sealing: {
        ...contract.sealing,
        dimension: subset === undefined ? dimension : subsetSize(dimension, subset),
        ...(subset === undefined ? {} : { subset: { kind: 'seeded' as const, share: subset, parameters: dimension } }),
        ...(packedBits === undefined ? {} : { packing: 'ring' as const, ringBits: packedBits }),
      },
      schedule: {
        ...contract.schedule,
        rounds,
        attempts: rounds + 1,
        stageSeconds: {
          ready: stageSeconds,
          shares: stageSeconds,
          masked: stageSeconds,
          consistency: stageSeconds,
          unmask: stageSeconds,
        },
      },
    }),
  });
}

/** VmHWM of Linux. */
function peakOf(pid: number): number | null {
  if (process.platform !== 'linux') return null;
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return line === null ? null : 1024 * Number(line[1]);
}

async function drive(
  study: SampleStudy,
  address: string,
  rounds: number,
  watched: { readonly index: number; readonly counter: ByteCounter } | null,
) {
  const { parameters, contract } = study;
  const clients = study.identities.map((_, index) =>
    loadClient(study, index, watched?.index === index ? watched.counter.address : address),
  );
  const bytes = { sent: 0, received: 0 };
  let before = bytes;
  const small: number[] = [];
  let requests = 0;
  let failedRequests = 0;
  const counted = async <Result>(count: number, work: Promise<Result>): Promise<Result> => {
    requests += count;
    try {
      return await work;
    } catch (error) {
      failedRequests += 1;
      throw error;
    }
  };
  const timed = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    const begun = performance.now();
    const result = await counted(1, work());
    small.push(performance.now() - begun);
    return result;
  };
  const all = async (work: (one: LoadClient) => Promise<void>): Promise<void> => {
    const left = [...clients];
    const lane = async (): Promise<void> => {
      for (let one = left.shift(); one !== undefined; one = left.shift()) await work(one);
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, clients.length) }, lane));
  };
  const head = async (round: number, stage: 0 | 1 | 2 | 3 | 4) => {
    const bytes = await clients[0]!.client.broadcast(round, stage);
    const value = JSON.parse(fromUtf8(bytes!)) as { head?: { body: Record<string, string>; signature: string } };
    return value.head ?? (value as unknown as { body: Record<string, string>; signature: string });
  };
  const fetched = async (one: LoadClient, round: number, stage: 0 | 1 | 2 | 3 | 4): Promise<void> => {
    await timed(() => one.client.status(null, 0));
    await counted(1, one.client.broadcast(round, stage));
  };

  try {
    await all(async ({ index, client }) => {
      const consent = consentTo(nodeCipher, contract, {
        index,
        dataset: { name: 'data', lineage: null },
        epsilonCeiling: contract.privacy.epsilon,
        noise: contract.privacy.noise,
        given: '2026-01-02T00:00:00.000Z',
        expires: '2035-01-01T00:00:00.000Z',
      });
      await client.sendConsent(signedConsentText(signConsent(nodeCipher, study.identities[index]!, consent)));
    });
    const begun = performance.now();
    let chain = createModelChain(nodeCipher, contract);
    let last = { round: 0, sum: '0'.repeat(64) };
    const everybody = clients.map(({ index }) => index);
    for (let round = 1; round <= rounds; round++) {
      before = watched?.counter.counted() ?? before;
      const secrets: RoundSecrets = { self: new Map(), mask: new Map() };
      await all((one) => timed(() => one.client.send(one.ready(round, chain.hash, last))));
      const first = await head(round, 0);
      const u1 = { hash: first.body['u1']!, signature: first.signature };
      await all(async (one) => {
        await fetched(one, round, 0);
        const { message, bundle } = one.shares(round, everybody, u1, secrets);
        await counted(1, one.client.sendShares(message, bundle));
      });
      const u2 = (await head(round, 1)).body['u2']!;
      await all(async (one) => {
        await fetched(one, round, 1);
        await counted(1, one.client.boxes(round));
        const { message, chunks } = one.masked(round, u1.hash, u2);
        await timed(() => one.client.send(message));
        await counted(1 + chunks.length, one.client.upload(round, chunks));
      });
      const statement = (await head(round, 2)).body['statement']!;
      await all(async (one) => {
        await fetched(one, round, 2);
        await timed(() => one.client.send(one.consistency(round, u1.hash, u2, statement)));
      });
      await all(async (one) => {
        await fetched(one, round, 3);
        await timed(() => one.client.send(one.unmask(round, statement, secrets)));
      });
      const after = watched?.counter.counted() ?? before;
      bytes.sent += after.sent - before.sent;
      bytes.received += after.received - before.received;
      while ((await clients[0]!.client.status(null, 0)).closed < round) await delay(50);
      const { sum } = (await head(round, 4)).body as { sum: string };
      const words = await clients[0]!.client.sumChunk(round, 0);
      requireSum(words, everybody);
      await all(async (one) => {
        await fetched(one, round, 4);
        await counted(1, one.client.sumChunk(round, 0));
      });
      chain = chain.apply(everybody, words).chain;
      last = { round, sum };
    }
    const seconds = (performance.now() - begun) / 1000;
    small.sort((left, right) => left - right);
    return {
      requests,
      failedRequests,
      requestsPerSecond: requests / seconds,
      p99Milliseconds: small[Math.ceil(0.99 * small.length) - 1]!,
      secondsPerRound: seconds / rounds,
      ...(watched === null ? {} : { bytes }),
    };
  } finally {
    for (const { client } of clients) client.close();
  }

  function requireSum(words: Uint32Array, indices: readonly number[]): void {
    const bySlot = Array.from({ length: 8 }, (_, at) => indices.reduce((sum, index) => sum + plainWord(index, at), 0));
    if (words.length !== parameters.dimension || words.some((word, at) => word !== bySlot[at % 8]))
      throw new Error('the opened sum is not the sum of the vectors');
  }
}
