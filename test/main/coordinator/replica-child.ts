// A replica of the coordinator as a process of its own, for tests that kill it: the sample study on a PostgreSQL and an
// object storage that others share. Its words on standard output, one a line: its address, then "adding CHUNK".

import { setTimeout as delay } from 'node:timers/promises';
import { openEngine } from '../../../main/coordinator/engine.ts';
import { startServer } from '../../../main/coordinator/server.ts';
import { openCoordinatorStore } from '../../../main/coordinator/store.ts';
import type { BlobPlace } from '../../../main/coordinator/vectors/blobs.ts';
import type { ChunkFiles } from '../../../main/coordinator/vectors/chunk-files.ts';
import { nodeCipher, systemClock } from '../../../main/host/machine.ts';
import { toHex } from '../../../app/encoding/bytes.ts';
import { hashApplier } from './federation.ts';
import { replicaStudy } from './replicas.ts';

export type ReplicaOptions = {
  readonly database: string;
  readonly blobs: BlobPlace;
  readonly institutions: number;
  readonly dimension: number;
  /** How long each chunk of a sum takes to be written. */
  readonly slowMs: number;
};

const options = JSON.parse(process.argv[2]!) as ReplicaOptions;
const study = replicaStudy(options.institutions, options.dimension);
const { parameters, coordinator: signer } = study;
const { database, blobs } = options;
const store = await openCoordinatorStore({ folder: '/nonexistent', study: toHex(parameters.study), database, blobs });
const slowly: ChunkFiles['writeSum'] = async (round, chunk, bytes) => {
  process.stdout.write(`adding ${chunk}\n`);
  await delay(options.slowMs);
  await store.files.writeSum(round, chunk, bytes);
};
const engine = await openEngine({
  cipher: nodeCipher,
  clock: systemClock,
  parameters,
  signer,
  store: { ...store, files: { ...store.files, writeSum: slowly } },
  applier: hashApplier(),
  threads: 1,
});
const server = await startServer({ engine, contract: new Uint8Array(0), host: '127.0.0.1', port: 0 });
process.stdout.write(`${server.address}\n`);
