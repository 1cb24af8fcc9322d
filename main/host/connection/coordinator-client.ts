// The participant's client of the coordinator: signs every request, tries again while the network fails, resumes uploads
// and turns problem documents into errors with their code and sentence. It believes nothing it is told. Design 6, "API".

import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { concat, fromUtf8, toHex, u32, utf8 } from '../../../app/encoding/bytes.ts';
import { parseCanonical } from '../../../app/encoding/canonical-json.ts';
import { InputError, RefusalError, UnavailableError } from '../../../app/errors.ts';
import type { Machine, Signer } from '../../../app/ports.ts';
import { decodeClosedRecords } from '../../../app/round/catch-up.ts';
import type { Accusation } from '../../../app/round/coordinator-state.ts';
import type { ChunkSupply, CoordinatorPort } from '../../../app/round/engine-ports.ts';
import { encodeMessage, expectStage, messageFrom } from '../../../app/round/messages.ts';
import type { Message } from '../../../app/round/messages.ts';
import { wordBits } from '../../../app/round/parameters.ts';
import { unpackWords } from '../../../app/sealed-sum/packing.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import {
  certificateHeader,
  certifyTransportKey,
  pieceBytes,
  requestHeader,
  signRequest,
} from '../../../app/round/request.ts';
import type { RequestHead } from '../../../app/round/request.ts';
import { dialledAt } from '../../../app/round/regions.ts';
import { decodeAccusations } from '../../../app/round/proofs.ts';
import { decodeStatus } from '../../../app/round/status.ts';
import type { CoordinatorStatus } from '../../../app/round/status.ts';
import { openExchange, StaleConnectionError } from './http-exchange.ts';
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
  /** The HTTP CONNECT proxy (proxy.ts); null or nothing: none. */
  readonly proxy?: URL | null;
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
  /** Signed changes of the coordinator's key, oldest first, unchecked (app/study/coordinator-key.ts). */
  keyChanges(): Promise<readonly unknown[]>;
  receivedChunks(round: number): Promise<readonly { readonly chunk: number; readonly sha256: string }[]>;
  close(): void;
};

export const usualPatience: Patience = { attempts: 6, firstMs: 250, longestMs: 8000 };

const replyMs = 60_000;
const certificateMs = 30 * 86_400_000;
const longestQuietMs = 25_000;
const leastQuietMs = 500;
const octets = 'application/octet-stream';
const json = 'application/json';

const receivedSchema = z.object({
  received: z.array(z.object({ chunk: z.number().int().nonnegative(), sha256: z.string() })).max(4096),
});

const piecesSchema = z.object({ received: z.array(z.number().int().nonnegative()).max(64) });

/** @throws RangeError for an address that is no http(s) URL. */
export function connectCoordinator(options: CoordinatorClientOptions): CoordinatorClient {
  const { machine, parameters, index, identity, transport } = options;
  const { cipher, clock, random } = machine;
  const { address, certificateAuthority } = dialledAt(parameters.contract, index);
  const exchange = openExchange(options.address ?? address, certificateAuthority, options.proxy ?? null);
  const patience = options.patience ?? usualPatience;
  let certificate = { text: '', until: 0 };
  /** A whole chunk did not arrive once: from then on chunks travel in pieces. */
  let linkBreaks = false;
  /** How long the path to the coordinator bears a connection without a byte; learned from what it cut. */
  let quietMs = longestQuietMs;

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
    readonly patience?: Patience;
    readonly headers?: () => { readonly [name: string]: string };
    readonly onPart?: (status: number, part: Uint8Array) => void;
  };
  const call = async (method: RequestHead['method'], path: string, given: Call = {}): Promise<Uint8Array> => {
    const body = given.body ?? null;
    return patiently(machine, given.patience ?? patience, given.signal ?? null, () => {
      // Signed anew for each try: a nonce is accepted once.
      const request = { method, path, body, time: clock.now(), nonce: random.bytes(16) };
      const headers = {
        [certificateHeader]: headerOf(certified()),
        [requestHeader]: headerOf(signRequest(cipher, transport, request)),
        ...(body === null ? {} : { 'content-type': given.type ?? json }),
        ...given.headers?.(),
      };
      const timeoutMs = given.timeoutMs ?? replyMs;
      const { onPart } = given;
      const rest = { timeoutMs, signal: given.signal ?? null, ...(onPart === undefined ? {} : { onPart }) };
      return exchange.send({ method, path, headers, body, ...rest });
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

  async function uploadMissing(round: number, { count, read }: ChunkSupply): Promise<void> {
    const there = new Map((await receivedChunks(round)).map(({ chunk, sha256 }) => [chunk, sha256]));
    for (let chunk = 0; chunk < count; chunk++) {
      const bytes = await read(chunk);
      if (there.get(chunk) !== toHex(cipher.sha256(bytes))) await sendChunk(round, chunk, bytes);
    }
  }

  /** Whole while the link holds; in pieces, of which none is sent twice, once it has not. */
  async function sendChunk(round: number, chunk: number, bytes: Uint8Array): Promise<void> {
    const path = `/v1/rounds/${round}/chunks/${chunk}`;
    const pieces = Math.ceil(bytes.length / pieceBytes);
    if (!linkBreaks || pieces === 1)
      try {
        const once = pieces === 1 ? {} : { patience: { ...patience, attempts: 1 } };
        return void (await call('PUT', path, { body: bytes, type: octets, ...once }));
      } catch (error) {
        if (!(error instanceof UnavailableError) || pieces === 1) throw error;
        linkBreaks = true;
      }
    const parsed = piecesSchema.safeParse(understood(parseCanonical, await call('GET', `${path}/pieces`)));
    if (!parsed.success) throw new RefusalError('message-malformed', 'The coordinator’s list of pieces is malformed.');
    const there = new Set(parsed.data.received);
    for (let piece = 0; piece < pieces; piece++)
      // The last one is always sent: it makes the chunk, if that was cut off the last time.
      if (!there.has(piece) || piece === pieces - 1) {
        const body = bytes.subarray(piece * pieceBytes, (piece + 1) * pieceBytes);
        await call('PUT', `${path}/pieces/${piece}`, { body, type: octets });
      }
  }

  async function uploadFrom(round: number, supply: ChunkSupply): Promise<void> {
    try {
      await uploadMissing(round, supply);
    } catch (error) {
      // Bytes were damaged on the way or on the coordinator's disk: it dropped them all, so they go once more.
      if (!(error instanceof RefusalError && error.code === 'vector-off-root')) throw error;
      await uploadMissing(round, supply);
    }
  }

  /** A chunk, from where the last try was cut off. A try that brought something forward does not count. */
  async function download(path: string): Promise<Uint8Array> {
    let held: Uint8Array[] = [];
    let length = 0;
    for (let fruitless = 0; ;) {
      const before = length;
      let begun = false;
      try {
        await call('GET', path, {
          patience: { ...patience, attempts: 1 },
          headers: () => (before === 0 ? {} : { range: `bytes=${before}-` }),
          onPart(status, part) {
            // A server that knows no ranges begins again.
            if (!begun && status !== 206) [held, length] = [[], 0];
            begun = true;
            held.push(new Uint8Array(part));
            length += part.length;
          },
        });
        return concat(...held);
      } catch (error) {
        fruitless = length > before ? 0 : fruitless + 1;
        if (!(error instanceof UnavailableError) || fruitless >= patience.attempts) throw error;
        await waitBefore(machine, patience, Math.max(1, fruitless), null);
      }
    }
  }

  async function statusOnce(cursor: number | null, waitMs: number, given: Call): Promise<CoordinatorStatus> {
    const path = cursor === null ? '/v1/status' : `/v1/status?cursor=${cursor}&waitMs=${waitMs}`;
    return understood(decodeStatus, await call('GET', path, { timeoutMs: replyMs + waitMs, ...given }));
  }

  /** A middlebox that cuts quiet connections is asked in shorter calls; the caller notices nothing. */
  async function status(cursor: number | null, waitMs: number, signal?: AbortSignal): Promise<CoordinatorStatus> {
    const given = signal === undefined ? {} : { signal };
    if (cursor === null || waitMs <= leastQuietMs) return statusOnce(cursor, waitMs, given);
    const until = performance.now() + waitMs;
    for (;;) {
      const begun = performance.now();
      const asked = Math.max(0, Math.round(Math.min(quietMs, until - begun)));
      try {
        const said = await statusOnce(cursor, asked, { ...given, patience: { ...patience, attempts: 1 } });
        if (said.cursor !== cursor || performance.now() >= until) return said;
      } catch (error) {
        const elapsed = performance.now() - begun;
        const cut = error instanceof UnavailableError && error.code === 'coordinator-unreachable';
        // Cut at once is away, not quiet for too long: that is waited out as any request is.
        if (!cut || elapsed < leastQuietMs || signal?.aborted === true) {
          if (!(error instanceof UnavailableError) || signal?.aborted === true || patience.attempts === 1) throw error;
          return statusOnce(cursor, 0, given);
        }
        quietMs = Math.max(leastQuietMs, Math.round(0.7 * elapsed));
      }
    }
  }

  return {
    status,
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
    upload: (round, chunks) =>
      uploadFrom(round, { count: chunks.length, read: (chunk) => Promise.resolve(chunks[chunk]!) }),
    uploadFrom,
    receivedChunks,
    keyChanges: () => listFrom('/v1/coordinator-keys', 'key changes'),
    maskedChunk: (round, member, chunk) => download(`/v1/rounds/${round}/vectors/${member}/chunks/${chunk}`),
    sumChunk: async (round, chunk) =>
      understood(
        (bytes) => unpackWords(bytes, wordBits(parameters)),
        await download(`/v1/rounds/${round}/sum/${chunk}`),
      ),
    regionSums: (round) => call('GET', `/v1/rounds/${round}/regions`),
    regionChunk: (round, position, chunk) => download(`/v1/rounds/${round}/regions/${position}/chunks/${chunk}`),
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
  proxy: URL | null = null,
): Promise<string> {
  const exchange = openExchange(address, certificateAuthority, proxy);
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
  let stale = false;
  for (let attempt = 1; ; attempt++) {
    try {
      return resultOf(await send());
    } catch (error) {
      // Once, at once, and signed anew: had the first arrived after all, the second would change nothing.
      if (error instanceof StaleConnectionError && signal?.aborted !== true && !stale) {
        stale = true;
        attempt--;
        continue;
      }
      const hopeless = !(error instanceof UnavailableError) || signal?.aborted === true;
      if (hopeless || attempt >= patience.attempts) throw error;
    }
    await waitBefore({ random }, patience, attempt, signal);
  }
}

/** Doubles with each try, with jitter. */
async function waitBefore(
  { random }: Pick<Machine, 'random'>,
  patience: Patience,
  attempt: number,
  signal: AbortSignal | null,
): Promise<void> {
  const wait = Math.min(patience.firstMs * 2 ** (attempt - 1), patience.longestMs);
  const jitter = 0.5 + random.bytes(1)[0]! / 256;
  await delay(wait * jitter, undefined, signal === null ? {} : { signal }).catch(() => undefined);
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
