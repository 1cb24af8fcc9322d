// Continues a text token by token, with the keys and values of earlier tokens kept. Greedy, or sampled at a temperature
// from the most likely tokens; sampling is for reading a model, not for privacy, but takes the same random port.

import { tidy } from '@tensorflow/tfjs-core';
import type { Random } from '../../ports.ts';
import type { AdapterOnDevice } from './adapter.ts';
import { forwardPass, logitsOf, rowsFrom } from './model.ts';
import type { Cache } from './attend.ts';
import type { LanguageModel } from './model.ts';

export type Choice =
  | { readonly kind: 'greedy' }
  | {
      readonly kind: 'sampled';
      readonly temperature: number;
      /** Only the so many most likely tokens. */
      readonly among: number;
      readonly random: Random;
    };

export type Generation = {
  readonly prompt: readonly number[];
  /** Tokens to add at most. */
  readonly most: number;
  /** Ends the text and is not part of it. */
  readonly ends: ReadonlySet<number>;
  readonly choice: Choice;
  readonly adapter?: AdapterOnDevice | null;
};

/** New ids only. Stops at an end token, at `most`, or at the model's context. */
export async function generate(model: LanguageModel, generation: Generation): Promise<number[]> {
  const { prompt, most, ends, choice, adapter = null } = generation;
  if (prompt.length === 0) throw new RangeError('prompt must have at least one token');
  const cache: Cache = [];
  const out: number[] = [];
  let next: readonly number[] = prompt;
  try {
    while (out.length < most && prompt.length + out.length <= model.configuration.context) {
      const length = next.length;
      const logits = tidy(() => {
        const batch = { sequences: 1, length, ids: Int32Array.from(next), real: Int32Array.of(length) };
        const { hidden } = forwardPass(model, batch, { adapter, cache });
        return logitsOf(model, length === 1 ? hidden : rowsFrom(hidden, length - 1, 1));
      });
      const values = await logits.data<'float32'>();
      logits.dispose();
      const token = choice.kind === 'greedy' ? mostLikely(values) : sampled(values, choice);
      if (ends.has(token)) break;
      out.push(token);
      next = [token];
    }
  } finally {
    for (const { keys, values } of cache) {
      keys.dispose();
      values.dispose();
    }
  }
  return out;
}

function mostLikely(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}

function sampled(logits: Float32Array, { temperature, among, random }: Extract<Choice, { kind: 'sampled' }>): number {
  const order = [...logits.keys()].sort((left, right) => logits[right]! - logits[left]!).slice(0, among);
  const weights = order.map((id) => Math.exp((logits[id]! - logits[order[0]!]!) / temperature));
  const bytes = random.bytes(6);
  const drawn = bytes.reduce((value, byte) => value * 256 + byte, 0) / 2 ** 48;
  let rest = drawn * weights.reduce((total, weight) => total + weight, 0);
  for (const [i, id] of order.entries()) {
    rest -= weights[i]!;
    if (rest < 0) return id;
  }
  return order.at(-1)!;
}
