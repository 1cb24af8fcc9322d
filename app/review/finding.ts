// What the contract check says: a level, a stable code, the reason in words, and how to mend it. It lists everything it
// finds, never only the first. Design 1 (journey 2), design 3 and 4.

export type Finding = {
  /** refuse: nobody may take part under this contract. warn: somebody should know before agreeing. */
  readonly level: 'warn' | 'refuse';
  readonly code: string;
  readonly reason: string;
  readonly repair: string;
};

export type Outcome = 'pass' | 'warn' | 'refuse';

export function outcomeOf(findings: readonly Finding[]): Outcome {
  if (findings.some((one) => one.level === 'refuse')) return 'refuse';
  return findings.length > 0 ? 'warn' : 'pass';
}

export const refusal = (code: string, reason: string, repair: string): Finding => ({
  level: 'refuse',
  code,
  reason,
  repair,
});

export const warning = (code: string, reason: string, repair: string): Finding => ({
  level: 'warn',
  code,
  reason,
  repair,
});

/** Up to three significant digits, as people read them. */
export function shown(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return Number.isSafeInteger(value) && Math.abs(value) < 1e6 ? String(value) : String(Number(value.toPrecision(3)));
}

/** Three significant digits, never below. */
export function roundedUp(value: number): number {
  const step = 10 ** (Math.floor(Math.log10(value)) - 2);
  const up = Number((Math.ceil((value * (1 + 1e-12)) / step) * step).toPrecision(3));
  return up >= value ? up : Number((up + step).toPrecision(3));
}
