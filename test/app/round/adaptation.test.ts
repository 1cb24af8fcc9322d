// What sums decide: derived by everybody alike, held in H(model) and H(config), the agreed contract where nothing adapts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { epsilonAtCeiling, costAtCeiling } from '../../../app/privacy/ceiling.ts';
import { filterAttempts, filterEpsilon, studyFilter } from '../../../app/review/study-filter.ts';
import { noiseAtLevel, noisedRule, sensitivityOf } from '../../../app/review/round-event.ts';
import { firstAdaptation, noiseEnergy, readSum, roundTerms } from '../../../app/round/adaptation.ts';
import { scheduleEvent, worstCaseEvent, worstEverEvent } from '../../../app/round/charge.ts';
import { createModelChain, decodeModelChain } from '../../../app/round/model-chain.ts';
import { configHash, studyParameters } from '../../../app/round/parameters.ts';
import { sumRule } from '../../../app/round/vector-rules.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { modelStateBytes, initialState } from '../../../app/training/server-optimiser.ts';
import { initialParameters } from '../../../app/training/model.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { adaptiveClipping, adaptiveNoise, adaptiveStudy } from './adaptive-study.ts';
import { sampleStudy } from './sample-study.ts';

const all = [0, 1, 2, 3];

/** The words of a sum with this share of units within C and these gradient sums, in units of C. */
function sumOf(contract: Contract, gradients: readonly number[], within: number): Uint32Array {
  const { scale } = sumRule(contract);
  const units = contract.training.samplingRate * 400;
  const count = contract.training.adaptiveClipping!.countWeight * (within - 0.5) * units;
  return Uint32Array.from([...gradients, count], (value) => Math.round(value * scale) >>> 0);
}

test('a contract that adapts nothing has the hashes and the terms it always had', () => {
  const { contract, parameters } = sampleStudy({ institutions: 4 });
  const chain = createModelChain(nodeCipher, contract);
  const state = initialState(initialParameters(contract.task), contract.training.server);
  assert.equal(chain.hash, toHex(nodeCipher.sha256(modelStateBytes(state))));
  assert.equal(chain.adaptation, null);
  assert.equal(chain.terms, contract);
  assert.deepEqual(configHash(nodeCipher, parameters, 3), configHash(nodeCipher, parameters, 3, null));
  assert.equal(studyFilter(contract, 'ab'), null);
});

test('C follows the released share, in H(model), in H(config) and in the model’s own bytes', () => {
  const contract = adaptiveStudy({ clipping: adaptiveClipping }).contract;
  const parameters = studyParameters(nodeCipher, contract);
  const first = createModelChain(nodeCipher, contract);
  assert.deepEqual(first.terms, contract);
  assert.equal(first.adaptation!.clip, contract.training.clippingNorm);
  assert.deepEqual(configHash(nodeCipher, parameters, 1), configHash(nodeCipher, parameters, 1, first.adaptation));
  const gradients = [100, -50, 0, 0, 0];
  const [few, many] = [0.2, 0.9].map((within) => first.apply(all, sumOf(contract, gradients, within)).chain);
  assert.ok(few!.adaptation!.clip! > contract.training.clippingNorm);
  assert.ok(many!.adaptation!.clip! < contract.training.clippingNorm);
  const expected = contract.training.clippingNorm * Math.exp(-0.2 * (0.9 - 0.5));
  assert.ok(Math.abs(many!.adaptation!.clip! / expected - 1) < 1e-3, 'but for the rounding of the count');
  assert.deepEqual(few!.parameters, many!.parameters, 'the same gradients make the same step');
  assert.notEqual(few!.hash, many!.hash);
  assert.notDeepEqual(
    configHash(nodeCipher, parameters, 2, few!.adaptation),
    configHash(nodeCipher, parameters, 2, many!.adaptation),
  );
  // The next step is in units of the next C.
  const step = (chain: typeof first): number => {
    const moved = chain.apply(all, sumOf(contract, gradients, 0.5)).chain;
    return moved.parameters[0]! - chain.parameters[0]!;
  };
  assert.ok(Math.abs(step(few!) / step(many!) / (few!.adaptation!.clip! / many!.adaptation!.clip!) - 1) < 1e-5);
  const back = decodeModelChain(nodeCipher, contract, few!.encode());
  assert.equal(back.hash, few!.hash);
  assert.deepEqual(back.terms, few!.terms);
  const bytes = few!.encode();
  for (const damaged of [bytes.slice(1), bytes.slice(0, 20), bytes.slice(0, -1)])
    assert.throws(() => decodeModelChain(nodeCipher, contract, damaged), { code: 'model-state-unreadable' });
  const spoiled = new Uint32Array(contract.sealing.dimension).fill(2 ** 30);
  assert.equal(few!.apply(all, spoiled).chain, few);
});

test('z is constant: L̃, v and the charge do not depend on C', () => {
  const contract = adaptiveStudy({ clipping: adaptiveClipping }).contract;
  const { countWeight } = adaptiveClipping;
  assert.equal(noisedRule(contract).clipNorm, Math.sqrt(1 + countWeight ** 2 / 4));
  const plain = Math.ceil(
    contract.sealing.scale * Math.sqrt(1 + countWeight ** 2 / 4) + Math.sqrt(contract.sealing.dimension),
  );
  assert.equal(sensitivityOf(contract), plain);
  for (const clip of [0.1, 1, 7]) {
    const terms = roundTerms(contract, { clip });
    assert.equal(terms.training.clippingNorm, clip);
    assert.deepEqual(worstCaseEvent(terms), worstCaseEvent(contract));
    assert.deepEqual(sumRule(terms), sumRule(contract));
  }
});

test('noise falls after quiet sums, costs more, and the filter of the contract’s ε ends it', () => {
  const { contract } = adaptiveStudy({ noise: adaptiveNoise });
  const parameters = studyParameters(nodeCipher, contract);
  let chain = createModelChain(nodeCipher, contract);
  assert.deepEqual(firstAdaptation(contract), { noise: { level: 0, quiet: 0 } });
  const quiet = new Uint32Array(contract.sealing.dimension);
  const loud = Uint32Array.from(quiet, () => Math.round(400 * contract.sealing.scale));
  const levels: number[] = [];
  const costs: number[] = [];
  const filter = studyFilter(contract, toHex(parameters.study))!;
  for (const sum of [quiet, loud, quiet, quiet, quiet, quiet, quiet]) {
    costs.push(costAtCeiling(worstCaseEvent(chain.terms), filter));
    levels.push(chain.adaptation!.noise!.level);
    chain = chain.apply(all, sum).chain;
  }
  assert.deepEqual(levels, [0, 0, 0, 0, 1, 1, 2]);
  assert.ok(costs[4]! > costs[0]! && costs[6]! > costs[4]!);
  assert.equal(chain.terms.sealing.noiseVariance, noiseAtLevel(contract, 2).sealing.noiseVariance);
  assert.ok(chain.terms.sealing.noiseVariance < contract.sealing.noiseVariance);
  assert.deepEqual(worstEverEvent(contract), worstCaseEvent(noiseAtLevel(contract, adaptiveNoise.levels)));
  // Admitted at the first level: just so many that ε is met at 0.9 δ.
  const admitted = filterAttempts(contract)!;
  assert.ok(admitted >= contract.schedule.rounds);
  assert.equal(scheduleEvent(contract).times, admitted);
  const long = { ...contract, schedule: { ...contract.schedule, attempts: 100_000 } };
  const most = filterAttempts(long)!;
  assert.ok(epsilonAtCeiling(most * costs[0]!, filter) <= contract.privacy.epsilon! * (1 + 1e-9));
  assert.ok(epsilonAtCeiling((most + 1) * costs[0]!, filter) > contract.privacy.epsilon!);
  const needed = filterEpsilon(long)!;
  const wide = { ...long, privacy: { ...long.privacy, epsilon: needed } };
  assert.equal(filterAttempts(wide), 100_000);
});

test('the energy of the noise is what sums of noise alone have on average, in every mode', () => {
  for (const mode of ['union', 'local', 'institution'] as const) {
    const { contract } = adaptiveStudy({ noise: adaptiveNoise, clipping: adaptiveClipping, mode });
    const { sealing, training, roster } = contract;
    const zeros = new Float64Array(sealing.dimension);
    assert.equal(readSum(contract, zeros, all).within, 0.5);
    const energy = noiseEnergy(contract, all);
    const step = Math.sqrt(sealing.noiseVariance) / sealing.scale;
    const words = sealing.dimension - 1;
    const expected =
      mode === 'union'
        ? (words * 4 * step ** 2) / (training.samplingRate * 400) ** 2
        : mode === 'institution'
          ? (words * 4 * step ** 2) / 16
          : (words * training.localSteps * 4 * (step * training.localLearningRate!) ** 2) /
            (training.samplingRate * roster[0]!.nominalUnits) ** 2 /
            16;
    assert.ok(Math.abs(energy / (expected * training.clippingNorm ** 2) - 1) < 1e-9, mode);
  }
});
