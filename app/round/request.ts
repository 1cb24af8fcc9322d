// Who sends a request to the coordinator, and that it is this request: a transport key certified by the identity key
// signs method, path, body hash, time and nonce. Nothing here touches the network; times and the memory of nonces are
// the caller's. Design 6, "API".

import { z } from 'zod';
import { fromHex, toHex } from '../encoding/bytes.ts';
import { canonicalBytes, canonicalJson, parseCanonical } from '../encoding/canonical-json.ts';
import { signWith, verifySignature } from '../encoding/signature.ts';
import { InputError, RefusalError } from '../errors.ts';
import type { Cipher, Signer } from '../ports.ts';
import { hex32, hex64, wholeFrom } from '../study/fields.ts';
import type { StudyParameters } from './parameters.ts';
import { senderKey } from './regions.ts';

export const certificateHeader = 'consilience-certificate';
export const requestHeader = 'consilience-request';
/** Over a bad link a chunk travels in pieces of this length, the last one shorter: what arrived stays. */
export const pieceBytes = 2 ** 18;
/** A request older or newer than this against the coordinator's clock is refused. */
export const requestWindowMs = 5 * 60_000;

const certificateSchema = z.strictObject({
  study: hex32,
  /** Roster position, or a relay's sender (messages.ts). */
  index: wholeFrom(0, 0xffff),
  /** Ed25519 transport key. */
  key: hex32,
  /** Milliseconds UTC. */
  notAfter: wholeFrom(0, Number.MAX_SAFE_INTEGER),
});

const requestSchema = z.strictObject({
  method: z.enum(['GET', 'POST', 'PUT']),
  /** From "/v1" on, with the query. */
  path: z.string().min(1).max(2000),
  /** SHA-256 of the body's bytes; of no bytes where there is no body. */
  body: hex32,
  time: wholeFrom(0, Number.MAX_SAFE_INTEGER),
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
});

export const signedCertificateSchema = z.strictObject({ certificate: certificateSchema, signature: hex64 });
export const signedRequestSchema = z.strictObject({ request: requestSchema, signature: hex64 });

export type TransportCertificate = z.infer<typeof certificateSchema>;
export type RequestHead = z.infer<typeof requestSchema>;

const none = new Uint8Array(0);

/** The certificate as the text of its header, signed by the identity key of roster position `index`. */
export function certifyTransportKey(
  identity: Signer,
  parameters: StudyParameters,
  certificate: { readonly index: number; readonly key: Uint8Array; readonly notAfter: number },
): string {
  const { index, key, notAfter } = certificate;
  const body = certificateSchema.parse({ study: toHex(parameters.study), index, key: toHex(key), notAfter });
  const signature = toHex(signWith(identity, 'transport-certificate', canonicalBytes(body)));
  return canonicalJson({ certificate: body, signature });
}

/** One request as the text of its header. `nonce`: 16 fresh random bytes. */
export function signRequest(
  cipher: Cipher,
  transport: Signer,
  request: {
    readonly method: RequestHead['method'];
    readonly path: string;
    readonly body: Uint8Array | null;
    readonly time: number;
    readonly nonce: Uint8Array;
  },
): string {
  const { method, path, time } = request;
  const body = toHex(cipher.sha256(request.body ?? none));
  const head = requestSchema.parse({ method, path, body, time, nonce: toHex(request.nonce) });
  return canonicalJson({ request: head, signature: toHex(signWith(transport, 'request', canonicalBytes(head))) });
}

/**
 * @returns the certificate, whose key may sign requests of roster position `index` in this study.
 * @throws RefusalError `certificate-invalid`, `certificate-other-study`, `certificate-unknown`, `certificate-expired`,
 * `certificate-signature`.
 */
export function checkCertificate(
  cipher: Cipher,
  parameters: StudyParameters,
  text: string,
  now: number,
): TransportCertificate {
  const { certificate, signature } = read(
    signedCertificateSchema,
    text,
    'certificate-invalid',
    'transport certificate',
  );
  if (certificate.study !== toHex(parameters.study))
    throw new RefusalError(
      'certificate-other-study',
      'The request belongs to another study, or to another version of its terms.',
    );
  const identity = senderKey(parameters, certificate.index);
  if (identity === null)
    throw new RefusalError('certificate-unknown', 'The request comes from an institution that is not in the roster.');
  if (now >= certificate.notAfter)
    throw new RefusalError('certificate-expired', 'The certificate of the transport key has expired; make a new one.');
  const signed = canonicalBytes(certificate);
  if (!verifySignature(cipher, identity, 'transport-certificate', signed, fromHex(signature, 64)))
    throw new RefusalError(
      'certificate-signature',
      'The transport key is not certified by the identity key that the study terms name.',
    );
  return certificate;
}

/**
 * The request's head, before its body is read. `seen` remembers a nonce and says whether it was there already; it is
 * asked last, so that nobody but the key's holder can fill its memory.
 * @throws RefusalError `request-invalid`, `request-differs`, `request-stale`, `request-signature`, `request-replayed`.
 */
export function checkRequest(
  cipher: Cipher,
  certificate: TransportCertificate,
  text: string,
  actual: { readonly method: string; readonly path: string },
  clock: { readonly now: number; readonly windowMs: number; readonly seen: (nonce: string) => boolean },
): RequestHead {
  const { request, signature } = read(signedRequestSchema, text, 'request-invalid', 'signed request');
  if (request.method !== actual.method || request.path !== actual.path)
    throw new RefusalError('request-differs', 'The signature belongs to another request.');
  if (Math.abs(clock.now - request.time) > clock.windowMs)
    throw new RefusalError(
      'request-stale',
      `The request is dated ${Math.round(Math.abs(clock.now - request.time) / 1000)} seconds away from the coordinator’s clock. Set this machine’s clock.`,
    );
  const key = fromHex(certificate.key, 32);
  if (!verifySignature(cipher, key, 'request', canonicalBytes(request), fromHex(signature, 64)))
    throw new RefusalError('request-signature', 'The request is not signed by the certified transport key.');
  if (clock.seen(`${certificate.index}/${request.nonce}`))
    throw new RefusalError(
      'request-replayed',
      'The same signed request came twice; the second one was not carried out.',
    );
  return request;
}

/** @throws RefusalError `request-body-differs`. */
export function checkRequestBody(cipher: Cipher, request: RequestHead, body: Uint8Array | null): void {
  if (toHex(cipher.sha256(body ?? none)) !== request.body)
    throw new RefusalError('request-body-differs', 'The body is not the one that was signed; nothing was changed.');
}

function read<Output>(schema: z.ZodType<Output>, text: string, code: string, what: string): Output {
  let value: unknown;
  try {
    value = parseCanonical(text);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new RefusalError(code, `The ${what} is missing or malformed.`);
  return parsed.data;
}
