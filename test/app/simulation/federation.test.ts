// Whole studies in one process with losses and returns: sums, models, charges and ledgers are what they must be.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromUtf8 } from '../../../app/encoding/bytes.ts';
import { relaySigner, smallRegions } from '../../../app/simulation/small-study.ts';
import { createModelChain } from '../../../app/round/model-chain.ts';
import type { RoundStage } from '../../../app/round/participant-state.ts';
import { simulateStudy } from '../../../app/simulation/federation.ts';
import type { SimulationResult } from '../../../app/simulation/federation.ts';
import { seededRandom } from '../../../app/simulation/seeded-machine.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleStudy } from '../round/sample-study.ts';
import type { SampleStudy } from '../round/sample-study.ts';

type Silence = (round: number, index: number) => RoundStage | 'before-ready' | null;

/** A noised vector stands in for training: small, different for each institution and round. */
const wordsFor = (index: number, round: number, dimension: number): Uint32Array =>
  Uint32Array.from({ length: dimension }, (_, at) => ((index + 1) * (round + at) - 20) >>> 0);

function run(study: SampleStudy, silentFrom: Silence): Promise<SimulationResult> {
  return simulateStudy({
    cipher: nodeCipher,
    contract: study.contract,
    identities: study.identities,
    coordinator: study.coordinator,
    relays: study.parameters.regions.map(({ position }) => relaySigner(nodeCipher, position)),
    randomFor: (label) => seededRandom(nodeCipher, '7', label),
    train: async (index, round) => ({
      words: wordsFor(index, round, study.contract.sealing.dimension),
      trained: true,
      reason: null,
    }),
    silentFrom,
  });
}

const entriesOf = (result: SimulationResult, index: number): { kind: string; body: Record<string, unknown> }[] =>
  fromUtf8(result.ledgers[index]!.file)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; body: Record<string, unknown> });

/** The model that plain integer sums of the survivors' vectors give. */
function plainModel(study: SampleStudy, result: SimulationResult): string {
  let chain = createModelChain(nodeCipher, study.contract);
  for (const { round, survivors } of result.study.closed) {
    const sum = new Uint32Array(study.contract.sealing.dimension);
    for (const index of survivors)
      wordsFor(index, round, sum.length).forEach((word, at) => (sum[at] = (sum[at]! + word) >>> 0));
    chain = chain.apply(survivors, sum).chain;
  }
  return chain.hash;
}

test('everybody present: every model is the one that plain sums give, every charge is settled once', async () => {
  const study = sampleStudy({ institutions: 4 });
  const result = await run(study, () => null);
  assert.equal(result.study.outcome, 'complete');
  assert.equal(result.study.closed.length, study.contract.schedule.rounds);
  assert.deepEqual(new Set(result.models.map((model) => model.hash)), new Set([plainModel(study, result)]));
  for (const [index, ledger] of result.ledgers.entries()) {
    assert.ok(ledger.verified);
    const entries = entriesOf(result, index);
    const rounds = (kind: string) => entries.filter((entry) => entry.kind === kind).map((entry) => entry.body['round']);
    assert.deepEqual(rounds('budget-reserved'), [1, 2, 3, 4, 5]);
    assert.deepEqual(rounds('budget-settled'), [1, 2, 3, 4, 5]);
    assert.deepEqual(rounds('round-closed'), [1, 2, 3, 4, 5]);
  }
  const used = result.readings[0]!.map((reading) => reading.used);
  assert.ok(used.every((epsilon) => epsilon > 0 && epsilon < study.contract.privacy.epsilon!));
});

test('an institution that misses rounds at every stage comes back and ends with everybody’s model', async () => {
  const stages: (RoundStage | 'before-ready')[] = ['before-ready', 'ready', 'shares', 'masked', 'consistency'];
  const study = sampleStudy({
    institutions: 4,
    change: (contract) => ({ ...contract, schedule: { ...contract.schedule, rounds: 7, attempts: 9 } }),
  });
  // Lost in rounds 2–6, at a later stage each time; there for the first and the last.
  const result = await run(study, (round, index) =>
    index === 2 && round >= 2 && round <= 6 ? stages[round - 2]! : null,
  );
  assert.equal(result.study.closed.length, 7);
  assert.deepEqual(new Set(result.models.map((model) => model.hash)), new Set([plainModel(study, result)]));
  const reserved = entriesOf(result, 2).filter((entry) => entry.kind === 'budget-reserved');
  // Charged only where its masked vector left: rounds 1, 5 (sealed, then silent), 6 (agreed, then silent), 7.
  assert.deepEqual(
    reserved.map((entry) => entry.body['round']),
    [1, 5, 6, 7],
  );
  // Each charge is settled at the shares that were in its sum, not at the roster's.
  const settled = entriesOf(result, 0).filter((entry) => entry.kind === 'budget-settled');
  for (const { body } of settled) {
    const { survivors } = result.study.closed.find(({ round }) => round === body['round'])!;
    const { honestShares } = body['event'] as { honestShares: number };
    assert.equal(honestShares, survivors.length - study.contract.sealing.colluders);
  }
  assert.equal(new Set(settled.map(({ body }) => (body['event'] as { honestShares: number }).honestShares)).size, 2);
  assert.ok(result.ledgers.every((ledger) => ledger.verified));
});

test('twenty institutions, 30 % lost in every round at random stages: the plain integer sum of the survivors', async () => {
  const study = sampleStudy({
    institutions: 20,
    features: 30,
    change: (contract) => ({ ...contract, schedule: { ...contract.schedule, rounds: 2, attempts: 3 } }),
  });
  const lost = (round: number, index: number) => (index * 7 + round) % 20 < 6;
  const stages = ['before-ready', 'ready', 'shares', 'opened', 'masked', 'consistency'] as const;
  const result = await run(study, (round, index) => (lost(round, index) ? stages[(index + round) % 6]! : null));
  assert.equal(result.study.closed.length, 2);
  assert.ok(result.study.closed.every((closed) => closed.survivors.length >= 14 && closed.survivors.length < 20));
  const [honest] = result.models.filter((_, index) => !lost(result.study.closed.at(-1)!.round, index));
  assert.equal(honest!.hash, plainModel(study, result));
});

test('with turns each institution pays for the rounds that it is in, and for no other', async () => {
  const study = sampleStudy({
    institutions: 7,
    change: (contract) => ({
      ...contract,
      schedule: {
        ...contract.schedule,
        rounds: 6,
        attempts: 7,
        selection: { institutions: 6, slow: [], slowPerRound: 0 },
      },
    }),
  });
  const result = await run(study, () => null);
  assert.equal(result.study.closed.length, 6);
  assert.deepEqual(new Set(result.models.map((model) => model.hash)), new Set([plainModel(study, result)]));
  let paid = 0;
  for (const [index, ledger] of result.ledgers.entries()) {
    assert.ok(ledger.verified);
    const own = result.study.closed.filter(({ survivors }) => survivors.includes(index)).map(({ round }) => round);
    const entries = entriesOf(result, index);
    for (const kind of ['budget-reserved', 'budget-settled'])
      assert.deepEqual(
        entries.filter((entry) => entry.kind === kind).map((entry) => entry.body['round']),
        own,
      );
    // It learns every sum all the same.
    assert.equal(entries.filter((entry) => entry.kind === 'round-closed').length, 6);
    paid += own.length;
  }
  assert.equal(paid, 6 * 6);
});

for (const opening of ['root', 'region'] as const)
  test(`behind relays, with what opens at the ${opening}: exact with an institution that is late, and charged for what opens`, async () => {
    const study = sampleStudy({
      institutions: 8,
      change: (contract) => ({
        ...contract,
        regions: smallRegions(nodeCipher, 8, 2, opening),
        sealing: {
          ...contract.sealing,
          threshold: 6,
          cohortFloor: 6,
          colluders: 1,
          noiseVariance: 4 * contract.sealing.noiseVariance,
        },
        schedule: { ...contract.schedule, rounds: 2, attempts: 4 },
      }),
    });
    const result = await run(study, (round, index) => (round === 1 && index === 5 ? 'shares' : null));
    assert.equal(result.study.outcome, 'complete');
    assert.deepEqual(
      result.study.closed.map(({ survivors }) => survivors.length),
      [7, 8],
    );
    assert.deepEqual(new Set(result.models.map((model) => model.hash)), new Set([plainModel(study, result)]));
    const settled = entriesOf(result, 0).filter(({ kind }) => kind === 'budget-settled');
    const shares = settled.map(({ body }) => (body['event'] as { honestShares: number }).honestShares);
    assert.deepEqual(shares, opening === 'root' ? [6, 7] : [2, 3]);
  });
