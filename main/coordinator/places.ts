// A fixed number of places, and a queue before them: what is received at once bounds the memory, and whoever waits has
// not been read yet. Beyond the queue's length callers are put off.

import { TooManyError } from './problems.ts';

export type Places = {
  /** Resolves when a place is free. Give it back once. @throws TooManyError `too-many-uploads` where too many wait. */
  take(): Promise<() => void>;
};

export function createPlaces(count: number, mostWaiting: number): Places {
  const waiting: (() => void)[] = [];
  let free = count;
  const giveBack = (): void => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  return {
    async take() {
      if (free > 0) free -= 1;
      else if (waiting.length >= mostWaiting)
        throw new TooManyError('too-many-uploads', 'Too many uploads at once. Wait a moment and try again.');
      else await new Promise<void>((resolve) => waiting.push(resolve));
      return giveBack;
    },
  };
}
