// Small schemas and lists of roles that the calls of the bridge share. Design 2, "Bridge".

import { z } from 'zod';

export const roles = ['steward', 'administrator', 'auditor'] as const;

export const readers = roles;
export const stewards = ['steward'] as const;
export const technicians = ['steward', 'administrator'] as const;

export const text = z.string().max(2000);
export const line = z.string().max(500);
export const whole = z.number().int().min(0);
export const hash = z.string().regex(/^[0-9a-f]{64}$/);
export const studyName = z.string().regex(/^[a-z0-9-]{1,64}$/);
export const datasetName = z.string().regex(/^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,99}$/u);
export const nothing = z.strictObject({});
export const problem = z.strictObject({ code: z.string().max(100), message: z.string().max(4000) });
export const unit = z.enum(['record', 'person', 'institution']);
