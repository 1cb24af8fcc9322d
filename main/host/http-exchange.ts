// One HTTP exchange with the coordinator over node:http(s): connections kept, a private CA from the study terms, limits on
// time and size. What the network does becomes one of three things: a reply, UnavailableError, or a refusal of the
// coordinator's certificate, which no retry mends.

import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { RefusalError, UnavailableError } from '../../app/errors.ts';
import { systemCode } from './disk-error.ts';

export type Reply = { readonly status: number; readonly bytes: Uint8Array };

export type Exchange = {
  /**
   * @param path from "/v1" on.
   * @throws UnavailableError `coordinator-unreachable`, `coordinator-slow`, `interrupted`; RefusalError
   * `coordinator-certificate`, `reply-too-large`.
   */
  send(request: {
    readonly method: string;
    readonly path: string;
    readonly headers: { readonly [name: string]: string };
    readonly body: Uint8Array | null;
    readonly timeoutMs: number;
    readonly signal: AbortSignal | null;
  }): Promise<Reply>;
  close(): void;
};

/** More than any list of 500 institutions or any chunk takes. */
const mostReplyBytes = 64 * 1024 * 1024;

const certificateFaults =
  /^(?:CERT_|ERR_TLS_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_EXCEEDED)/;

/** @param certificateAuthority PEM; null: the system's. @throws RangeError for an address that is no http(s) URL. */
export function openExchange(address: string, certificateAuthority: string | null): Exchange {
  const base = new URL(address);
  if (base.protocol !== 'http:' && base.protocol !== 'https:')
    throw new RangeError('address must begin with http:// or https://');
  const secure = base.protocol === 'https:';
  const prefix = base.pathname.replace(/\/$/, '');
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, ...(certificateAuthority === null ? {} : { ca: certificateAuthority }) })
    : new HttpAgent({ keepAlive: true });

  return {
    send: ({ method, path, headers, body, timeoutMs, signal }) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(interrupted());
        const request = (secure ? httpsRequest : httpRequest)(
          {
            agent,
            method,
            hostname: base.hostname.replace(/^\[|\]$/g, ''),
            port: base.port === '' ? (secure ? 443 : 80) : Number(base.port),
            path: prefix + path,
            headers: { ...headers, ...(body === null ? {} : { 'content-length': String(body.length) }) },
          },
          (response) => {
            read(response).then(finish(resolve), finish(reject));
          },
        );
        const slow = setTimeout(() => request.destroy(new SlowError()), timeoutMs);
        const stop = (): void => void request.destroy(new StoppedError());
        signal?.addEventListener('abort', stop);
        function finish<Value>(settle: (value: Value) => void): (value: Value) => void {
          return (value) => {
            clearTimeout(slow);
            signal?.removeEventListener('abort', stop);
            settle(value instanceof Error ? (sentenceFor(value, base.host) as Value) : value);
          };
        }
        request.on('error', finish(reject));
        if (body === null) request.end();
        else request.end(body);
      }),
    close: () => agent.destroy(),
  };
}

class SlowError extends Error {}
class StoppedError extends Error {}

async function read(response: IncomingMessage): Promise<Reply> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > mostReplyBytes)
      throw new RefusalError('reply-too-large', 'The coordinator’s reply is larger than any the protocol knows.');
    parts.push(part);
  }
  return { status: response.statusCode ?? 0, bytes: new Uint8Array(Buffer.concat(parts)) };
}

const interrupted = (): UnavailableError => new UnavailableError('interrupted', 'The request was stopped.');

function sentenceFor(error: Error, host: string): Error {
  if (error instanceof RefusalError) return error;
  if (error instanceof StoppedError) return interrupted();
  if (error instanceof SlowError)
    return new UnavailableError('coordinator-slow', `The coordinator (${host}) did not answer in time.`);
  const code = systemCode(error) ?? '';
  if (certificateFaults.test(code))
    return new RefusalError(
      'coordinator-certificate',
      `The coordinator (${host}) shows a TLS certificate that is not trusted here (${code}). Check its address and the certificate authority in the study terms.`,
      { cause: error },
    );
  return new UnavailableError(
    'coordinator-unreachable',
    `The coordinator (${host}) cannot be reached${code === '' ? '' : ` (${code})`}. Nothing is lost; try again later.`,
    { cause: error },
  );
}
