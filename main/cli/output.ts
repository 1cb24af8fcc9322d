// How commands say what they did: one JSON object with --json, else sentences; and shares as people read them.

import type { Invocation } from './command.ts';

/** @returns 0, so that a command can end with it. */
export function say({ json, out }: Invocation, report: object, sentences: readonly string[]): 0 {
  out(json ? `${JSON.stringify(report)}\n` : `${sentences.join('\n')}\n`);
  return 0;
}

/** "12 %"; one decimal below ten. Rounded up: what is used is never said to be less. */
export function percent(share: number): string {
  const value = share * 100;
  // A hundredth of a unit in the last place is the noise of the multiplication.
  return `${value < 10 ? Math.ceil(value * 10 - 1e-9) / 10 : Math.ceil(value - 1e-9)} %`;
}
