// Problem documents (RFC 9457): every refusal of the coordinator has a status, a stable code and a sentence. What is not
// meant for the caller (a defect, a path) is never in them.

import { ConsilienceError, InputError, InvariantError, RefusalError, UnavailableError } from '../../app/errors.ts';
import { canonicalBytes } from '../../app/encoding/canonical-json.ts';

export const problemType = 'application/problem+json';

export type Problem = { readonly status: number; readonly code: string; readonly detail: string };

/** Something that is not, or not yet, or no longer there. */
export class NotThereError extends ConsilienceError {}
/** Too much at once: try again later. */
export class TooManyError extends ConsilienceError {}

/** Who asks is not known, or not as the one it says. */
const unauthorised = /^(?:certificate|request)-/;

export function problemFor(error: unknown): Problem {
  // The sentence for the operator names a path; callers learn only whose disk it is.
  if (error instanceof UnavailableError && (error.code === 'disk-full' || error.code === 'disk-failed'))
    return {
      status: 503,
      code: `coordinator-${error.code}`,
      detail: `The coordinator’s ${error.code === 'disk-full' ? 'disk is full' : 'disk failed'}, so nothing was accepted. Its operator has to mend that; nothing is lost, and it is tried again.`,
    };
  if (error instanceof ConsilienceError && !(error instanceof InvariantError))
    return { status: statusOf(error), code: error.code, detail: error.message };
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (status === 413) return { status, code: 'body-too-large', detail: 'The body is larger than this address takes.' };
  if (status === 408) return { status, code: 'too-slow', detail: 'The request did not arrive in time.' };
  if (status >= 400 && status < 500)
    return { status, code: 'request-malformed', detail: 'The request is malformed; nothing was changed.' };
  return {
    status: 500,
    code: 'unexpected',
    detail: 'The coordinator met an unexpected error. What was acknowledged is kept; try again.',
  };
}

function statusOf(error: ConsilienceError): number {
  if (error instanceof NotThereError) return 404;
  if (error instanceof TooManyError) return 429;
  if (error instanceof InputError) return 400;
  if (!(error instanceof RefusalError)) return 503;
  if (unauthorised.test(error.code)) return 401;
  return error.code === 'wrong-sender' ? 403 : 409;
}

export function problemBytes({ status, code, detail }: Problem): Uint8Array {
  return canonicalBytes({ type: 'about:blank', title: code, status, code, detail });
}
