// model.safetensors.index.json: which shard holds which tensor. A shard is a plain file name beside the index, never a
// path, so that an index from a stranger cannot make anything else be read.

import { InputError } from '../../../app/errors.ts';

export type Shard = { readonly name: string; readonly tensors: ReadonlySet<string> };

const plainName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.safetensors$/;

/** @throws InputError `checkpoint-invalid`. */
export function shardsOf(index: unknown): Shard[] {
  const invalid = (why: string): InputError =>
    new InputError(
      'checkpoint-invalid',
      `The index of the model's shards cannot be used: ${why}. Get the model again.`,
    );
  const map: unknown = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : null;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) throw invalid('it has no weight map');
  const shards = new Map<string, Set<string>>();
  for (const [tensor, name] of Object.entries(map as { readonly [tensor: string]: unknown })) {
    if (typeof name !== 'string' || !plainName.test(name) || name.includes('..'))
      throw invalid('a shard is no plain file name');
    const tensors = shards.get(name) ?? new Set();
    tensors.add(tensor);
    shards.set(name, tensors);
  }
  if (shards.size === 0) throw invalid('it names no shard');
  return [...shards].map(([name, tensors]) => ({ name, tensors }));
}
