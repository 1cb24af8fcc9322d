// A federation without protocol: each institution's noised vector is made by the real step, the words are added in the
// clear, everyone applies the same update. What training alone can reach; the protocol must give the same sums.

import { dequantise } from '../../../app/sealed-sum/quantise.ts';
import type { Random } from '../../../app/ports.ts';
import { sumRule } from '../../../app/round/vector-rules.ts';
import { contractSchema, draftSchema } from '../../../app/study/contract.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { initialParameters } from '../../../app/training/model.ts';
import type { Records } from '../../../app/training/records.ts';
import { applyUpdate, initialState, sumDivisor } from '../../../app/training/server-optimiser.ts';
import type { ModelState } from '../../../app/training/server-optimiser.ts';
import { roundVector } from '../../../main/trainer/step.ts';

/** A draft with placeholder keys: enough to train by, not to sign with. */
export function contractFromDraft(draft: unknown): Contract {
  const parsed = draftSchema.parse(draft);
  const key = (index: number): string => index.toString(16).padStart(64, '0');
  return contractSchema.parse({
    ...parsed,
    lead: { ...parsed.lead, identityKey: key(1000) },
    coordinator: { ...parsed.coordinator, key: key(1001) },
    roster: parsed.roster.map((entry, index) => ({ ...entry, identityKey: key(index) })),
  });
}

export async function plainRound(
  contract: Contract,
  state: ModelState,
  silos: readonly Records[],
  random: Random,
): Promise<ModelState> {
  const { sealing, training, task, roster } = contract;
  const total = new Uint32Array(sealing.dimension);
  for (const [index, records] of silos.entries()) {
    const { words, failure } = await roundVector({ contract, index, parameters: state.parameters, records, random });
    if (failure !== null) throw new Error(`training failed: ${failure} in ${task.kind}`);
    for (let i = 0; i < total.length; i++) total[i]! += words[i]!;
  }
  const divisor = sumDivisor(
    training,
    roster.map((entry) => entry.nominalUnits),
    Array.from(silos.keys()),
  );
  const average = dequantise(total, sumRule(contract).scale, sealing.ringBits).map((value) => value / divisor);
  return applyUpdate(state, average, training);
}

export async function plainFederation(
  contract: Contract,
  silos: readonly Records[],
  random: Random,
): Promise<ModelState> {
  let state = initialState(initialParameters(contract.task), contract.training.server);
  for (let round = 1; round <= contract.schedule.rounds; round++)
    state = await plainRound(contract, state, silos, random);
  return state;
}
