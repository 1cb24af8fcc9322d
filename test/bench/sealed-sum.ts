// `npm run -s bench -- sealed-sum`: sealing one update at n = 100 beside the processor's own AES rate, opening sums with
// dropouts, and the bytes that one institution moves for a round. Real masks, shares, files, threads and sockets; every
// opened sum is compared with the plain one. Design 3, "Cost to aim at".

import { createCipheriv, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { toHex, wordsToBytes } from '../../app/encoding/bytes.ts';
import { merkleRoot } from '../../app/encoding/merkle.ts';
import type { CoordinatorRound } from '../../app/round/coordinator-state.ts';
import { contextOf } from '../../app/round/parameters.ts';
import type { RoundContext } from '../../app/sealed-sum/context.ts';
import { newKeyPair, pairMaskKey, selfMaskKey } from '../../app/sealed-sum/keys.ts';
import { chunkCount, chunkRange, ownMasks } from '../../app/sealed-sum/masks.ts';
import type { SignedKey } from '../../app/sealed-sum/masks.ts';
import { NoiseSampler } from '../../app/sealed-sum/noise.ts';
import { packedLength } from '../../app/sealed-sum/packing.ts';
import { drawSecret, joinerFor, splitSecret } from '../../app/sealed-sum/shamir.ts';
import { customaryQuorum } from '../../app/sealed-sum/thresholds.ts';
import { vectorLeafHash } from '../../app/sealed-sum/vector-root.ts';
import { noiseVariance } from '../../app/units.ts';
import { createAddingPool } from '../../main/coordinator/vectors/adding-pool.ts';
import { openBlobs } from '../../main/coordinator/vectors/blobs.ts';
import { chunkFiles } from '../../main/coordinator/vectors/chunk-files.ts';
import { nodeCipher as cipher, systemRandom as random } from '../../main/host/machine.ts';
import { createSealer } from '../../main/host/sealing/sealer.ts';
import type { Sealer } from '../../main/host/sealing/sealer.ts';
import { sampleStudy } from '../app/round/sample-study.ts';
import { runLoad } from './coordinator.ts';

export type SealFigures = {
  /** From the noised vector to the signed root: key agreement, masks, bytes, hashes. */
  readonly seconds: number;
  /** Masks expanded and added, all threads, as a share of cores times the rate of AES-256-CTR over 1 MiB blocks. */
  readonly shareOfAesRate: number;
  /** The same by processor time, all threads: what is left of it where other programs share the cores. */
  readonly shareOfAesCpuTime: number;
  readonly maskSeconds: number;
  readonly keySeconds: number;
  /** One thread's sampling of the noise share, at a standard deviation of 1000 steps. */
  readonly noiseSeconds: number;
  readonly participants: number;
  readonly dimension: number;
  readonly threads: number;
  /** One core, `update` of node:crypto over 1 MiB of zeros, as anybody would call it. */
  readonly aesGibPerSecond: number;
  /** The same, each output freed at once as the sealer does: the memory stays in the cache. */
  readonly aesFreedGibPerSecond: number;
};

export type OpenFigures = {
  readonly participants: number;
  readonly dimension: number;
  readonly dropout: number;
  readonly dropouts: number;
  /** From the answered shares in hand to the opened sum: shares joined, keys agreed, vectors read, hashed and added; threads run already. */
  readonly seconds: number;
};

const gib = 2 ** 30;
const sealed = { participants: 100, dimension: 1_000_000 };
const packed = 24;
/** Part of the parameters that travels, where a part does. */
const travelling = 0.1;
const opened = { participants: [10, 100], dimensions: [100_000, 1_000_000], dropouts: [0.05, 0.3] };
/** An MLP of d = 1,000,989. */
const hidden = [997, 997];

/** @param words parts to measure: seal, open, bytes; none for all */
export async function sealedSumBench(words: readonly string[] = []): Promise<object> {
  const wanted = (part: string): boolean => words.length === 0 || words.includes(part);
  const seal = wanted('seal') ? await measureSeal({ ...sealed, turns: 9 }) : null;
  const open: OpenFigures[] = [];
  if (wanted('open'))
    for (const participants of opened.participants)
      for (const dimension of opened.dimensions)
        open.push(...(await measureOpen({ participants, dimension, dropouts: opened.dropouts })));
  const bytes = [];
  if (wanted('bytes')) {
    bytes.push(await measureBytes({ participants: sealed.participants, hidden }));
    bytes.push(await measureBytes({ participants: sealed.participants, hidden, packedBits: packed }));
    bytes.push(
      await measureBytes({ participants: sealed.participants, hidden, packedBits: packed, subset: travelling }),
    );
  }
  const cores = availableParallelism();
  return { seal, open, bytesPerParticipant: bytes[0]?.bytesPerParticipant ?? null, bytes, cores };
}

/** Best of several turns, AES and masks by turns, so that both meet the same machine. */
export async function measureSeal(options: {
  readonly participants: number;
  readonly dimension: number;
  readonly turns: number;
  readonly fewWords?: number;
}): Promise<SealFigures> {
  const { participants, dimension, turns } = options;
  const threads = availableParallelism();
  const few = options.fewWords === undefined ? {} : { fewWords: options.fewWords };
  const sealer = createSealer({ cipher, threads, ...few });
  try {
    const members = roster(participants);
    const vector = new Uint32Array(dimension).map((_, at) => at % 1000);
    const streamBytes = 4 * dimension * participants;
    const best = {
      mask: Infinity,
      maskCpu: Infinity,
      aesCpu: Infinity,
      key: Infinity,
      rest: Infinity,
      noise: Infinity,
      aes: 0,
      freed: 0,
    };
    for (let turn = 0; turn < turns; turn++) {
      const aesFrom = process.cpuUsage();
      best.aes = Math.max(best.aes, aesRate(streamBytes, false));
      best.aesCpu = Math.min(best.aesCpu, cpuSince(aesFrom));
      best.freed = Math.max(best.freed, aesRate(streamBytes, true));
      const [keySeconds, keys] = timed(() => masksOf(members, 0));
      best.key = Math.min(best.key, keySeconds);
      const begun = performance.now();
      const maskFrom = process.cpuUsage();
      const chunks = await maskAll(sealer, vector, keys);
      best.mask = Math.min(best.mask, secondsSince(begun));
      best.maskCpu = Math.min(best.maskCpu, cpuSince(maskFrom));
      const [restSeconds] = timed(() => {
        const leaves = chunks.map((words, chunk) => vectorLeafHash(cipher, context, 0, chunk, wordsToBytes(words)));
        return merkleRoot(cipher, leaves);
      });
      best.rest = Math.min(best.rest, restSeconds);
      const sampler = new NoiseSampler(random, noiseVariance(1_000_000));
      best.noise = Math.min(best.noise, timed(() => sampler.draw(new Int32Array(dimension)))[0]);
    }
    return {
      seconds: best.key + best.mask + best.rest,
      shareOfAesRate: streamBytes / best.mask / (best.aes * threads),
      shareOfAesCpuTime: best.aesCpu / best.maskCpu,
      maskSeconds: best.mask,
      keySeconds: best.key,
      noiseSeconds: best.noise,
      participants,
      dimension,
      threads,
      aesGibPerSecond: best.aes / gib,
      aesFreedGibPerSecond: best.freed / gib,
    };
  } finally {
    await sealer.close();
  }
}

/** Bytes a second of one core. */
function aesRate(bytes: number, freed: boolean): number {
  const block = new Uint8Array(2 ** 20);
  const stream = createCipheriv('aes-256-ctr', randomBytes(32), new Uint8Array(16));
  const count = Math.max(1, Math.ceil(bytes / block.length));
  const [seconds] = timed(() => {
    for (let at = 0; at < count; at++) {
      const { buffer } = stream.update(block);
      if (freed && buffer instanceof ArrayBuffer) buffer.transfer(0);
    }
  });
  return (count * block.length) / seconds;
}

const hU1 = new Uint8Array(32).fill(0x11);
const context: RoundContext = { study: new Uint8Array(32).fill(0x22), round: 1 };

type Member = ReturnType<typeof roster>[number];
const roster = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    index,
    selfSeed: drawSecret(random),
    pair: newKeyPair(random, cipher),
  }));

function masksOf(members: readonly Member[], own: number, ctx = context): SignedKey[] {
  const { selfSeed, pair } = members[own]!;
  const pairKeys = members
    .filter(({ index }) => index !== own)
    .map(({ index, pair: peer }) => ({
      index,
      key: pairMaskKey(cipher, ctx, hU1, own, index, pair.privateKey, peer.publicKey),
    }));
  return ownMasks(own, selfMaskKey(cipher, ctx, hU1, own, selfSeed), pairKeys);
}

async function maskAll(sealer: Sealer, vector: Uint32Array, keys: readonly SignedKey[]): Promise<Uint32Array[]> {
  const masked: Uint32Array[] = [];
  for (let chunk = 0; chunk < chunkCount(vector.length); chunk++) {
    const { from, to } = chunkRange(vector.length, chunk);
    masked.push(await sealer.mask(vector.subarray(from, to), chunk, keys));
  }
  return masked;
}

/** The coordinator's own pool of threads over real files. @throws Error where a sum is not the sum. */
export async function measureOpen(options: {
  readonly participants: number;
  readonly dimension: number;
  readonly dropouts: readonly number[];
}): Promise<OpenFigures[]> {
  const { participants, dimension } = options;
  const folder = await mkdtemp(path.join(tmpdir(), 'consilience-open-'));
  const blobs = { kind: 'folder', folder } as const;
  const files = chunkFiles(await openBlobs(blobs));
  const { parameters } = sampleStudy({
    institutions: participants,
    change: (contract) => ({ ...contract, sealing: { ...contract.sealing, dimension } }),
  });
  const ctx = contextOf(parameters, 1);
  const sealer = createSealer({ cipher });
  try {
    const members = roster(participants);
    const plain = members.map(({ index }) => Uint32Array.from({ length: dimension }, (_, at) => (at + index) % 97));
    const leaves: string[][] = [];
    for (const { index } of members) {
      const masked = await maskAll(sealer, plain[index]!, masksOf(members, index, ctx));
      leaves.push([]);
      for (const [chunk, words] of masked.entries()) {
        const bytes = wordsToBytes(words);
        await files.writeMasked(1, index, chunk, bytes);
        leaves[index]!.push(toHex(vectorLeafHash(cipher, ctx, index, chunk, bytes)));
      }
    }
    const figures: OpenFigures[] = [];
    for (const dropout of options.dropouts) {
      const gone = Math.max(1, Math.round(dropout * participants));
      // Spread over the roster.
      const dropouts = new Set(Array.from({ length: gone }, (_, at) => Math.floor((at * participants) / gone)));
      const survivors = members.map(({ index }) => index).filter((index) => !dropouts.has(index));
      const holders = survivors.slice(0, customaryQuorum(participants));
      const shares = members.map(({ index, selfSeed, pair }) => {
        const secret = dropouts.has(index) ? pair.privateKey : selfSeed;
        const dealt = splitSecret(random, secret, holders.length, holders);
        return holders.map((holder) => dealt.get(holder)!);
      });
      const pool = createAddingPool({
        cipher,
        parameters,
        store: {
          files,
          blobs,
          chunksOf: async (_, index) => leaves[index]!.map((leaf, chunk) => ({ chunk, leaf, sha256: '' })),
        },
        threads: availableParallelism(),
      });
      try {
        const opening = (number: number) =>
          ({
            round: number,
            u1: { body: { u1: toHex(hU1) } },
            members: members.map(({ index, pair }) => ({ index, masks: toHex(pair.publicKey) })),
            sharers: members.map(({ index }) => index),
            survivors,
            regionSums: new Map(),
          }) as unknown as CoordinatorRound;
        // Threads are started once in a coordinator's life: by a round whose contributions are gone.
        const [code] = await Promise.allSettled([pool.chunk({ ...opening(2), seeds: [] }, 0)]);
        if (code.status !== 'rejected') throw new Error('contributions that are not there were added');
        const begun = performance.now();
        const join = joinerFor(holders);
        const seeds = members.map(({ index }) => ({
          index,
          kind: dropouts.has(index) ? (1 as const) : (0 as const),
          secret: toHex(join(shares[index]!)),
        }));
        const round = { ...opening(1), seeds };
        const sum = await Promise.all(
          Array.from({ length: chunkCount(dimension) }, (_, chunk) => pool.chunk(round, chunk)),
        );
        const seconds = secondsSince(begun);
        requirePlain(sum, plain, survivors);
        figures.push({ participants, dimension, dropout, dropouts: gone, seconds });
      } finally {
        await pool.close();
      }
    }
    return figures;
  } finally {
    await sealer.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function requirePlain(
  chunks: readonly Uint32Array[],
  plain: readonly Uint32Array[],
  survivors: readonly number[],
): void {
  let at = 0;
  for (const words of chunks)
    for (const word of words) {
      let expected = 0;
      for (const index of survivors) expected += plain[index]![at]!;
      if (word !== expected) throw new Error('the opened sum is not the sum of the vectors');
      at += 1;
    }
}

/** What one institution sends and receives in a round of the real command, counted at its socket. */
export async function measureBytes(options: {
  readonly participants: number;
  readonly hidden: readonly number[];
  readonly packedBits?: number;
  readonly subset?: number;
}) {
  const { participants } = options;
  const result = await runLoad({ ...options, rounds: 1, countBytesOf: 1 });
  const { sent, received } = result.bytes!;
  const bits = options.packedBits ?? 32;
  const packedVectorBytes = packedLength(result.dimension, bits);
  return {
    /** Ready to unmask, both ways. The sum, which everybody fetches and adds up again, is not in it. */
    bytesPerParticipant: sent + received,
    limit: Math.floor(1.05 * packedVectorBytes + 2048 * (participants - 1)),
    sent,
    received,
    participants,
    dimension: result.dimension,
    parameters: result.parameters,
    bits,
    packedVectorBytes,
    /** The plain update as float32, without any protection. */
    float32VectorBytes: 4 * result.parameters,
  };
}

function timed<Result>(work: () => Result): [number, Result] {
  const begun = performance.now();
  const result = work();
  return [secondsSince(begun), result];
}

function cpuSince(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1e6;
}

const secondsSince = (begun: number): number => (performance.now() - begun) / 1000;
