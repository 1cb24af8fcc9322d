// Where a server that runs until it is stopped listens: the options that `coordinator` and `relay` share, and what is read
// for them. Spec: design 6, "Command line".

import { readFile } from 'node:fs/promises';
import { diskError } from '../host/disk/disk-error.ts';
import type { ListeningPlace } from '../coordinator/signed-http.ts';
import { numberOption, stringOption, UsageError } from './command.ts';
import type { Invocation } from './command.ts';

type Options = Invocation['options'];

export const placeOptions = {
  host: { type: 'string', value: 'ADDRESS', help: 'Address to listen on; 127.0.0.1 unless given.' },
  port: { type: 'string', value: 'N', help: 'Port to listen on; 0 or nothing: any free one, which is printed.' },
  'tls-cert': { type: 'string', value: 'FILE', help: 'Certificate chain (PEM) for HTTPS, with --tls-key.' },
  'tls-key': { type: 'string', value: 'FILE', help: 'Private key (PEM) of that certificate.' },
  'behind-proxy': { type: 'boolean', help: 'Speak plain HTTP beyond this machine, to a proxy that ends TLS.' },
} as const;

export const adminOptions = {
  'admin-port': {
    type: 'string',
    value: 'N',
    help: 'Second port for whoever runs this: /metrics, /health and a page; 0: any free one.',
  },
  'admin-host': { type: 'string', value: 'ADDRESS', help: 'Address of that port; 127.0.0.1 unless given.' },
} as const;

/** Null where nobody asked for it. @throws UsageError. */
export function adminPlace(options: Options): { readonly host: string; readonly port: number } | null {
  const port = numberOption(options, 'admin-port', { least: 0, most: 65_535, whole: true });
  const host = stringOption(options, 'admin-host');
  if (host !== undefined && port === undefined) throw new UsageError('--admin-host goes with --admin-port.');
  return port === undefined ? null : { host: host ?? '127.0.0.1', port };
}

export type ServerPlace = Omit<ListeningPlace, 'tls'> & {
  /** Files; nothing is read yet. */
  readonly tls: { readonly certificate: string; readonly key: string } | null;
};

/** @throws UsageError. */
export function serverPlace(options: Options): ServerPlace {
  const certificate = stringOption(options, 'tls-cert');
  const key = stringOption(options, 'tls-key');
  if ((certificate === undefined) !== (key === undefined))
    throw new UsageError('--tls-cert and --tls-key go together.');
  return {
    host: stringOption(options, 'host') ?? '127.0.0.1',
    port: numberOption(options, 'port', { least: 0, most: 65_535, whole: true }) ?? 0,
    behindProxy: options['behind-proxy'] === true,
    tls: certificate === undefined || key === undefined ? null : { certificate, key },
  };
}

/** The place with its certificate and key read. @throws InputError, UnavailableError of the disk. */
export async function listeningPlace({ tls, ...place }: ServerPlace): Promise<ListeningPlace> {
  if (tls === null) return place;
  const [certificate, key] = [await readNamed('tls-cert', tls.certificate), await readNamed('tls-key', tls.key)];
  return { ...place, tls: { certificate, key } };
}

/** The bytes of the file that an option names. @throws InputError, UnavailableError, which name the option. */
export async function readNamed(option: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw diskError(error, `The file of --${option}, ${path},`);
  }
}

/** The same, of a text in UTF-8. */
export const readNamedText = async (option: string, path: string): Promise<string> =>
  (await readNamed(option, path)).toString('utf8');

/** Resolves at the first SIGTERM or SIGINT. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
