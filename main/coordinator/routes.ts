// The coordinator's addresses under /v1. Bodies and replies are canonical JSON or raw bytes; a refused request changes
// nothing. Three addresses are open to all (health, contract, the API's document), the others answer roster members only. Design 6, "API".

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { fromUtf8, readU32, toHex } from '../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../app/encoding/canonical-json.ts';
import { InputError, RefusalError } from '../../app/errors.ts';
import { closedAfter } from '../../app/round/coordinator-study.ts';
import { decodeMessage } from '../../app/round/messages.ts';
import type { Message } from '../../app/round/messages.ts';
import { encodeAccusations } from '../../app/round/proofs.ts';
import { pieceBytes } from '../../app/round/request.ts';
import { coordinatorStatus, encodeStatus } from '../../app/round/status.ts';
import { checkConsent, openSignedConsent, openSignedWithdrawal } from '../../app/study/consent.ts';
import { openSignedDeviceReplacement } from '../../app/study/device-replacement.ts';
import type { Limits } from './admission.ts';
import type { Engine } from './engine.ts';
import { openApiDocument } from './openapi.ts';
import { createPlaces } from './places.ts';
import { NotThereError } from './problems.ts';
import { servedBytes } from './served-bytes.ts';
import type { BroadcastName } from './served-bytes.ts';
import { bodyOf, jsonType, numberFrom, octetsType, send } from './signed-http.ts';

export type Caller = { readonly index: number };
/** What the server's hooks found out about a request; null on the open addresses. */
export type RouteContext = {
  readonly engine: Engine;
  /** The signed contract's file, as it was given. */
  readonly contract: Uint8Array;
  readonly limits: Limits;
  readonly callerOf: (request: FastifyRequest) => Caller;
};

const longestWaitMs = 25_000;
const mostMessageBytes = 256 * 1024;
/** 500 boxes of a few hundred bytes, and their message. */
const mostSharesBytes = 1024 * 1024;
const mostChunkBytes = 4 * 1024 * 1024;

type Params = { readonly [name: string]: string | undefined };

export function addRoutes(app: FastifyInstance, context: RouteContext): void {
  const { engine, callerOf } = context;
  const { cipher, clock, parameters } = engine.options;
  const { contract } = parameters;
  const served = servedBytes(engine);

  /** RFC 9110, 14: one range, from a byte on; anything else gets the whole. */
  const sendRange = (request: FastifyRequest, reply: FastifyReply, bytes: Uint8Array): FastifyReply => {
    reply.header('accept-ranges', 'bytes');
    const asked = /^bytes=(\d{1,10})-$/.exec(request.headers.range ?? '')?.[1];
    if (asked === undefined || Number(asked) >= bytes.length) return send(reply, octetsType, bytes);
    const from = Number(asked);
    reply.status(206).header('content-range', `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
    return send(reply, octetsType, bytes.subarray(from));
  };
  const done = (reply: FastifyReply): FastifyReply =>
    send(reply, jsonType, canonicalBytes({ cursor: engine.cursor() }));

  app.get('/v1/health', { config: { open: true } }, async (_, reply) =>
    send(reply, jsonType, canonicalBytes({ status: 'ok', study: toHex(parameters.study) })),
  );
  const document = canonicalBytes(openApiDocument());
  app.get('/v1/openapi.json', { config: { open: true } }, async (_, reply) => send(reply, jsonType, document));
  app.get('/v1/contract', { config: { open: true } }, async (_, reply) => send(reply, jsonType, context.contract));

  app.get('/v1/coordinator-keys', { config: { open: true } }, async (_, reply) =>
    send(reply, jsonType, canonicalBytes(engine.options.keyChanges ?? [])),
  );

  // ---- consents ----

  app.post('/v1/consents', { bodyLimit: mostMessageBytes }, async (request, reply) => {
    const body = bodyOf(request);
    const signed = openSignedConsent(cipher, contract, textOf(body));
    requireOwn(callerOf(request), signed.consent.institution.index);
    checkConsent(cipher, contract, signed, clock.now());
    await engine.apply({ kind: 'consented', index: signed.consent.institution.index }, body);
    return done(reply);
  });
  app.get('/v1/consents', async (_, reply) => {
    const consents = [...engine.consents()].sort(([left], [right]) => left - right);
    return send(
      reply,
      jsonType,
      canonicalBytes(consents.map(([, document]) => JSON.parse(fromUtf8(document)) as unknown)),
    );
  });
  app.post('/v1/withdrawals', { bodyLimit: mostMessageBytes }, async (request, reply) => {
    const body = bodyOf(request);
    const { withdrawal } = openSignedWithdrawal(cipher, contract, textOf(body));
    requireOwn(callerOf(request), withdrawal.institution.index);
    await engine.apply({ kind: 'withdrawn', index: withdrawal.institution.index }, body);
    return done(reply);
  });

  // ---- device replacements ----

  app.get('/v1/readies', async (request, reply) => {
    const { index } = callerOf(request);
    return send(reply, jsonType, canonicalBytes(engine.study().readies.filter((ready) => ready.sender === index)));
  });
  app.post('/v1/replacements', { bodyLimit: mostMessageBytes }, async (request, reply) => {
    const body = bodyOf(request);
    const { replacement } = openSignedDeviceReplacement(cipher, contract, textOf(body));
    const { counter, head, institution } = replacement;
    requireOwn(callerOf(request), institution.index);
    await engine.apply({ kind: 'replaced', index: institution.index, counter, head }, body);
    return done(reply);
  });
  app.get('/v1/replacements', async (_, reply) =>
    send(reply, jsonType, canonicalBytes(engine.replacements().map((one) => JSON.parse(fromUtf8(one)) as unknown))),
  );

  // ---- what is going on ----

  const polls = new Map<number, AbortController>();
  app.get('/v1/status', async (request, reply) => {
    const { index } = callerOf(request);
    const query = request.query as Params;
    const cursor = query['cursor'] === undefined ? null : numberFrom(query, 'cursor');
    const waitMs = query['waitMs'] === undefined ? 0 : Math.min(numberFrom(query, 'waitMs'), longestWaitMs);
    if (cursor === engine.cursor() && waitMs > 0) {
      // One waiting call a member: a newer one answers the older.
      const poll = new AbortController();
      polls.get(index)?.abort();
      polls.set(index, poll);
      const gone = (): void => poll.abort();
      reply.raw.once('close', gone);
      await engine.changes.wait(waitMs, poll.signal);
      reply.raw.off('close', gone);
      if (polls.get(index) === poll) polls.delete(index);
    }
    const facts = { cursor: engine.cursor(), now: clock.now(), rounds: contract.schedule.rounds };
    const status = coordinatorStatus(engine.study(), index, facts);
    const { length } = engine.options.keyChanges ?? [];
    return send(reply, jsonType, encodeStatus(length === 0 ? status : { ...status, keyChanges: length }));
  });
  app.get('/v1/exclusions', async (_, reply) =>
    send(reply, jsonType, encodeAccusations([...engine.study().excluded.values()])),
  );
  app.get('/v1/closed', async (request, reply) => {
    const after = numberFrom(request.query as Params, 'after');
    return send(reply, jsonType, canonicalBytes(closedAfter(engine.study(), after)));
  });

  // ---- the round ----

  app.post('/v1/rounds/:round/messages', { bodyLimit: mostMessageBytes }, async (request, reply) => {
    const message = ownMessage(request, bodyOf(request));
    if (message.stage === 1) throw new InputError('wrong-stage', 'Shares come with their boxes, at another address.');
    await engine.apply({ kind: 'message', message });
    if (message.stage === 2 || message.stage === 64)
      // The message stands; chunks off its root are dropped, and their sender sees that they are missing.
      await engine.uploads.completeIfWhole(message.round, message.sender).catch((error: unknown) => {
        if (!(error instanceof RefusalError)) throw error;
      });
    return done(reply);
  });
  app.post('/v1/rounds/:round/shares', { bodyLimit: mostSharesBytes }, async (request, reply) => {
    const body = bodyOf(request);
    const length = body.length < 4 ? body.length : readU32(body, 0);
    if (4 + length > body.length) throw new InputError('shares-frame', 'The shares and their boxes are cut off.');
    const message = ownMessage(request, body.subarray(4, 4 + length));
    if (message.stage !== 1) throw new InputError('wrong-stage', 'Only shares come with boxes.');
    await engine.apply({ kind: 'message', message, bundle: body.slice(4 + length) });
    return done(reply);
  });

  function ownMessage(request: FastifyRequest, bytes: Uint8Array): Message {
    const message = decodeMessage(bytes) as Message;
    requireOwn(callerOf(request), message.sender);
    if (message.round !== numberFrom(request.params as Params, 'round'))
      throw new InputError('old-round', 'The message belongs to another round than the address it was sent to.');
    return message;
  }

  app.get('/v1/rounds/:round/broadcasts/:stage', async (request, reply) => {
    const params = request.params as Params;
    const names: readonly BroadcastName[] = [0, 1, 2, 3, 4, 5, 6, 'aborted'];
    const name = names.find((one) => String(one) === params['stage']);
    if (name === undefined) throw new NotThereError('not-there', 'There is no broadcast of that name.');
    return send(reply, jsonType, served.broadcast(numberFrom(params, 'round'), name));
  });
  app.get('/v1/rounds/:round/boxes', async (request, reply) => {
    const round = numberFrom(request.params as Params, 'round');
    return send(reply, octetsType, served.boxes(round, callerOf(request).index));
  });

  // ---- vectors ----

  const places = createPlaces(context.limits.chunksAtOnce, context.limits.chunksWaiting);
  /** Before the body is read: what is being received at once bounds the memory. */
  const takePlace = async (_: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const giveBack = await places.take();
    if (reply.raw.destroyed) giveBack();
    else reply.raw.once('close', giveBack);
  };
  app.put(
    '/v1/rounds/:round/chunks/:chunk',
    { bodyLimit: mostChunkBytes, preParsing: takePlace },
    async (request, reply) => {
      const params = request.params as Params;
      const { index } = callerOf(request);
      await engine.uploads.accept(numberFrom(params, 'round'), index, numberFrom(params, 'chunk'), bodyOf(request));
      return done(reply);
    },
  );
  app.put(
    '/v1/rounds/:round/chunks/:chunk/pieces/:piece',
    { bodyLimit: pieceBytes, preParsing: takePlace },
    async (request, reply) => {
      const params = request.params as Params;
      const { index } = callerOf(request);
      const [round, chunk, piece] = ['round', 'chunk', 'piece'].map((name) => numberFrom(params, name));
      await engine.uploads.acceptPiece(round!, index, chunk!, piece!, bodyOf(request));
      return done(reply);
    },
  );
  app.get('/v1/rounds/:round/chunks/:chunk/pieces', async (request, reply) => {
    const params = request.params as Params;
    const [round, chunk] = [numberFrom(params, 'round'), numberFrom(params, 'chunk')];
    const received = await engine.uploads.receivedPieces(round, callerOf(request).index, chunk);
    return send(reply, jsonType, canonicalBytes({ received }));
  });
  app.get('/v1/rounds/:round/chunks', async (request, reply) => {
    const round = numberFrom(request.params as Params, 'round');
    const rows = await engine.uploads.received(round, callerOf(request).index);
    const received = rows.map(({ chunk, sha256 }) => ({ chunk, sha256 }));
    return send(reply, jsonType, canonicalBytes({ received }));
  });
  app.get('/v1/rounds/:round/vectors/:index/chunks/:chunk', async (request, reply) => {
    const params = request.params as Params;
    const [round, index, chunk] = [
      numberFrom(params, 'round'),
      numberFrom(params, 'index'),
      numberFrom(params, 'chunk'),
    ];
    return sendRange(request, reply, await served.masked(round, callerOf(request).index, index, chunk));
  });
  app.get('/v1/rounds/:round/regions', async (request, reply) =>
    send(reply, jsonType, served.regionSums(numberFrom(request.params as Params, 'round'))),
  );
  app.get('/v1/rounds/:round/regions/:region/chunks/:chunk', async (request, reply) => {
    const params = request.params as Params;
    const [round, region, chunk] = ['round', 'region', 'chunk'].map((name) => numberFrom(params, name));
    return sendRange(request, reply, await served.regionChunk(round!, region!, chunk!));
  });
  app.get('/v1/rounds/:round/sum/:chunk', async (request, reply) => {
    const params = request.params as Params;
    return sendRange(request, reply, await served.sum(numberFrom(params, 'round'), numberFrom(params, 'chunk')));
  });
}

function requireOwn(caller: Caller, index: number): void {
  if (caller.index !== index)
    throw new RefusalError('wrong-sender', 'An institution may only send what it signed itself.');
}

function textOf(body: Uint8Array): string {
  try {
    return fromUtf8(body);
  } catch {
    throw new InputError('not-json', 'The document is not text in UTF-8.');
  }
}
