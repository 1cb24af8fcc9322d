// What `study new` takes to make vectors smaller: packing to the ring's bits, and sending a part of the parameters that a
// public seed chooses. Sizes follow when the draft is derived. Design 3, "Quantisation".

import type { ContractDraft } from '../../app/study/contract.ts';
import { numberOption, stringOption, UsageError } from './command.ts';
import type { Command, OptionValues } from './command.ts';

export const vectorOptions: Command['options'] = {
  packing: {
    type: 'string',
    value: 'KIND',
    help: 'ring: vectors travel in the fewest bits that their sum needs, which changes no number; "none" takes it out.',
  },
  subset: {
    type: 'string',
    value: 'SHARE',
    help: 'Send this part of the parameters in each round, chosen by a public seed; ε stays. "none" takes it out.',
  },
};

/**
 * The draft with what the options say of its vectors. A new subset lowers the learning rate of FedAvg and of momentum by its
 * share, because each chosen parameter moves so much farther (app/sealed-sum/subset.ts#spread).
 * @throws UsageError for values out of range.
 */
export function withVectors(draft: ContractDraft, options: OptionValues): ContractDraft {
  const packing = stringOption(options, 'packing');
  if (packing !== undefined && packing !== 'ring' && packing !== 'none')
    throw new UsageError('--packing is ring or none.');
  const share =
    stringOption(options, 'subset') === 'none'
      ? null
      : numberOption(options, 'subset', { least: 0, aboveLeast: true, most: 1 });
  const { packing: oldPacking, subset: oldSubset, ...sealing } = draft.sealing;
  const nextPacking = packing === undefined ? oldPacking : packing === 'none' ? undefined : packing;
  const nextSubset =
    share === undefined ? oldSubset : share === null ? undefined : ({ kind: 'seeded', share, parameters: 1 } as const);
  const { server } = draft.training;
  const steady = server.kind === 'fedavg' || server.kind === 'momentum';
  const farther = (nextSubset?.share ?? 1) / (oldSubset?.share ?? 1);
  return {
    ...draft,
    training: {
      ...draft.training,
      server: steady ? { ...server, learningRate: server.learningRate * farther } : server,
    },
    sealing: {
      ...sealing,
      ...(nextPacking === undefined ? {} : { packing: nextPacking }),
      ...(nextSubset === undefined ? {} : { subset: nextSubset }),
    },
  };
}
