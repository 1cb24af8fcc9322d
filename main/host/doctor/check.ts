// What one finding of `doctor` is, and how a check becomes one: a check that throws fails with the error's sentence, and
// nothing else stops. Design 1, journey 6.

import { diskError } from '../disk/disk-error.ts';

/** `fail`: no run works like this. `warn`: something does not work, and what takes its place is said. */
export type Level = 'pass' | 'warn' | 'fail';

export type Check = {
  /** Stable, kebab-case. */
  readonly name: string;
  readonly level: Level;
  /** What was found here. */
  readonly found: string;
  /** What it is for. */
  readonly meaning: string;
  /** How to mend it; null where nothing needs it. */
  readonly repair: string | null;
};

export type Outcome = Pick<Check, 'level' | 'found' | 'repair'>;

export const pass = (found: string): Outcome => ({ level: 'pass', found, repair: null });
export const warn = (found: string, repair: string): Outcome => ({ level: 'warn', found, repair });
export const fail = (found: string, repair: string): Outcome => ({ level: 'fail', found, repair });

/** @param repair what to do where the check itself breaks; our own errors carry that in their sentence. */
export async function check(
  name: string,
  meaning: string,
  repair: string,
  look: () => Outcome | Promise<Outcome>,
): Promise<Check> {
  try {
    return { name, meaning, ...(await look()) };
  } catch (error) {
    const found = diskError(error, 'What is looked at').message.split('\n')[0]!;
    return { name, meaning, level: 'fail', found: found.slice(0, 500), repair };
  }
}

/** Resolves with `late` where `work` takes longer. */
export async function within<Result>(milliseconds: number, work: Promise<Result>, late: Result): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const bell = new Promise<Result>((resolve) => {
    timer = setTimeout(() => resolve(late), milliseconds);
  });
  try {
    return await Promise.race([work, bell]);
  } finally {
    clearTimeout(timer);
  }
}
