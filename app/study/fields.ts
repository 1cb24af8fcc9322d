// The small field schemas that contract, consent, invitation and policy share: bytes as lower-case hex, UTC instants,
// names that are safe in file names and command lines.

import { z } from 'zod';

export const hex32 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 32 bytes as 64 lower-case hexadecimal digits');
export const hex64 = z.string().regex(/^[0-9a-f]{128}$/, 'must be 64 bytes as 128 lower-case hexadecimal digits');

export const shortName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/, 'must be lower-case letters, digits and inner hyphens, 64 at most');

/** Printable text without control characters or unpaired surrogates. */
export const text = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    // oxlint-disable-next-line no-control-regex
    .refine((value) => value.isWellFormed() && !/[\u0000-\u0008\u000b-\u001f\u007f]/.test(value), {
      message: 'must not hold control characters',
    });

export const instant = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'must be a UTC time such as 2026-11-23T09:30:00.000Z')
  .refine((value) => !Number.isNaN(Date.parse(value)) && new Date(value).toISOString() === value, {
    message: 'must be a time that exists',
  });

export const positive = z.number().gt(0).max(1e15);

export const wholeFrom = (least: number, most: number) =>
  z
    .number()
    .min(least)
    .max(most)
    .refine((value) => Number.isSafeInteger(value), { message: 'must be a whole number' });
