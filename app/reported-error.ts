// An error as it crosses between processes or threads (host, home, trainer): class, stable code and sentence; of a defect only its
// text. No stack, no values. Design 2, "Comments, size, errors".

import { ConsilienceError, InputError, InvariantError, RefusalError, UnavailableError } from './errors.ts';

export type ReportedError = {
  readonly kind: 'input' | 'refusal' | 'unavailable' | 'invariant' | 'defect';
  readonly code: string;
  readonly sentence: string;
};

export function reportOf(error: unknown): ReportedError {
  if (!(error instanceof ConsilienceError)) return { kind: 'defect', code: 'defect', sentence: String(error) };
  const { code, message: sentence } = error;
  if (error instanceof InputError) return { kind: 'input', code, sentence };
  if (error instanceof RefusalError) return { kind: 'refusal', code, sentence };
  if (error instanceof UnavailableError) return { kind: 'unavailable', code, sentence };
  return { kind: 'invariant', code, sentence };
}

export function errorOf({ kind, code, sentence }: ReportedError): Error {
  switch (kind) {
    case 'input':
      return new InputError(code, sentence);
    case 'refusal':
      return new RefusalError(code, sentence);
    case 'unavailable':
      return new UnavailableError(code, sentence);
    case 'invariant':
      return new InvariantError(code, sentence);
    case 'defect':
      return new Error(sentence);
  }
}
