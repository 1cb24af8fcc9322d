// `consilience relay start`: runs the relay of one region of a study until it is told to stop; `relay key` prints the key
// that the study terms must name for it. Spec: design 3, "Trees"; design 6.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../app/encoding/bytes.ts';
import { RefusalError } from '../../app/errors.ts';
import { relaySender } from '../../app/round/messages.ts';
import { studyParameters } from '../../app/round/parameters.ts';
import { openSignedContract } from '../../app/study/signed-contract.ts';
import type { LogLine } from '../coordinator/engine.ts';
import { openCoordinatorStore } from '../coordinator/store.ts';
import { connectCoordinator } from '../host/coordinator-client.ts';
import { diskError } from '../host/disk-error.ts';
import { openKeystore } from '../host/keystore.ts';
import type { Keystore } from '../host/keystore.ts';
import { nodeCipher, nodeMachine, systemClock } from '../host/machine.ts';
import { proxyFor } from '../host/proxy.ts';
import { openRelay } from '../relay/relay.ts';
import { startRelayServer } from '../relay/server.ts';
import { numberOption, requiredOption, stringOption, UsageError } from './command.ts';
import type { Command, Invocation } from './command.ts';
import { keyOptions } from './key-options.ts';

export const relayCommand: Command = {
  name: 'relay',
  summary: 'Runs the relay of a region, which adds what its members seal and opens nothing.',
  usage: [
    'relay key --home DIR [--credential-file FILE]',
    'relay start --study SIGNED.json --home DIR [--port N] [--host ADDRESS] [--tls-cert FILE --tls-key FILE]',
  ],
  example: 'consilience relay start --study study-signed.json --home ./relay --port 8441',
  options: {
    study: { type: 'string', value: 'SIGNED.json', help: 'The signed study terms, which name this relay’s key.' },
    home: { type: 'string', value: 'DIR', help: 'Keys and vectors of this relay.' },
    host: { type: 'string', value: 'ADDRESS', help: 'Address to listen on; 127.0.0.1 unless given.' },
    port: { type: 'string', value: 'N', help: 'Port to listen on; 0 or nothing: any free one, which is printed.' },
    root: { type: 'string', value: 'URL', help: 'Where the coordinator is reached, if not at the terms’ address.' },
    'tls-cert': { type: 'string', value: 'FILE', help: 'Certificate chain (PEM) for HTTPS, with --tls-key.' },
    'tls-key': { type: 'string', value: 'FILE', help: 'Private key (PEM) of that certificate.' },
    'behind-proxy': { type: 'boolean', help: 'Speak plain HTTP beyond this machine, to a proxy that ends TLS.' },
    'credential-file': {
      type: 'string',
      value: 'FILE',
      help: 'File that unlocks the keys; else the OS keyring or a prompt.',
    },
    log: { type: 'boolean', help: 'Write what happens to standard error, one JSON object a line, without content.' },
  },
  async run(invocation) {
    const [action, ...rest] = invocation.positionals;
    if (rest.length > 0 || (action !== 'key' && action !== 'start'))
      throw new UsageError('Say "relay key" or "relay start --study FILE"; see: consilience relay --help');
    const { options, json, out } = invocation;
    const home = requiredOption(options, 'home');
    const study = action === 'start' ? requiredOption(options, 'study') : null;
    const keystore = await openKeystore({ folder: home, ...keyOptions(options) });
    try {
      if (study !== null) return await serve(keystore, home, study, invocation);
      const key = toHex(keystore.identity.publicKey);
      out(json ? `${JSON.stringify({ key })}\n` : `${key}\n`);
      return 0;
    } finally {
      keystore.close();
    }
  },
};

async function serve(keystore: Keystore, home: string, file: string, invocation: Invocation): Promise<0> {
  const { options, json, out, warn } = invocation;
  const certificate = stringOption(options, 'tls-cert');
  const key = stringOption(options, 'tls-key');
  if ((certificate === undefined) !== (key === undefined))
    throw new UsageError('--tls-cert and --tls-key go together.');
  const tls =
    certificate === undefined || key === undefined
      ? {}
      : { tls: { certificate: await read('tls-cert', certificate), key: await read('tls-key', key) } };
  const { contract, hash } = openSignedContract(nodeCipher, (await read('study', file)).toString('utf8'));
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
    if (options['log'] === true) warn(`${JSON.stringify({ time: new Date().toISOString(), ...line })}\n`);
  };
  const stop = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  const root = connectCoordinator({
    machine: nodeMachine,
    parameters,
    index: relaySender(region.position),
    identity: keystore.identity,
    transport: keystore.transport,
    address,
    proxy,
  });
  const store = await openCoordinatorStore({ folder: join(home, 'relays', study), study });
  const relay = await openRelay({
    cipher: nodeCipher,
    clock: systemClock,
    parameters,
    region,
    signer: keystore.identity,
    store,
    root,
    log,
  });
  try {
    const server = await startRelayServer({
      relay,
      address,
      certificateAuthority: contract.coordinator.certificateAuthority,
      proxy,
      host: stringOption(options, 'host') ?? '127.0.0.1',
      port: numberOption(options, 'port', { least: 0, most: 65_535, whole: true }) ?? 0,
      behindProxy: options['behind-proxy'] === true,
      ...tls,
    });
    out(
      json
        ? `${JSON.stringify({ event: 'listening', address: server.address, study, region: region.name })}\n`
        : `The relay of region ${region.name} of "${contract.title}" is listening on ${server.address}. Stop it with Ctrl-C.\n`,
    );
    await stop;
    await server.close();
  } finally {
    await relay.close();
  }
  return 0;
}

async function read(option: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw diskError(error, `The file of --${option}, ${path},`);
  }
}
