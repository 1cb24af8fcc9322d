// `consilience coordinator`: runs the coordinator of one study until it is told to stop; `coordinator key` prints the key
// that the study terms must name. kill -9 loses nothing that was acknowledged. Spec: design 1 and 6, "Command line".

import { join } from 'node:path';
import { toHex, utf8 } from '../../app/encoding/bytes.ts';
import { studyParameters } from '../../app/round/parameters.ts';
import { openSignedContract } from '../../app/study/signed-contract.ts';
import { openEngine } from '../coordinator/engine.ts';
import type { LogLine } from '../coordinator/engine.ts';
import { modelApplier } from '../coordinator/model-applier.ts';
import { startAdminServer, watchedEngine } from '../coordinator/observation/admin-server.ts';
import { createMetrics } from '../coordinator/observation/metrics.ts';
import { startTracing } from '../coordinator/observation/tracing.ts';
import { startServer } from '../coordinator/server.ts';
import { openCoordinatorStore } from '../coordinator/store.ts';
import type { BlobPlace } from '../coordinator/vectors/blobs.ts';
import { openKeystore } from '../host/keys/keystore.ts';
import type { Keystore } from '../host/keys/keystore.ts';
import { nodeCipher, systemClock } from '../host/machine.ts';
import { numberOption, requiredOption, stringOption, UsageError } from './command.ts';
import type { Command, Invocation } from './command.ts';
import { archiveStudy, restoreStudy } from './coordinator-archive.ts';
import { coordinatorPlaces } from './coordinator-places.ts';
import { readKeyChanges, requireKeyInForce, rotateKey } from './coordinator-rotate.ts';
import { credentialOptions, keyOptions } from './key-options.ts';
import {
  adminOptions,
  adminPlace,
  listeningPlace,
  placeOptions,
  readNamedText,
  serverPlace,
  stopSignal,
} from './server-place.ts';
import type { ServerPlace } from './server-place.ts';

export const coordinatorCommand: Command = {
  name: 'coordinator',
  summary: 'Runs the coordinator of a study, which only ever learns noised sums.',
  usage: [
    'coordinator key --home DIR [--credential-file FILE]',
    'coordinator rotate-key --study SIGNED.json --home LEAD --next-key KEY --from-round N --out FILE',
    'coordinator rotate-key --study SIGNED.json --home HOME --statement FILE --out FILE',
    'coordinator archive --study SIGNED.json --home DIR --out FOLDER',
    'coordinator restore --study SIGNED.json --home DIR --from FOLDER [--rounds-since N]',
    'coordinator --study SIGNED.json --home DIR [--port N] [--host ADDRESS] [--tls-cert FILE --tls-key FILE]',
    'coordinator --study SIGNED.json --home DIR --store postgres://USER@HOST/DATABASE --blobs FOLDER|s3://BUCKET/PREFIX',
  ],
  example: 'consilience coordinator --study study-signed.json --home ./coordinator --port 8440',
  options: {
    study: { type: 'string', value: 'SIGNED.json', help: 'The signed study terms.' },
    home: { type: 'string', value: 'DIR', help: 'Keys, events and vectors of this coordinator.' },
    ...placeOptions,
    store: {
      type: 'string',
      value: 'URL',
      help: 'postgres://… for several replicas; else SQLite in the home. A password comes from PGPASSWORD or PGPASSFILE.',
    },
    blobs: {
      type: 'string',
      value: 'PLACE',
      help: 'Where vectors lie: a folder that all replicas see, or s3://BUCKET/PREFIX; else the home.',
    },
    's3-endpoint': {
      type: 'string',
      value: 'URL',
      help: 'Of the object storage; its keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
    },
    's3-region': { type: 'string', value: 'NAME', help: 'Region of the object storage; us-east-1 unless given.' },
    out: {
      type: 'string',
      value: 'FOLDER',
      help: 'archive: where to write it; must not exist yet. rotate-key: the file.',
    },
    'next-key': {
      type: 'string',
      value: 'KEY',
      help: 'rotate-key, by the lead: what "coordinator key" of the new home prints.',
    },
    'old-key': {
      type: 'string',
      value: 'KEY',
      help: 'rotate-key, by the lead: the key in force, if not that of the study terms.',
    },
    'from-round': {
      type: 'string',
      value: 'N',
      help: 'rotate-key, by the lead: first round of the new key, above every round opened so far.',
    },
    statement: {
      type: 'string',
      value: 'FILE',
      help: 'rotate-key, by the old and the new home: what was signed before.',
    },
    from: { type: 'string', value: 'FOLDER', help: 'restore: the archive.' },
    'rounds-since': {
      type: 'string',
      value: 'N',
      help: 'restore: at least as many rounds as were opened since the archive was written; 10 unless given.',
    },
    ...adminOptions,
    otlp: {
      type: 'string',
      value: 'URL',
      help: 'Send OpenTelemetry traces to this collector, e.g. http://127.0.0.1:4318/v1/traces; else none are made.',
    },
    ...credentialOptions,
    log: { type: 'boolean', help: 'Write what happens to standard error, one JSON object a line, without content.' },
  },
  async run(invocation) {
    const [action, ...rest] = invocation.positionals;
    if (rest.length > 0 || (action !== undefined && !['key', 'archive', 'restore', 'rotate-key'].includes(action)))
      throw new UsageError(
        'Say "coordinator key", "rotate-key", "archive", "restore" or "coordinator --study FILE"; see: consilience coordinator --help',
      );
    const home = requiredOption(invocation.options, 'home');
    // Before the keys are made or unlocked: a slip in the command line costs no passphrase.
    const service = action === 'key' || action === 'rotate-key' ? null : serviceFrom(invocation, home);
    const { options } = invocation;
    const skip = numberOption(options, 'rounds-since', { least: 0, most: 100_000, whole: true }) ?? null;
    const folder = action === 'archive' ? requiredOption(options, 'out') : '';
    if (action === 'restore' && service !== null)
      return restoreStudy(service, requiredOption(options, 'from'), skip, invocation);
    const keystore = await openKeystore({ folder: home, ...keyOptions(invocation.options) });
    try {
      if (action === 'rotate-key') return await rotateKey(keystore, home, invocation);
      if (service === null) return printKey(keystore, invocation);
      if (action === 'archive') return await archiveStudy(keystore, service, folder, invocation);
      return await serve(keystore, service, invocation);
    } finally {
      keystore.close();
    }
  },
};

type Service = {
  readonly admin: { readonly host: string; readonly port: number } | null;
  readonly otlp: string | null;
  readonly database: string | null;
  readonly blobs: BlobPlace | null;
  readonly home: string;
  readonly studyFile: string;
  readonly place: ServerPlace;
};

function serviceFrom({ options }: Invocation, home: string): Service {
  const otlp = stringOption(options, 'otlp') ?? null;
  if (otlp !== null && !/^https?:\/\/[^/]/.test(otlp))
    throw new UsageError('--otlp takes the http or https address of a collector, e.g. http://127.0.0.1:4318/v1/traces');
  return {
    ...coordinatorPlaces(options, process.env),
    admin: adminPlace(options),
    otlp,
    home,
    studyFile: requiredOption(options, 'study'),
    place: serverPlace(options),
  };
}

function printKey(keystore: Keystore, { json, out }: Invocation): 0 {
  const key = toHex(keystore.identity.publicKey);
  out(json ? `${JSON.stringify({ key })}\n` : `${key}\n`);
  return 0;
}

async function serve(keystore: Keystore, service: Service, { options, json, out, warn }: Invocation): Promise<0> {
  const { home } = service;
  const text = await readNamedText('study', service.studyFile);
  const place = await listeningPlace(service.place);
  const signed = openSignedContract(nodeCipher, text);
  const keyChanges = await readKeyChanges(home, toHex(signed.hash));
  requireKeyInForce(keystore, signed.contract, keyChanges);
  const study = toHex(signed.hash);
  const log =
    options['log'] === true
      ? (line: LogLine): void => warn(`${JSON.stringify({ time: new Date().toISOString(), ...line })}\n`)
      : undefined;
  const stop = stopSignal();
  const store = await openCoordinatorStore({
    folder: join(home, 'studies', study),
    study,
    ...(service.database === null ? {} : { database: service.database }),
    ...(service.blobs === null ? {} : { blobs: service.blobs }),
  });
  const metrics = createMetrics(signed.contract, study, log ?? (() => undefined));
  const tracing = service.otlp === null ? null : startTracing(service.otlp, study);
  const engine = await openEngine({
    cipher: nodeCipher,
    clock: systemClock,
    parameters: studyParameters(nodeCipher, signed.contract),
    signer: keystore.identity,
    keyChanges,
    store,
    applier: modelApplier(nodeCipher, signed.contract),
    ...(log === undefined ? {} : { log }),
    observe(change) {
      metrics.observe(change);
      if (change.live) tracing?.observe(change);
    },
  }).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  try {
    const server = await startServer({
      engine,
      contract: utf8(text),
      ...place,
      onRequest(facts) {
        metrics.request(facts);
        tracing?.request(facts);
      },
    });
    const { address } = server;
    const admin =
      service.admin && (await startAdminServer({ ...service.admin, watched: watchedEngine(engine), metrics, study }));
    out(
      json
        ? `${JSON.stringify({ event: 'listening', address, study, ...(admin === null ? {} : { admin: admin.address }) })}\n`
        : `The coordinator of "${signed.contract.title}" is listening on ${address} (study ${study}). Stop it with Ctrl-C.\n`,
    );
    log?.({ event: 'listening', address, study });
    await stop;
    await server.close();
    await admin?.close();
  } finally {
    await engine.close();
    await tracing?.close();
    metrics.close();
  }
  log?.({ event: 'stopped' });
  return 0;
}
