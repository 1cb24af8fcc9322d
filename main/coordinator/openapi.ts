// The coordinator's addresses as an OpenAPI 3.1 document, made from the schemas that check what comes in: it cannot say
// something else than the program does. A test holds its paths to the server's. Design 6, "API".

import { z } from 'zod';
import {
  requestHeader,
  certificateHeader,
  signedCertificateSchema,
  signedRequestSchema,
} from '../../app/round/request.ts';
import { bodySchemaOf } from '../../app/round/messages.ts';
import type { Stage } from '../../app/round/messages.ts';
import { statusSchema } from '../../app/round/status.ts';
import { signedConsentSchema, signedWithdrawalSchema } from '../../app/study/consent.ts';
import { signedReplacementSchema } from '../../app/study/device-replacement.ts';
import { signedContractSchema } from '../../app/study/signed-contract.ts';

type Json = { readonly [name: string]: unknown };

const whole = z.number().int().nonnegative();
const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const problemSchema = z.object({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.number().int(),
  /** Stable: what happened, for programs. */
  code: z.string().regex(/^[a-z0-9-]{1,64}$/),
  /** What happened and what to do, for people. */
  detail: z.string(),
});
const cursorSchema = z.strictObject({ cursor: whole });
const healthSchema = z.strictObject({ status: z.literal('ok'), study: hex32 });

/** Messages that participants send, by stage. */
const sent = [0, 1, 2, 3, 4, 6, 16, 17, 64] as const satisfies readonly Stage[];
const messageOf = (stage: Stage): z.ZodType =>
  z.strictObject({
    round: whole,
    stage: z.literal(stage),
    sender: whole.max(0xffff),
    body: bodySchemaOf(stage),
    signature: z.string().regex(/^[0-9a-f]{128}$/),
  });

const schemas: { readonly [name: string]: z.ZodType } = {
  Problem: problemSchema,
  Cursor: cursorSchema,
  Health: healthSchema,
  SignedContract: signedContractSchema,
  SignedConsent: signedConsentSchema,
  SignedWithdrawal: signedWithdrawalSchema,
  SignedReplacement: signedReplacementSchema,
  Status: statusSchema,
  Message: z.union(sent.map(messageOf) as [z.ZodType, z.ZodType, ...z.ZodType[]]),
  ReceivedChunks: z.strictObject({ received: z.array(z.strictObject({ chunk: whole, sha256: hex32 })) }),
  ReceivedPieces: z.strictObject({ received: z.array(whole) }),
  Certificate: signedCertificateSchema,
  SignedRequest: signedRequestSchema,
};

type Operation = {
  readonly method: 'get' | 'post' | 'put';
  /** As the server writes it, with :name. */
  readonly path: string;
  readonly summary: string;
  readonly open?: boolean;
  readonly query?: readonly string[];
  /** Name of a schema, or bytes. */
  readonly body?: string;
  readonly reply: string;
};

const bytes = 'bytes';
const anyJson = 'json';

const operations: readonly Operation[] = [
  { method: 'get', path: '/v1/health', summary: 'Whether it serves, and which study.', open: true, reply: 'Health' },
  { method: 'get', path: '/v1/openapi.json', summary: 'This document.', open: true, reply: anyJson },
  { method: 'get', path: '/v1/contract', summary: 'The signed study terms.', open: true, reply: 'SignedContract' },
  {
    method: 'get',
    path: '/v1/coordinator-keys',
    summary: 'Signed changes of the coordinator’s key, oldest first.',
    open: true,
    reply: anyJson,
  },
  {
    method: 'post',
    path: '/v1/consents',
    summary: 'One’s own signed consent.',
    body: 'SignedConsent',
    reply: 'Cursor',
  },
  { method: 'get', path: '/v1/consents', summary: 'All signed consents.', reply: anyJson },
  {
    method: 'post',
    path: '/v1/withdrawals',
    summary: 'One’s own signed withdrawal.',
    body: 'SignedWithdrawal',
    reply: 'Cursor',
  },
  { method: 'get', path: '/v1/readies', summary: 'One’s own announcements, as evidence after a loss.', reply: anyJson },
  {
    method: 'post',
    path: '/v1/replacements',
    summary: 'A signed device replacement.',
    body: 'SignedReplacement',
    reply: 'Cursor',
  },
  { method: 'get', path: '/v1/replacements', summary: 'All signed device replacements.', reply: anyJson },
  {
    method: 'get',
    path: '/v1/status',
    summary: 'What is going on; waits up to waitMs (25 s at most) for a change after cursor.',
    query: ['cursor', 'waitMs'],
    reply: 'Status',
  },
  { method: 'get', path: '/v1/exclusions', summary: 'Exclusions, each with its proof.', reply: anyJson },
  {
    method: 'get',
    path: '/v1/closed',
    summary: 'Closed rounds after a number, with evidence.',
    query: ['after'],
    reply: anyJson,
  },
  {
    method: 'post',
    path: '/v1/rounds/:round/messages',
    summary: 'A signed message of the round.',
    body: 'Message',
    reply: 'Cursor',
  },
  {
    method: 'post',
    path: '/v1/rounds/:round/shares',
    summary: 'A message of stage 1 and its boxes: u32 length ‖ message ‖ boxes.',
    body: bytes,
    reply: 'Cursor',
  },
  {
    method: 'get',
    path: '/v1/rounds/:round/broadcasts/:stage',
    summary: 'The signed list that ended stage 0–3, or R0b (5); the signed result (4).',
    reply: anyJson,
  },
  {
    method: 'get',
    path: '/v1/rounds/:round/boxes',
    summary: 'The boxes dealt to the caller, with their paths.',
    reply: bytes,
  },
  {
    method: 'get',
    path: '/v1/rounds/:round/chunks',
    summary: 'Which of the caller’s chunks are there.',
    reply: 'ReceivedChunks',
  },
  {
    method: 'put',
    path: '/v1/rounds/:round/chunks/:chunk',
    summary: 'A chunk of the sealed contribution.',
    body: bytes,
    reply: 'Cursor',
  },
  {
    method: 'get',
    path: '/v1/rounds/:round/chunks/:chunk/pieces',
    summary: 'Which pieces of an unfinished chunk are there.',
    reply: 'ReceivedPieces',
  },
  {
    method: 'put',
    path: '/v1/rounds/:round/chunks/:chunk/pieces/:piece',
    summary: 'A piece of a chunk (256 KiB, the last one shorter), for links that break.',
    body: bytes,
    reply: 'Cursor',
  },
  {
    method: 'get',
    path: '/v1/rounds/:round/vectors/:index/chunks/:chunk',
    summary: 'A sealed chunk of the sum, to add up again. Range: bytes=N-.',
    reply: bytes,
  },
  {
    method: 'get',
    path: '/v1/rounds/:round/regions',
    summary: 'With regions: what each relay signed.',
    reply: anyJson,
  },
  {
    method: 'get',
    path: '/v1/rounds/:round/regions/:region/chunks/:chunk',
    summary: 'With regions: a sealed chunk of a region’s sum. Range: bytes=N-.',
    reply: bytes,
  },
  {
    method: 'get',
    path: '/v1/rounds/:round/sum/:chunk',
    summary: 'A chunk of the opened sum. Range: bytes=N-.',
    reply: bytes,
  },
];

const contentOf = (name: string): Json => {
  if (name === bytes) return { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } };
  if (name === anyJson) return { 'application/json': { schema: {} } };
  return { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } };
};

function described({ path, summary, open, query, body, reply }: Operation): Json {
  const parameters = [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema:
        name === 'stage' ? { enum: ['0', '1', '2', '3', '4', '5', '6', 'aborted'] } : { type: 'integer', minimum: 0 },
    })),
    ...(query ?? []).map((name) => ({ name, in: 'query', required: false, schema: { type: 'integer', minimum: 0 } })),
  ];
  return {
    summary,
    ...(open === true ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentOf(body) } }),
    responses: {
      '200': { description: 'Done.', content: contentOf(reply) },
      default: {
        description: 'Refused or failed; nothing was changed.',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

/** OpenAPI 3.1. */
export function openApiDocument(): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of operations) {
    const path = operation.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [operation.method]: described(operation) };
  }
  const components = Object.entries(schemas).map(([name, schema]) => {
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { unrepresentable: 'any' });
    return [name, rest] as const;
  });
  const header = (name: string, description: string): Json => ({ type: 'apiKey', in: 'header', name, description });
  return {
    openapi: '3.1.0',
    info: {
      title: 'Consilience coordinator',
      version: '1',
      description: 'Bodies are canonical JSON (RFC 8785) or bytes; refusals are problem documents (RFC 9457).',
    },
    paths,
    security: [{ certificate: [], request: [] }],
    components: {
      schemas: Object.fromEntries(components),
      securitySchemes: {
        certificate: header(
          certificateHeader,
          'base64url of a Certificate: the transport key, signed by the identity key.',
        ),
        request: header(
          requestHeader,
          'base64url of a SignedRequest: method, path, body hash, time and a nonce used once.',
        ),
      },
    },
  };
}
