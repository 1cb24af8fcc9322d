// The model's chain as the engine's applier of sums: it moves on with each sum, in the order of rounds.

import type { Cipher } from '../../app/ports.ts';
import { createModelChain } from '../../app/round/model-chain.ts';
import type { Contract } from '../../app/study/contract.ts';
import type { SumApplier } from './engine.ts';

export function modelApplier(cipher: Cipher, contract: Contract): SumApplier {
  let chain = createModelChain(cipher, contract);
  return {
    initial: chain.hash,
    apply(_, survivors, sum) {
      const applied = chain.apply(survivors, sum);
      chain = applied.chain;
      return { model: chain.hash, spoiled: applied.spoiled };
    },
  };
}
