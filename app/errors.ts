// The error classes of the product. Each carries a stable `code` (kebab-case, never reused for another meaning) and a
// sentence for the person: what happened, what to do. No record, key or gradient may ever appear in either. Design 2.

export class ConsilienceError extends Error {
  readonly code: string;
  constructor(code: string, sentence: string, options?: ErrorOptions) {
    super(sentence, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The person gave something that cannot be used (a file, a field, an option): say which, and how to mend it. */
export class InputError extends ConsilienceError {}

/** A rule of the protocol, a policy, a consent or a budget forbids going on. Nothing was sent or lost. */
export class RefusalError extends ConsilienceError {}

/** Something outside (disk, network, keyring, coordinator) did not do its part; trying again may help. */
export class UnavailableError extends ConsilienceError {}

/** A promise the program makes to itself is broken. The round aborts and says so; this is a defect to report. */
export class InvariantError extends ConsilienceError {}

/** Names the argument of a caller's mistake, for public functions: `RangeError` is for values, `TypeError` for kinds. */
export function requireInteger(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isSafeInteger(value) || value < least || value > most)
    throw new RangeError(`${name} must be a whole number from ${least} to ${most}`);
}

export function requireBytes(name: string, value: Uint8Array, length: number): void {
  if (!(value instanceof Uint8Array)) throw new TypeError(`${name} must be bytes`);
  if (value.length !== length) throw new RangeError(`${name} must be ${length} bytes, not ${value.length}`);
}
