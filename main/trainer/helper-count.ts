// How many helper threads (helpers.ts) a job should have: only where they pay for their start, and where the copies of a
// checkpoint that they load fit into memory. Design 5, "Backends".

import { availableParallelism } from 'node:os';
import { wasmPass } from '../../app/training/language/clipped-sum.ts';
import type { LanguageConfiguration } from '../../app/training/language/configuration.ts';
import { attentionShape } from '../../app/training/language/configuration.ts';
import { baseParameterCount } from '../../app/training/language/modules.ts';

/** What a job asks of a trainer. */
export type HelperWork = {
  /** Numbers of the trained model. */
  readonly parameters: number;
  /** Units of a batch, and into how many blocks they go. */
  readonly slots: number;
  readonly blocks: number;
  readonly steps: number;
  /** Of a language task: what its checkpoint is, and the tokens of one unit. */
  readonly language?: { readonly configuration: LanguageConfiguration; readonly unitTokens: number } | null;
};

export type Machine = {
  readonly cores: number;
  /** Bytes that programs may still take. */
  readonly memory: number;
};

const thisMachine = (): Machine => ({ cores: availableParallelism(), memory: process.availableMemory() });

/** Float operations of a batch below which a second thread costs more than it brings. */
const worthwhile = 2e9;
/** Tokens of a round below which loading a checkpoint costs more than it brings. */
const worthwhileTokens = 1024;
/** A thread with its engine and its backend, without a model. */
const bareThread = 2 ** 28;
/** A backend on WebAssembly addresses no more. */
const mostOfThread = 2 ** 32;

/** None on backends that use all cores themselves, or where there is little to do. */
export function helpersFor(backend: string, work: HelperWork, machine: Machine = thisMachine()): number {
  if (backend !== 'wasm') return 0;
  const { parameters, slots, blocks, steps, language = null } = work;
  const wanted = Math.max(0, Math.min(machine.cores, blocks) - 1);
  if (language === null) return 6 * parameters * slots * steps < worthwhile ? 0 : wanted;
  const { configuration, unitTokens } = language;
  const tokens = slots * unitTokens * steps;
  if (tokens < worthwhileTokens || 4 * baseParameterCount(configuration) * tokens < worthwhile) return 0;
  const each = helperMemory(configuration);
  // Half of what is free: the trainer itself and other programs go on.
  return each > mostOfThread ? 0 : Math.min(wanted, Math.floor(machine.memory / 2 / each));
}

/** Bytes that a helper of a language task takes: the weights, the embedding on the host, and the values of a pass. */
export function helperMemory(configuration: LanguageConfiguration): number {
  const { width, inner, layers, vocabulary } = configuration;
  const { heads, keyValueHeads, headWidth } = attentionShape(configuration);
  const tokens = wasmPass(configuration);
  const ofBlock = 8 * width + 6 * inner + 3 * (heads + 2 * keyValueHeads) * headWidth + 2 * heads * 128;
  const numbers = baseParameterCount(configuration) + vocabulary * width + tokens * (layers * ofBlock + vocabulary);
  return bareThread + 4 * numbers;
}
