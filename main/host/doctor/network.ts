// What `doctor --coordinator` and `--policy` look at: whether the coordinator answers, whether the two clocks agree well
// enough for signed requests, and whether IT's policy can be read. Design 1, journey 6; design 6, "API".

import { readFile } from 'node:fs/promises';
import { request as plainRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { z } from 'zod';
import { requestWindowMs } from '../../../app/round/request.ts';
import { hex32 } from '../../../app/study/fields.ts';
import { diskError } from '../disk/disk-error.ts';
import { check, fail, pass, warn } from './check.ts';
import type { Check, Outcome } from './check.ts';
import { systemClock } from '../machine.ts';
import { readPolicyFile } from '../policy-file.ts';

export async function policyCheck(path: string): Promise<Check> {
  return check(
    'policy',
    'IT’s limits; one that cannot be read stops everything.',
    'Ask IT for a policy file that passes.',
    async () => {
      const policy = await readPolicyFile(path, true);
      return pass(`It can be read and has ${Object.keys(policy).length} members.`);
    },
  );
}

const healthSchema = z.looseObject({ status: z.literal('ok'), study: hex32 });
const patienceMs = 10_000;
const mostBytes = 64 * 1024;

/** @param authority PEM file of a private certificate authority, or null for the system's. */
export async function coordinatorCheck(address: URL, authority: string | null): Promise<Check> {
  const reach = 'Check the address, the proxy and the firewall: outbound HTTPS to it is all that is needed.';
  return check(
    'coordinator',
    'Carries what institutions send to each other; it is trusted with nothing.',
    reach,
    async () => {
      const certificates = authority === null ? null : await readAuthority(authority);
      let reply: Reply;
      try {
        reply = await get(new URL('/v1/health', address), certificates);
      } catch (error) {
        return fail(`It does not answer (${reasonOf(error)}).`, reach);
      }
      if (reply.status !== 200) return fail(`It answers with status ${reply.status}.`, reach);
      const health = healthSchema.safeParse(reply.body);
      if (!health.success) return fail('Something answers there, but it is no coordinator of this kind.', reach);
      return clockDifference(reply.date, systemClock.now(), health.data.study);
    },
  );
}

/** @param theirs header Date, whole seconds; null where there is none. */
export function clockDifference(theirs: number | null, ours: number, study: string): Outcome {
  const serves = `It answers and serves study ${study.slice(0, 12)}…`;
  if (theirs === null) return warn(`${serves}, but says no time.`, 'Compare the clocks of both machines.');
  const seconds = Math.round(Math.abs(ours - theirs) / 1000);
  const found = `${serves}; the clocks differ by ${seconds} s.`;
  const mend = 'Switch time synchronisation on, on both machines.';
  // Half a window is left for slow links.
  if (seconds * 1000 > requestWindowMs) return fail(`${found} It will refuse every request.`, mend);
  return seconds * 1000 > requestWindowMs / 2 ? warn(found, mend) : pass(found);
}

type Reply = { readonly status: number; readonly date: number | null; readonly body: unknown };

function get(url: URL, ca: string | null): Promise<Reply> {
  const send = url.protocol === 'https:' ? tlsRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const options = { timeout: patienceMs, signal: AbortSignal.timeout(patienceMs), ...(ca === null ? {} : { ca }) };
    const request = send(url, options, (response) => {
      readReply(response).then(resolve, reject);
    });
    request.on('error', reject);
    request.end();
  });
}

async function readReply(response: IncomingMessage): Promise<Reply> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > mostBytes) throw new Error('the answer is too long');
    parts.push(part);
  }
  const date = Date.parse(response.headers.date ?? '');
  let body: unknown = null;
  try {
    body = JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    // Then it is no coordinator, which the caller says.
  }
  return { status: response.statusCode ?? 0, date: Number.isNaN(date) ? null : date, body };
}

async function readAuthority(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw diskError(error, `The certificate file ${path}`);
  }
}

/** System codes and TLS reasons; nothing of what was sent. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return 'no answer within ten seconds';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.message;
  return code.slice(0, 100);
}
