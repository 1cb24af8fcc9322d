// Who may speak, and how much: checks the two headers of a request before its body is read, remembers nonces, and gives
// every member a bucket of requests. Replay across a restart changes nothing: every accepted thing is a signed document
// of its own and is accepted once.

import { RefusalError } from '../../app/errors.ts';
import type { Cipher, Clock } from '../../app/ports.ts';
import type { StudyParameters } from '../../app/round/parameters.ts';
import {
  certificateHeader,
  checkCertificate,
  checkRequest,
  requestHeader,
  requestWindowMs,
} from '../../app/round/request.ts';
import type { RequestHead, TransportCertificate } from '../../app/round/request.ts';
import { TooManyError } from './problems.ts';

export type Limits = {
  /** Requests of one member in the long run, and at once. */
  readonly perSecond: number;
  readonly burst: number;
  /** Bodies of chunks being received at once, of all members: bounds memory at 4 MiB each. */
  readonly chunksAtOnce: number;
  /** Chunks that may wait, unread, for one of those places. */
  readonly chunksWaiting: number;
};

export const usualLimits: Limits = { perSecond: 200, burst: 1000, chunksAtOnce: 32, chunksWaiting: 2000 };

export type Admitted = { readonly index: number; readonly head: RequestHead };

export type Admission = {
  /** @throws RefusalError `certificate-…`, `request-…`; TooManyError `too-many-requests`. */
  admit(request: {
    readonly method: string;
    readonly path: string;
    readonly headers: { readonly [name: string]: string | readonly string[] | undefined };
  }): Admitted;
};

const mostCertificates = 2000;

export function createAdmission(cipher: Cipher, clock: Clock, parameters: StudyParameters, limits: Limits): Admission {
  const certificates = new Map<string, TransportCertificate>();
  const nonces = createNonceMemory(clock, requestWindowMs);
  const buckets = createBuckets(clock, limits);

  function certificateOf(text: string): TransportCertificate {
    const known = certificates.get(text);
    if (known !== undefined && clock.now() < known.notAfter) return known;
    const certificate = checkCertificate(cipher, parameters, text, clock.now());
    if (certificates.size >= mostCertificates) certificates.clear();
    certificates.set(text, certificate);
    return certificate;
  }

  return {
    admit({ method, path, headers }) {
      const certificate = certificateOf(textOf(headers[certificateHeader], 'certificate-invalid'));
      const { index } = certificate;
      const seen = (nonce: string): boolean => {
        if (nonces.has(nonce)) return true;
        // Before it is remembered, so that the buckets bound the memory too.
        if (!buckets.take(index))
          throw new TooManyError('too-many-requests', 'Too many requests at once. Wait a moment and try again.');
        nonces.add(nonce);
        return false;
      };
      const text = textOf(headers[requestHeader], 'request-invalid');
      const time = { now: clock.now(), windowMs: requestWindowMs, seen };
      return { index, head: checkRequest(cipher, certificate, text, { method, path }, time) };
    },
  };
}

/** Headers carry base64url of canonical JSON. */
function textOf(header: string | readonly string[] | undefined, code: string): string {
  if (typeof header !== 'string' || !/^[A-Za-z0-9_-]{1,6000}$/.test(header))
    throw new RefusalError(code, 'The request is not signed. Only institutions of the roster are answered here.');
  return Buffer.from(header, 'base64url').toString('utf8');
}

function createNonceMemory(clock: Clock, windowMs: number) {
  // Two generations: whatever was seen is remembered for at least as long as it could be replayed.
  let young = new Set<string>();
  let old = new Set<string>();
  let turnedAt = clock.now();
  return {
    has: (nonce: string): boolean => young.has(nonce) || old.has(nonce),
    add(nonce: string): void {
      const now = clock.now();
      if (now - turnedAt > 2 * windowMs) {
        old = young;
        young = new Set();
        turnedAt = now;
      }
      young.add(nonce);
    },
  };
}

function createBuckets(clock: Clock, { perSecond, burst }: Limits) {
  const levels = new Map<number, { tokens: number; at: number }>();
  return {
    take(index: number): boolean {
      const now = clock.now();
      const level = levels.get(index) ?? { tokens: burst, at: now };
      const tokens = Math.min(burst, level.tokens + (Math.max(0, now - level.at) * perSecond) / 1000);
      levels.set(index, { tokens: Math.max(0, tokens - 1), at: now });
      return tokens >= 1;
    },
  };
}
