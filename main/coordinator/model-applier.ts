// The model's chain as the engine's applier of sums: each sum, in the order of rounds, gives the next model.

import type { Cipher } from '../../app/ports.ts';
import { createModelChain } from '../../app/round/model-chain.ts';
import type { Contract } from '../../app/study/contract.ts';
import type { SumApplier } from './engine.ts';

export function modelApplier(cipher: Cipher, contract: Contract): SumApplier {
  return applierOf(createModelChain(cipher, contract));
}

function applierOf(chain: ReturnType<typeof createModelChain>): SumApplier {
  const { hash: model, adaptation, measured, metrics } = chain;
  return {
    model,
    ...(adaptation === null ? {} : { adaptation }),
    ...(measured === null ? {} : { seen: { measured, metrics } }),
    apply(_, survivors, sum) {
      const applied = chain.apply(survivors, sum);
      return { next: applierOf(applied.chain), spoiled: applied.spoiled };
    },
  };
}
