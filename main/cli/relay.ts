// `consilience relay start`: runs the relay of one region of a study until it is told to stop; `relay key` prints the key
// that the study terms must name for it. Spec: design 3, "Trees"; design 6.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../app/encoding/bytes.ts';
import { InputError, RefusalError } from '../../app/errors.ts';
import { relaySender } from '../../app/round/messages.ts';
import { studyParameters } from '../../app/round/parameters.ts';
import { openSignedContract } from '../../app/study/signed-contract.ts';
import type { LogLine } from '../coordinator/engine.ts';
import { startAdminServer } from '../coordinator/observation/admin-server.ts';
import { openCoordinatorStore } from '../coordinator/store.ts';
import { openBlobs } from '../coordinator/vectors/blobs.ts';
import { chunkFiles } from '../coordinator/vectors/chunk-files.ts';
import { connectCoordinator } from '../host/connection/coordinator-client.ts';
import { coordinatorKeys } from '../host/connection/coordinator-keys.ts';
import { diskError, systemCode } from '../host/disk/disk-error.ts';
import { openKeystore } from '../host/keys/keystore.ts';
import type { Keystore } from '../host/keys/keystore.ts';
import { nodeCipher, nodeMachine, systemClock } from '../host/machine.ts';
import { proxyFor } from '../host/connection/proxy.ts';
import { createRelayMetrics } from '../relay/metrics.ts';
import { readRegionSum } from '../relay/region-sums.ts';
import { openRelay } from '../relay/relay.ts';
import { startRelayServer } from '../relay/server.ts';
import { numberOption, requiredOption, stringOption, UsageError } from './command.ts';
import type { Command, Invocation } from './command.ts';
import { credentialOptions, keyOptions } from './key-options.ts';
import { say } from './output.ts';
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

export const relayCommand: Command = {
  name: 'relay',
  summary: 'Runs the relay of a region, which adds what its members seal.',
  usage: [
    'relay key --home DIR [--credential-file FILE]',
    'relay sum --study SIGNED.json --home DIR --round N --out FILE',
    'relay start --study SIGNED.json --home DIR [--port N] [--host ADDRESS] [--tls-cert FILE --tls-key FILE]',
  ],
  example: 'consilience relay start --study study-signed.json --home ./relay --port 8441',
  options: {
    study: { type: 'string', value: 'SIGNED.json', help: 'The signed study terms, which name this relay’s key.' },
    home: { type: 'string', value: 'DIR', help: 'Keys and vectors of this relay.' },
    round: { type: 'string', value: 'N', help: 'Of which round the region’s own sum is wanted.' },
    out: {
      type: 'string',
      value: 'FILE',
      help: 'Where that sum goes, as little-endian 64-bit floats; it must not exist yet.',
    },
    ...placeOptions,
    root: { type: 'string', value: 'URL', help: 'Where the coordinator is reached, if not at the terms’ address.' },
    ...adminOptions,
    ...credentialOptions,
    log: { type: 'boolean', help: 'Write what happens to standard error, one JSON object a line, without content.' },
  },
  async run(invocation) {
    const [action, ...rest] = invocation.positionals;
    if (rest.length > 0 || (action !== 'key' && action !== 'start' && action !== 'sum'))
      throw new UsageError('Say "relay key", "relay start --study FILE" or "relay sum"; see: consilience relay --help');
    if (action === 'sum') return writeSum(invocation);
    const { options, json, out } = invocation;
    const home = requiredOption(options, 'home');
    const study = action === 'start' ? requiredOption(options, 'study') : null;
    // Before the keys are made or unlocked: a slip in the command line costs no passphrase.
    const place = serverPlace(options);
    const admin = adminPlace(options);
    const keystore = await openKeystore({ folder: home, ...keyOptions(options) });
    try {
      if (study !== null) return await serve(keystore, home, study, place, admin, invocation);
      const key = toHex(keystore.identity.publicKey);
      out(json ? `${JSON.stringify({ key })}\n` : `${key}\n`);
      return 0;
    } finally {
      keystore.close();
    }
  },
};

async function serve(
  keystore: Keystore,
  home: string,
  file: string,
  place: ServerPlace,
  admin: ReturnType<typeof adminPlace>,
  invocation: Invocation,
): Promise<0> {
  const { options, json, out, warn } = invocation;
  const listening = await listeningPlace(place);
  const { contract, hash } = openSignedContract(nodeCipher, await readNamedText('study', file));
  const parameters = studyParameters(nodeCipher, contract);
  const own = toHex(keystore.identity.publicKey);
  const region = parameters.regions.find((one) => toHex(one.key) === own);
  if (region === undefined)
    throw new RefusalError(
      'relay-key-differs',
      'The study terms name no region whose relay has this key. Use the home folder whose "relay key" stands in them.',
    );
  const study = toHex(hash);
  const address = stringOption(options, 'root') ?? contract.coordinator.address;
  const proxy = proxyFor(new URL(address), null, process.env);
  const log = (line: LogLine): void => {
    metrics.logged(line);
    if (options['log'] === true) warn(`${JSON.stringify({ time: new Date().toISOString(), ...line })}\n`);
  };
  let fromRootBytes = (): number => 0;
  const metrics = createRelayMetrics({ study, region: region.name, members: region.members.length }, () => ({
    ...relay.state(),
    fromRootBytes: fromRootBytes(),
  }));
  const stop = stopSignal();
  const root = connectCoordinator({
    machine: nodeMachine,
    parameters,
    index: relaySender(region.position),
    identity: keystore.identity,
    transport: keystore.transport,
    address,
    proxy,
  });
  const folder = join(home, 'relays', study);
  const store = await openCoordinatorStore({ folder, study });
  const keys = await coordinatorKeys({ parameters, path: join(folder, 'coordinator-keys.json'), writer: null });
  const relay = await openRelay({
    cipher: nodeCipher,
    clock: systemClock,
    parameters,
    region,
    signer: keystore.identity,
    store,
    root,
    keys,
    log,
  });
  try {
    const server = await startRelayServer({
      relay,
      address,
      certificateAuthority: contract.coordinator.certificateAuthority,
      proxy,
      ...listening,
      onRequest: (facts) => metrics.request(facts),
    });
    fromRootBytes = () => server.bytes().fromRoot;
    const watched = {
      name: 'Relay',
      state() {
        const { round, stage, closedRounds, rootAnswers } = relay.state();
        return { round, stage, closedRounds, outcome: null, rootAnswers };
      },
      check: () => store.check(),
      log,
    } as const;
    const watching = admin && (await startAdminServer({ ...admin, watched, metrics, study }));
    out(
      json
        ? `${JSON.stringify({ event: 'listening', address: server.address, study, region: region.name, ...(watching === null ? {} : { admin: watching.address }) })}\n`
        : `The relay of region ${region.name} of "${contract.title}" is listening on ${server.address}. Stop it with Ctrl-C.\n`,
    );
    await stop;
    await server.close();
    await watching?.close();
  } finally {
    await relay.close();
    metrics.close();
  }
  return 0;
}

/** The opened sum of the region, where the terms let regions open their own. Needs no keys; the relay may run. */
async function writeSum(invocation: Invocation): Promise<0> {
  const { options } = invocation;
  const home = requiredOption(options, 'home');
  const file = requiredOption(options, 'study');
  const out = requiredOption(options, 'out');
  const round = numberOption(options, 'round', { least: 1, most: 0xffff_ffff, whole: true });
  if (round === undefined) throw new UsageError('Say which round: --round N.');
  const { contract, hash } = openSignedContract(nodeCipher, await readNamedText('study', file));
  const blobs = await openBlobs({ kind: 'folder', folder: join(home, 'relays', toHex(hash)) });
  const { members, values } = await readRegionSum(
    studyParameters(nodeCipher, contract),
    chunkFiles(blobs),
    blobs,
    round,
  );
  const names = members.map((index) => contract.roster[index]!.name);
  // IEEE 754 doubles, least significant byte first.
  const bytes = Buffer.alloc(8 * values.length);
  for (const [at, value] of values.entries()) bytes.writeDoubleLE(value, 8 * at);
  try {
    await writeFile(out, bytes, { flag: 'wx' });
  } catch (error) {
    if (systemCode(error) === 'EEXIST')
      throw new InputError('file-exists', `${out} exists already; choose another name or move it away.`);
    throw diskError(error, out);
  }
  say(invocation, { round, members: names, numbers: values.length, out }, [
    `Wrote the sum of ${names.join(', ')} in round ${round} to ${out}.`,
  ]);
  return 0;
}
