// From opened sum to next model, and the hash that pins it: every participant and the coordinator apply the same sum by
// the same float32 steps, so H(model) of the next round is equal everywhere or the round does not begin. Design 4,
// "Server optimisers"; design 3, R5 (a spoiled sum is closed, charged and applied by nobody).

import { concat, fromUtf8, toHex, u32, utf8 } from '../encoding/bytes.ts';
import { canonicalBytes } from '../encoding/canonical-json.ts';
import { InvariantError } from '../errors.ts';
import type { Cipher } from '../ports.ts';
import { dequantise, isSpoiled } from '../sealed-sum/quantise.ts';
import { spread, subsetPositions, subsetSeed } from '../sealed-sum/subset.ts';
import type { Contract } from '../study/contract.ts';
import { initialParameters } from '../training/model.ts';
import {
  applyUpdate,
  initialState,
  modelStateBytes,
  readModelState,
  releasedParameters,
} from '../training/server-optimiser.ts';
import type { ModelState } from '../training/server-optimiser.ts';
import { firstAdaptation, nextAdaptation, noiseLength, readSum, roundTerms } from './adaptation.ts';
import type { Adaptation } from './adaptation.ts';
import { sumRule } from './vector-rules.ts';

/** Of an opened, charged sum: whoever holds it can work these out. */
export type MeasuredSum = {
  /** L2 norm of the average that travelled (gradient or update), noise included, before a subset is spread. */
  readonly length: number;
  /** Expected length of the noise alone. */
  readonly noise: number;
  /** C of the round. */
  readonly clip: number;
  /** Share of units within C, as released; null where it is not counted. */
  readonly within: number | null;
};

export type ModelChain = {
  /** H(model): SHA-256 of the canonical model state, what was adapted included, hex. */
  readonly hash: string;
  /** What the next round trains from, Float32Array(d). */
  readonly parameters: Float32Array;
  /** What the study releases: the averaged iterate where the contract says so. */
  readonly released: Float32Array;
  /** What the sums so far decide about the next round; null where the contract adapts nothing. */
  readonly adaptation: Adaptation | null;
  /** The contract as it stands for the next round. */
  readonly terms: Contract;
  /** Seed of the parameters that travel in the next round, hex; null where all do. */
  readonly subset: string | null;
  /** Words of the evaluation in the last applied sum: noised, about the model before it; empty without any. */
  readonly metrics: Float64Array;
  /** How long the last applied sum was; null before the first. */
  readonly measured: MeasuredSum | null;
  /** Sums applied so far. */
  readonly updates: number;
  /** The chain after the sum of `survivors` (d ring words); the same chain where the sum is spoiled. */
  apply(survivors: readonly number[], sum: Uint32Array): { readonly chain: ModelChain; readonly spoiled: boolean };
  encode(): Uint8Array;
};

/** The model before the first round, from the contract alone. */
export function createModelChain(cipher: Cipher, contract: Contract): ModelChain {
  const state = initialState(initialParameters(contract.task), contract.training.server);
  return chainOf(cipher, contract, state, firstAdaptation(contract));
}

/** @throws InvariantError `model-state-unreadable`. */
export function decodeModelChain(cipher: Cipher, contract: Contract, bytes: Uint8Array): ModelChain {
  try {
    if (firstAdaptation(contract) === null) return chainOf(cipher, contract, readModelState(bytes), null);
    const { adaptation, state } = splitAdapted(bytes);
    return chainOf(cipher, contract, readModelState(state), adaptation);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
    throw new InvariantError('model-state-unreadable', 'The stored model state cannot be read.', { cause: error });
  }
}

const adaptedTag = utf8('consilience/adapted-model/1\0');

/** tag, u32 length, canonical JSON of what was adapted, model state. */
function adaptedBytes(adaptation: Adaptation, state: Uint8Array): Uint8Array {
  const json = canonicalBytes(adaptation);
  return concat(adaptedTag, u32(json.length), json, state);
}

function splitAdapted(bytes: Uint8Array): { readonly adaptation: Adaptation; readonly state: Uint8Array } {
  const at = adaptedTag.length + 4;
  if (bytes.length < at || adaptedTag.some((byte, i) => bytes[i] !== byte))
    throw new RangeError('bytes are no adapted model state');
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(adaptedTag.length);
  if (at + length > bytes.length) throw new RangeError('bytes of the adapted model state are cut off');
  const json = fromUtf8(bytes.subarray(at, at + length));
  // Written by adaptedBytes and kept sealed; its place in H(model) is what others hold it against.
  return { adaptation: JSON.parse(json) as Adaptation, state: bytes.slice(at + length) };
}

function chainOf(
  cipher: Cipher,
  contract: Contract,
  state: ModelState,
  adaptation: Adaptation | null,
  metrics: Float64Array = new Float64Array(0),
  measured: MeasuredSum | null = null,
): ModelChain {
  const plain = modelStateBytes(state);
  const bytes = adaptation === null ? plain : adaptedBytes(adaptation, plain);
  const terms = roundTerms(contract, adaptation);
  const hash = cipher.sha256(bytes);
  const { subset } = contract.sealing;
  const seed = subset === undefined ? null : subsetSeed(cipher, cipher.sha256(canonicalBytes(contract)), hash);
  const whole = (average: Float64Array): Float64Array =>
    seed === null
      ? average
      : spread(average, subsetPositions(cipher, seed, subset!.parameters, average.length), subset!.parameters);
  const chain: ModelChain = {
    hash: toHex(hash),
    parameters: state.parameters,
    released: releasedParameters(state),
    adaptation,
    terms,
    subset: seed === null ? null : toHex(seed),
    metrics,
    measured,
    updates: state.updates,
    encode: () => bytes.slice(),
    apply(survivors, sum) {
      const rule = sumRule(terms);
      const { bound, variance, ringBits } = rule;
      if (isSpoiled(sum, { survivors: survivors.length, bound, variance, ringBits })) return { chain, spoiled: true };
      const read = readSum(terms, dequantise(sum, rule.scale, ringBits), survivors);
      const next = nextAdaptation(adaptation, terms, read, survivors);
      const moved = applyUpdate(state, whole(read.average), contract.training);
      const length = Math.sqrt(read.average.reduce((squares, value) => squares + value * value, 0));
      const { clippingNorm: clip } = terms.training;
      const seen = { length, noise: noiseLength(terms, survivors), clip, within: read.within };
      return { chain: chainOf(cipher, contract, moved, next, read.metrics, seen), spoiled: false };
    },
  };
  return chain;
}
