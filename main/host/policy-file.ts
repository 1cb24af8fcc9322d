// Reads IT's policy.json. A policy that is there but cannot be used stops everything that depends on it: it is never
// taken for "no policy". Design 1, journey 6; schema in app/study/policy.ts.

import { readFile } from 'node:fs/promises';
import { fromUtf8 } from '../../app/encoding/bytes.ts';
import { InputError, UnavailableError } from '../../app/errors.ts';
import { parseDocument } from '../../app/study/parse.ts';
import { policySchema } from '../../app/study/policy.ts';
import type { Policy } from '../../app/study/policy.ts';

const mostBytes = 8 * 2 ** 20;

/**
 * @param path of the file.
 * @returns the policy, or null only where `required` is false and there is no file.
 * @throws InputError `policy-missing`, `not-json`, `policy-invalid`; UnavailableError `policy-unreadable`.
 */
export async function readPolicyFile(path: string, required: true): Promise<Policy>;
export async function readPolicyFile(path: string, required: boolean): Promise<Policy | null>;
export async function readPolicyFile(path: string, required: boolean): Promise<Policy | null> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    if (code === 'ENOENT' && !required) return null;
    if (code === 'ENOENT')
      throw new InputError(
        'policy-missing',
        `There is no policy file at ${path}. Check --policy, or ask IT; nothing runs without it.`,
      );
    throw new UnavailableError(
      'policy-unreadable',
      `The policy file ${path} cannot be read (${code}). Ask IT to make it readable; nothing runs without it.`,
      { cause: error },
    );
  }
  return parsePolicy(bytes);
}

/** @throws InputError `not-json` or `policy-invalid`. */
export function parsePolicy(bytes: Uint8Array): Policy {
  if (bytes.length > mostBytes) throw new InputError('policy-invalid', 'The policy is larger than 8 MiB.');
  let value: unknown;
  try {
    // Windows editors put a byte order mark in front.
    value = JSON.parse(fromUtf8(bytes).replace(/^\ufeff/, ''));
  } catch {
    throw new InputError(
      'not-json',
      'The policy is not JSON text in UTF-8. Ask IT to mend it; nothing runs without it.',
    );
  }
  return parseDocument(policySchema, value, { code: 'policy-invalid', what: 'policy' });
}
