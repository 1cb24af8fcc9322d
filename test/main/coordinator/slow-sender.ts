// An institution with a large contribution and a bad link, as a process of its own, so that its memory can be measured: it
// sends chunk by chunk what it makes chunk by chunk. Prints its peak memory, in bytes, at half the way and at the end.

import { readFileSync } from 'node:fs';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import { chunkCount, chunkRange } from '../../../app/sealed-sum/masks.ts';
import { connectCoordinator } from '../../../main/host/connection/coordinator-client.ts';
import { nodeCipher, nodeMachine } from '../../../main/host/machine.ts';
import { replicaStudy } from './replicas.ts';

export type SlowSenderOptions = {
  readonly institutions: number;
  readonly dimension: number;
  readonly address: string;
  readonly round: number;
};

/** Bytes that stand for a masked chunk: no two alike. */
export function largeChunk(dimension: number, chunk: number): Uint8Array {
  const { from, to } = chunkRange(dimension, chunk);
  const bytes = new Uint8Array(4 * (to - from));
  nodeCipher.aes256Ctr(new Uint8Array(32).fill(chunk + 1), bytes);
  return bytes;
}

const peak = (): number => 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]);

if (process.argv[2] !== undefined) {
  const { institutions, dimension, address, round } = JSON.parse(process.argv[2]) as SlowSenderOptions;
  const study = replicaStudy(institutions, dimension);
  const client = connectCoordinator({
    machine: nodeMachine,
    parameters: study.parameters,
    index: 0,
    identity: study.identities[0]!,
    transport: signerFromSeed(nodeCipher, new Uint8Array(32).fill(0x70)),
    address,
    patience: { attempts: 8, firstMs: 20, longestMs: 500 },
  });
  await client.status(null, 0);
  const count = chunkCount(dimension);
  let half = 0;
  const read = async (chunk: number): Promise<Uint8Array> => {
    if (chunk === Math.floor(count / 2)) half = peak();
    return largeChunk(dimension, chunk);
  };
  await client.uploadFrom!(round, { count, read });
  process.stdout.write(`${JSON.stringify({ half, end: peak() })}\n`);
  client.close();
}
