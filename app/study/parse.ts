// Strict reading of the documents people exchange: one sentence that names the first field at fault in words, never its
// content. Signed files are canonical JSON on one line, so that two texts cannot have one meaning (RFC 8785).

import type { z } from 'zod';
import { parseCanonical } from '../encoding/canonical-json.ts';
import { InputError } from '../errors.ts';

/**
 * @param what how the document is called in a sentence: "study contract".
 * @throws InputError with `code`, naming the field in words: "roster, entry 2, nominal units".
 */
export function parseDocument<Output>(
  schema: z.ZodType<Output>,
  value: unknown,
  { code, what }: { readonly code: string; readonly what: string },
): Output {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues;
  const others = issues.length > 1 ? ` (${issues.length - 1} more to mend after that)` : '';
  throw new InputError(code, `The ${what} cannot be used: ${describeIssue(issues[0]!)}${others}.`);
}

/**
 * Signed documents: text (one trailing newline allowed) must be canonical; a value is taken as it is.
 * @throws InputError `not-json`, `not-canonical` or `code`.
 */
export function parseSignedDocument<Output>(
  schema: z.ZodType<Output>,
  source: unknown,
  about: { readonly code: string; readonly what: string },
): Output {
  const value = typeof source === 'string' ? parseOneLine(source.replace(/\r?\n$/, ''), about.what) : source;
  return parseDocument(schema, value, about);
}

/** In the document's own words: people give drafts, and files that an editor has laid out anew. */
function parseOneLine(text: string, what: string): unknown {
  try {
    return parseCanonical(text);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const found = error.code === 'not-json' ? 'not JSON text' : 'not in its signed form, one line of canonical JSON';
    throw new InputError(
      error.code,
      `The ${what} is ${found}: it is another file, or was changed since. Give the file exactly as it was made.`,
    );
  }
}

/** "roster, entry 2, nominal units: must be a whole number". */
export function describeIssue(issue: z.core.$ZodIssue): string {
  const where = pathInWords(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.slice(0, 3).map((key) => `"${printable(key)}"`);
    return `${where === '' ? 'it' : where} has ${names.length === 1 ? 'an unknown member' : 'unknown members'} ${names.join(', ')}`;
  }
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined'))
    return `${where === '' ? 'it' : where} is missing`;
  return `${where === '' ? 'it' : where}: ${reasonOf(issue)}`;
}

/** Zod's own messages name types and limits, never the value. */
function reasonOf(issue: z.core.$ZodIssue): string {
  const message = issue.message.replace(/^Invalid input: /, '').replace(/^Invalid option: /, '');
  return message.charAt(0).toLowerCase() + message.slice(1);
}

export function pathInWords(path: readonly PropertyKey[]): string {
  return path
    .map((part) =>
      typeof part === 'number'
        ? `entry ${part + 1}`
        : printable(
            String(part).replaceAll(
              /([a-z])([A-Z])/g,
              (_, left: string, right: string) => `${left} ${right.toLowerCase()}`,
            ),
          ),
    )
    .join(', ');
}

/** Member names come from a stranger's file. */
function printable(name: string): string {
  return name.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 40);
}
