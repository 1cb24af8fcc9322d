// The participant's client of the coordinator: signs every request, tries again while the network fails, resumes uploads
// and turns problem documents into errors with their code and sentence. It believes nothing it is told. Design 6, "API".

import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { bytesToWords, concat, fromUtf8, toHex, u32, utf8 } from '../../app/encoding/bytes.ts';
import { parseCanonical } from '../../app/encoding/canonical-json.ts';
import { InputError, RefusalError, UnavailableError } from '../../app/errors.ts';
import type { Machine, Signer } from '../../app/ports.ts';
import { decodeClosedRecords } from '../../app/round/catch-up.ts';
import type { Accusation } from '../../app/round/coordinator-state.ts';
import type { CoordinatorPort } from '../../app/round/engine-ports.ts';
import { encodeMessage, expectStage, messageFrom } from '../../app/round/messages.ts';
import type { Message } from '../../app/round/messages.ts';
import type { StudyParameters } from '../../app/round/parameters.ts';
import { certificateHeader, certifyTransportKey, requestHeader, signRequest } from '../../app/round/request.ts';
import type { RequestHead } from '../../app/round/request.ts';
import { decodeAccusations } from '../../app/round/proofs.ts';
import { decodeStatus } from '../../app/round/status.ts';
import type { CoordinatorStatus } from '../../app/round/status.ts';
import { openExchange } from './http-exchange.ts';
import type { Exchange, Reply } from './http-exchange.ts';

export type Patience = {
  /** Tries of one request while the coordinator cannot be reached or says that it is busy. */
  readonly attempts: number;
  /** Wait before the second try; it doubles, with jitter, up to `longestMs`. */
  readonly firstMs: number;
  readonly longestMs: number;
};

export type CoordinatorClientOptions = {
  readonly machine: Machine;
  readonly parameters: StudyParameters;
  /** Roster position of this institution. */
  readonly index: number;
  readonly identity: Signer;
  readonly transport: Signer;
  /** Where the contract's address is not where the coordinator is reached (a forwarded port). */
  readonly address?: string;
  readonly patience?: Patience;
};

/** Every call: RefusalError with the coordinator's code; UnavailableError where it cannot be reached or is busy. */
export type CoordinatorClient = CoordinatorPort & {
  /** Waits up to `waitMs` (25 s at most) for a change after `cursor`; null answers at once. */
  status(cursor: number | null, waitMs: number, signal?: AbortSignal): Promise<CoordinatorStatus>;
  /** Texts of signed documents (app/study/consent.ts). */
  sendConsent(text: string): Promise<void>;
  sendWithdrawal(text: string): Promise<void>;
  /** Texts of the signed consents accepted so far, by roster position. */
  consents(): Promise<readonly unknown[]>;
  /** Every Ready of this institution that the coordinator holds: unchecked, the evidence of a device replacement. */
  ownReadies(): Promise<readonly Message<0>[]>;
  /** Text of a signed device replacement (app/study/device-replacement.ts). */
  sendReplacement(text: string): Promise<void>;
  /** Texts of the signed device replacements accepted so far, of all institutions, oldest first. */
  replacements(): Promise<readonly unknown[]>;
  /** The coordinator's signed notice that a round number is spent; null where it has none. */
  abortNotice(round: number): Promise<Uint8Array | null>;
  /** Every exclusion with what proves it (app/round/proofs.ts). */
  exclusions(): Promise<readonly Accusation[]>;
  receivedChunks(round: number): Promise<readonly { readonly chunk: number; readonly sha256: string }[]>;
  close(): void;
};

export const usualPatience: Patience = { attempts: 6, firstMs: 250, longestMs: 8000 };

const replyMs = 60_000;
const certificateMs = 30 * 86_400_000;
const octets = 'application/octet-stream';
const json = 'application/json';

const receivedSchema = z.object({
  received: z.array(z.object({ chunk: z.number().int().nonnegative(), sha256: z.string() })).max(4096),
});

/** @throws RangeError for an address that is no http(s) URL. */
export function connectCoordinator(options: CoordinatorClientOptions): CoordinatorClient {
  const { machine, parameters, index, identity, transport } = options;
  const { cipher, clock, random } = machine;
  const { coordinator } = parameters.contract;
  const exchange = openExchange(options.address ?? coordinator.address, coordinator.certificateAuthority);
  const patience = options.patience ?? usualPatience;
  let certificate = { text: '', until: 0 };

  function certified(): string {
    const now = clock.now();
    if (certificate.until < now) {
      const text = certifyTransportKey(identity, parameters, {
        index,
        key: transport.publicKey,
        notAfter: now + certificateMs,
      });
      certificate = { text, until: now + certificateMs / 2 };
    }
    return certificate.text;
  }

  type Call = {
    readonly body?: Uint8Array;
    readonly type?: string;
    readonly timeoutMs?: number;
    readonly signal?: AbortSignal;
  };
  const call = async (method: RequestHead['method'], path: string, given: Call = {}): Promise<Uint8Array> => {
    const body = given.body ?? null;
    return patiently(machine, patience, given.signal ?? null, () => {
      // Signed anew for each try: a nonce is accepted once.
      const request = { method, path, body, time: clock.now(), nonce: random.bytes(16) };
      const headers = {
        [certificateHeader]: headerOf(certified()),
        [requestHeader]: headerOf(signRequest(cipher, transport, request)),
        ...(body === null ? {} : { 'content-type': given.type ?? json }),
      };
      const timeoutMs = given.timeoutMs ?? replyMs;
      return exchange.send({ method, path, headers, body, timeoutMs, signal: given.signal ?? null });
    });
  };
  const ifThere = async (path: string): Promise<Uint8Array | null> => {
    try {
      return await call('GET', path);
    } catch (error) {
      if (error instanceof RefusalError && error.code === 'not-there') return null;
      throw error;
    }
  };
  const post = async (path: string, body: Uint8Array, type = json): Promise<void> => {
    await call('POST', path, { body, type });
  };

  async function listFrom(path: string, what: string): Promise<readonly unknown[]> {
    const parsed = z.array(z.unknown()).safeParse(understood(parseCanonical, await call('GET', path)));
    if (!parsed.success) throw new RefusalError('message-malformed', `The coordinator’s list of ${what} is malformed.`);
    return parsed.data;
  }

  async function receivedChunks(round: number) {
    const parsed = receivedSchema.safeParse(
      understood(parseCanonical, await call('GET', `/v1/rounds/${round}/chunks`)),
    );
    if (!parsed.success) throw new RefusalError('message-malformed', 'The coordinator’s list of chunks is malformed.');
    return parsed.data.received;
  }

  async function uploadMissing(round: number, chunks: readonly Uint8Array[]): Promise<void> {
    const there = new Map((await receivedChunks(round)).map(({ chunk, sha256 }) => [chunk, sha256]));
    for (const [chunk, bytes] of chunks.entries())
      if (there.get(chunk) !== toHex(cipher.sha256(bytes)))
        await call('PUT', `/v1/rounds/${round}/chunks/${chunk}`, { body: bytes, type: octets });
  }

  return {
    status: async (cursor, waitMs, signal) =>
      understood(
        decodeStatus,
        await call('GET', cursor === null ? '/v1/status' : `/v1/status?cursor=${cursor}&waitMs=${waitMs}`, {
          timeoutMs: replyMs + waitMs,
          ...(signal === undefined ? {} : { signal }),
        }),
      ),
    exclusions: async () => understood(decodeAccusations, await call('GET', '/v1/exclusions')),
    sendConsent: (text) => post('/v1/consents', utf8(text)),
    sendWithdrawal: (text) => post('/v1/withdrawals', utf8(text)),
    consents: () => listFrom('/v1/consents', 'consents'),
    sendReplacement: (text) => post('/v1/replacements', utf8(text)),
    replacements: () => listFrom('/v1/replacements', 'device replacements'),
    ownReadies: async () =>
      (await listFrom('/v1/readies', 'announcements')).map((value) =>
        understood((one: unknown) => expectStage(messageFrom(one), 0), value),
      ),
    send: (message) => post(`/v1/rounds/${message.round}/messages`, encodeMessage(message)),
    sendShares(message, bundle) {
      const bytes = encodeMessage(message);
      return post(`/v1/rounds/${message.round}/shares`, concat(u32(bytes.length), bytes, bundle), octets);
    },
    broadcast: (round, stage) => ifThere(`/v1/rounds/${round}/broadcasts/${stage}`),
    abortNotice: (round) => ifThere(`/v1/rounds/${round}/broadcasts/aborted`),
    boxes: (round) => call('GET', `/v1/rounds/${round}/boxes`),
    async upload(round, chunks) {
      try {
        await uploadMissing(round, chunks);
      } catch (error) {
        // Bytes were damaged on the way or on the coordinator's disk: it dropped them all, so they go once more.
        if (!(error instanceof RefusalError && error.code === 'vector-off-root')) throw error;
        await uploadMissing(round, chunks);
      }
    },
    receivedChunks,
    maskedChunk: (round, member, chunk) => call('GET', `/v1/rounds/${round}/vectors/${member}/chunks/${chunk}`),
    sumChunk: async (round, chunk) => understood(bytesToWords, await call('GET', `/v1/rounds/${round}/sum/${chunk}`)),
    closedAfter: async (round) => understood(decodeClosedRecords, await call('GET', `/v1/closed?after=${round}`)),
    close: () => exchange.close(),
  };
}

/**
 * The signed contract's text as a coordinator serves it, before anything is known of the study. Check it with
 * openSignedContract and hold the lead's key against the invitation's.
 */
export async function fetchSignedContract(
  machine: Machine,
  address: string,
  certificateAuthority: string | null,
  patience = usualPatience,
): Promise<string> {
  const exchange = openExchange(address, certificateAuthority);
  try {
    return fromUtf8(await openGet(machine, exchange, patience, '/v1/contract'));
  } finally {
    exchange.close();
  }
}

function openGet(machine: Machine, exchange: Exchange, patience: Patience, path: string): Promise<Uint8Array> {
  const request = { method: 'GET', path, headers: {}, body: null, timeoutMs: replyMs, signal: null };
  return patiently(machine, patience, null, () => exchange.send(request));
}

/** What the coordinator says is its own affair: bytes that are not the protocol's are refused like any other lie. */
function understood<Given, Read>(read: (given: Given) => Read, given: Given): Read {
  try {
    return read(given);
  } catch (error) {
    if (error instanceof InputError) throw new RefusalError(error.code, error.message, { cause: error });
    if (!(error instanceof RangeError)) throw error;
    throw new RefusalError('message-malformed', 'The coordinator’s answer has the wrong length.', { cause: error });
  }
}

const headerOf = (text: string): string => Buffer.from(text, 'utf8').toString('base64url');

/** Tries until there is an answer, the coordinator refuses, or patience ends. */
async function patiently(
  { random }: Machine,
  patience: Patience,
  signal: AbortSignal | null,
  send: () => Promise<Reply>,
): Promise<Uint8Array> {
  for (let attempt = 1; ; attempt++) {
    try {
      return resultOf(await send());
    } catch (error) {
      const hopeless = !(error instanceof UnavailableError) || signal?.aborted === true;
      if (hopeless || attempt >= patience.attempts) throw error;
    }
    const wait = Math.min(patience.firstMs * 2 ** (attempt - 1), patience.longestMs);
    const jitter = 0.5 + random.bytes(1)[0]! / 256;
    await delay(wait * jitter, undefined, signal === null ? {} : { signal }).catch(() => undefined);
  }
}

const problemSchema = z.object({
  code: z.string().regex(/^[a-z0-9-]{1,64}$/),
  detail: z.string().max(1000),
});

function resultOf({ status, bytes }: Reply): Uint8Array {
  if (status >= 200 && status < 300) return bytes;
  const { code, detail } = problemOf(bytes) ?? {
    code: 'reply-unknown',
    detail: `The address of the coordinator answered with HTTP status ${status}, which is not how a coordinator speaks.`,
  };
  // What a coordinator writes goes to a person's terminal, and must not pass for this machine's own trouble.
  const said = detail.replaceAll(/\p{C}+/gu, ' ');
  const whose = /^(?:disk|ledger|keyring)-/.test(code) ? `coordinator-${code}` : code;
  if (status >= 500 || status === 429 || status === 408) throw new UnavailableError(whose, said);
  throw new RefusalError(code, said);
}

/** Null where a stranger (a proxy, another server) answered. */
function problemOf(bytes: Uint8Array): z.infer<typeof problemSchema> | null {
  try {
    return problemSchema.parse(JSON.parse(fromUtf8(bytes)));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError || error instanceof z.ZodError) return null;
    throw error;
  }
}
