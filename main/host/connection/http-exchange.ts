// One HTTP exchange with the coordinator over node:http(s): connections kept, a private CA from the study terms, a CONNECT
// proxy where there is one, limits on time and size. What the network does becomes one of three things: a reply,
// UnavailableError, or a refusal (a certificate, a proxy's password) that no retry mends.

import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { RefusalError, UnavailableError } from '../../../app/errors.ts';
import { systemCode } from '../disk/disk-error.ts';

/** A kept connection that the other side had closed while it was idle: says nothing of the link. */
export class StaleConnectionError extends UnavailableError {}

export type Reply = { readonly status: number; readonly bytes: Uint8Array };

export type Exchange = {
  /**
   * @param path from "/v1" on.
   * @throws UnavailableError `coordinator-unreachable` (StaleConnectionError where only a kept connection was gone),
   * `coordinator-slow`, `interrupted`; RefusalError
   * `coordinator-certificate`, `reply-too-large`, `proxy-refused`.
   */
  send(request: {
    readonly method: string;
    readonly path: string;
    readonly headers: { readonly [name: string]: string };
    readonly body: Uint8Array | null;
    readonly timeoutMs: number;
    readonly signal: AbortSignal | null;
    /** Is shown each piece of a successful reply as it comes, also of one that is cut off afterwards. */
    readonly onPart?: (status: number, part: Uint8Array) => void;
  }): Promise<Reply>;
  close(): void;
};

/** More than any list of 500 institutions or any chunk takes. */
const mostReplyBytes = 64 * 1024 * 1024;

/** A connection that was closed before says so at once; one that is cut while bytes flow does so later. */
const staleMs = 1000;

const certificateFaults =
  /^(?:CERT_|ERR_TLS_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_EXCEEDED)/;

/**
 * @param certificateAuthority PEM; null: the system's.
 * @param proxy URL of an HTTP CONNECT proxy (proxy.ts); null: none.
 * @throws RangeError for an address that is no http(s) URL.
 */
export function openExchange(address: string, certificateAuthority: string | null, proxy: URL | null): Exchange {
  const base = new URL(address);
  if (base.protocol !== 'http:' && base.protocol !== 'https:')
    throw new RangeError('address must begin with http:// or https://');
  const secure = base.protocol === 'https:';
  const prefix = base.pathname.replace(/\/$/, '');
  const authority = certificateAuthority === null ? {} : { ca: certificateAuthority };
  const agent =
    proxy !== null
      ? new HttpsProxyAgent(proxy, { keepAlive: true })
      : secure
        ? new HttpsAgent({ keepAlive: true, ...authority })
        : new HttpAgent({ keepAlive: true });

  return {
    send: ({ method, path, headers, body, timeoutMs, signal, onPart }) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(interrupted());
        const begun = performance.now();
        let answered = false;
        const request = (secure ? httpsRequest : httpRequest)(
          {
            agent,
            // The agent of a tunnel takes them from the request.
            ...(proxy !== null && secure ? authority : {}),
            method,
            hostname: base.hostname.replace(/^\[|\]$/g, ''),
            port: base.port === '' ? (secure ? 443 : 80) : Number(base.port),
            path: prefix + path,
            headers: { ...headers, ...(body === null ? {} : { 'content-length': String(body.length) }) },
          },
          (response) => {
            answered = true;
            read(response, onPart).then(finish(resolve), finish(reject));
          },
        );
        const slow = setTimeout(() => request.destroy(new SlowError()), timeoutMs);
        const stop = (): void => void request.destroy(new StoppedError());
        signal?.addEventListener('abort', stop);
        function finish<Value>(settle: (value: Value) => void): (value: Value) => void {
          return (value) => {
            clearTimeout(slow);
            signal?.removeEventListener('abort', stop);
            const stale = request.reusedSocket && !answered && performance.now() - begun < staleMs;
            settle(value instanceof Error ? (sentenceFor(value, base.host, proxy, stale) as Value) : value);
          };
        }
        request.on('error', finish(reject));
        // Said before anything of the request is written.
        request.on('proxyConnect', ({ statusCode }: { readonly statusCode: number }) => {
          if (proxy !== null && statusCode === 407) request.destroy(proxyRefused(proxy));
        });
        if (body === null) request.end();
        else request.end(body);
      }),
    close: () => agent.destroy(),
  };
}

class SlowError extends Error {}
class StoppedError extends Error {}

async function read(
  response: IncomingMessage,
  onPart: ((status: number, part: Uint8Array) => void) | undefined,
): Promise<Reply> {
  const status = response.statusCode ?? 0;
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > mostReplyBytes)
      throw new RefusalError('reply-too-large', 'The coordinator’s reply is larger than any the protocol knows.');
    parts.push(part);
    if (status >= 200 && status < 300) onPart?.(status, part);
  }
  return { status, bytes: new Uint8Array(Buffer.concat(parts)) };
}

const interrupted = (): UnavailableError => new UnavailableError('interrupted', 'The request was stopped.');

const proxyRefused = (proxy: URL): RefusalError =>
  new RefusalError(
    'proxy-refused',
    `The proxy (${proxy.host}) asks for a name and a password, or does not take those it was given. Ask IT for them and set them in the policy or in HTTPS_PROXY.`,
  );

function sentenceFor(error: Error, host: string, proxy: URL | null, stale: boolean): Error {
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
  const through = proxy === null ? '' : ` through the proxy ${proxy.host}`;
  const Unreachable = stale && (code === 'ECONNRESET' || code === 'EPIPE') ? StaleConnectionError : UnavailableError;
  return new Unreachable(
    'coordinator-unreachable',
    `The coordinator (${host}) cannot be reached${through}${code === '' ? '' : ` (${code})`}. Nothing is lost; try again later.`,
    { cause: error },
  );
}
