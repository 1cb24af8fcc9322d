// From opened sum to next model, and the hash that pins it: every participant and the coordinator apply the same sum by
// the same float32 steps, so H(model) of the next round is equal everywhere or the round does not begin. Design 4,
// "Server optimisers"; design 3, R5 (a spoiled sum is closed, charged and applied by nobody).

import { toHex } from '../encoding/bytes.ts';
import { InvariantError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { dequantise, isSpoiled } from '../sealed-sum/quantise.ts';
import type { Contract } from '../study/contract.ts';
import { initialParameters } from '../training/model.ts';
import {
  applyUpdate,
  initialState,
  modelStateBytes,
  readModelState,
  releasedParameters,
  sumDivisor,
} from '../training/server-optimiser.ts';
import type { ModelState } from '../training/server-optimiser.ts';
import { sumRule } from './vector-rules.ts';

export type ModelChain = {
  /** H(model): SHA-256 of the canonical model state, hex. */
  readonly hash: string;
  /** What the next round trains from, Float32Array(d). */
  readonly parameters: Float32Array;
  /** What the study releases: the averaged iterate where the contract says so. */
  readonly released: Float32Array;
  /** Sums applied so far. */
  readonly updates: number;
  /** The chain after the sum of `survivors` (d ring words); the same chain where the sum is spoiled. */
  apply(survivors: readonly number[], sum: Uint32Array): { readonly chain: ModelChain; readonly spoiled: boolean };
  encode(): Uint8Array;
};

/** The model before the first round, from the contract alone. */
export function createModelChain(cipher: Cipher, contract: Contract): ModelChain {
  return chainOf(cipher, contract, initialState(initialParameters(contract.task), contract.training.server));
}

/** @throws InvariantError `model-state-unreadable`. */
export function decodeModelChain(cipher: Cipher, contract: Contract, bytes: Uint8Array): ModelChain {
  try {
    return chainOf(cipher, contract, readModelState(bytes));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvariantError('model-state-unreadable', 'The stored model state cannot be read.', { cause: error });
  }
}

function chainOf(cipher: Cipher, contract: Contract, state: ModelState): ModelChain {
  const bytes = modelStateBytes(state);
  const chain: ModelChain = {
    hash: toHex(cipher.sha256(bytes)),
    parameters: state.parameters,
    released: releasedParameters(state),
    updates: state.updates,
    encode: () => bytes.slice(),
    apply(survivors, sum) {
      const rule = sumRule(contract);
      const { bound, variance, ringBits } = rule;
      if (isSpoiled(sum, { survivors: survivors.length, bound, variance, ringBits })) return { chain, spoiled: true };
      const nominal = contract.roster.map((entry) => entry.nominalUnits);
      const divisor = sumDivisor(contract.training, nominal, survivors);
      const average = dequantise(sum, rule.scale, ringBits).map((value) => value / divisor);
      return { chain: chainOf(cipher, contract, applyUpdate(state, average, contract.training)), spoiled: false };
    },
  };
  return chain;
}
