// Regions that open their own sums: masks and shares stay within a region, each relay opens its own sum, a region is in a
// sum with its threshold or not at all, whatever the coordinator does, and every charge counts the smallest region.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { RefusalError } from '../../../app/errors.ts';
import { fewestInSum, leastInSum, noisedRoundEvent } from '../../../app/review/round-event.ts';
import { realisedHonestShares, worstCaseEvent, worstHonestShares } from '../../../app/round/charge.ts';
import { signMessage } from '../../../app/round/messages.ts';
import type { Message } from '../../../app/round/messages.ts';
import { receiveCohort, receiveShares, receiveSurvivors } from '../../../app/round/participant.ts';
import { studyParameters } from '../../../app/round/parameters.ts';
import type { StudyParameters } from '../../../app/round/parameters.ts';
import { masksOfRegion } from '../../../app/round/region-opening.ts';
import { broadcastBytes, deliveryBytes } from '../../../app/round/coordinator-lists.ts';
import { checkResult } from '../../../app/round/result.ts';
import { smallRegions } from '../../../app/simulation/small-study.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { decodeBundle } from '../../../app/sealed-sum/box-frames.ts';
import { createMasks } from '../../../app/sealed-sum/masks.ts';
import { nodeCipher, nodeMachine } from '../../../main/host/machine.ts';
import { federationWithout } from '../../mutation/without.ts';
import {
  addedRegion,
  agree,
  cohortList,
  federation,
  open,
  ready,
  seal,
  share,
  sharersList,
  survivorsList,
  unmask,
} from './federation.ts';
import type { Federation } from './federation.ts';
import { sampleStudy } from './sample-study.ts';

const dimension = 5;
const vector = (index: number): Uint32Array => new Uint32Array(dimension).fill(index + 1);

/** Regions of four, of whom three open a secret. */
const regional = (contract: Contract): Contract => ({
  ...contract,
  regions: smallRegions(nodeCipher, 12, 3, 'region'),
  sealing: { ...contract.sealing, threshold: 8, cohortFloor: 8, colluders: 1 },
});
const study = sampleStudy({ institutions: 12, change: regional });
const make = (): Federation => federation(study, nodeMachine);

/** A coordinator that does not care how many of a region are there. */
function careless(): Federation {
  const fed = make();
  const regions = study.parameters.regions.map((region) => ({ ...region, threshold: 1 }));
  const parameters: StudyParameters = { ...study.parameters, regions };
  return { ...fed, coordinator: { ...fed.coordinator, parameters } };
}

const plain = (members: readonly number[]): Uint32Array =>
  new Uint32Array(dimension).fill(members.reduce((total, index) => total + index + 1, 0));

const listsOf = ({ round }: Federation) => ({
  cohort: broadcastBytes(round, 0)!,
  sharers: broadcastBytes(round, 1)!,
});

suite('a round', () => {
  const fed = make();
  ready(fed);
  share(fed);
  // One is lost after it shared, so its mask key has to be opened, by its own region.
  seal(fed, vector, new Set([5]));
  agree(fed, new Set([5]));
  unmask(fed, new Set([5]));
  const total = open(fed);
  const result = fed.round.result!;

  test('boxes stay within a region, and the whole sum is exact', () => {
    for (const { participant, state } of fed.parties) {
      const { holders } = {
        holders: decodeBundle(fed.round.shares.get(participant.index)!.bundle).map((box) => box.holder),
      };
      const first = 4 * Math.floor(participant.index / 4);
      assert.deepEqual(holders, [first, first + 1, first + 2, first + 3]);
      if (participant.index !== 5) checkResult(nodeCipher, study.parameters, state!, result);
    }
    assert.deepEqual(total, plain(fed.round.survivors));
    assert.equal(fed.round.survivors.length, 11);
  });

  test('each relay opens its own region, and no other', () => {
    for (const { position, members } of study.parameters.regions) {
      const { message, words } = addedRegion(fed, position);
      const region = study.parameters.regions[position]!;
      const masks = masksOfRegion(nodeCipher, study.parameters, region, listsOf(fed), message, result)!;
      createMasks(nodeCipher).applyAll(words, 0, masks);
      assert.deepEqual(words, plain(members.filter((index) => index !== 5)));
    }
  });

  test('a relay refuses secrets that are missing, of the wrong kind, wrong, or not the coordinator’s', () => {
    const region = study.parameters.regions[1]!;
    const { message } = addedRegion(fed, 1);
    const { cipher, signer } = fed.coordinator;
    const context = { study: study.parameters.study, round: 1 };
    const withSeeds = (change: (seed: Message<132>['body']['seeds'][number]) => object | null) => {
      const seeds = result.body.seeds.flatMap((seed) => (change(seed) as typeof seed | null) ?? []);
      return signMessage(cipher, signer, context, 132, 0xffff, { ...result.body, seeds });
    };
    const opens = (shown: Message<132>) =>
      masksOfRegion(nodeCipher, study.parameters, region, listsOf(fed), message, shown);
    const refused = (code: string, shown: Message<132>) =>
      assert.throws(
        () => opens(shown),
        (error) => error instanceof RefusalError && error.code === code,
      );
    refused(
      'seeds-incomplete',
      withSeeds((seed) => (seed.index === 6 ? null : seed)),
    );
    refused(
      'seeds-incomplete',
      withSeeds((seed) => (seed.index === 5 ? { ...seed, kind: 0 } : seed)),
    );
    refused(
      'seed-wrong',
      withSeeds((seed) => (seed.index === 6 ? { ...seed, secret: 'ab'.repeat(32) } : seed)),
    );
    refused('coordinator-signature', { ...result, signature: '00'.repeat(64) });
    assert.equal(opens(withSeeds((seed) => (seed.index >= 4 && seed.index < 8 ? null : seed))), null);
  });
});

test('a region is in the lists with its threshold or not at all, at every stage', () => {
  const early = make();
  ready(early, new Set([0, 1]));
  assert.deepEqual(
    early.round.members.map(({ index }) => index),
    [4, 5, 6, 7, 8, 9, 10, 11],
  );
  const later = make();
  ready(later);
  share(later, new Set([0, 1]));
  assert.deepEqual(later.round.sharers, [4, 5, 6, 7, 8, 9, 10, 11]);
  const latest = make();
  ready(latest);
  share(latest);
  seal(latest, vector, new Set([0, 1]));
  assert.deepEqual(latest.round.survivors, [4, 5, 6, 7, 8, 9, 10, 11]);
  const rest = new Set([0, 1, 2, 3]);
  agree(latest, rest);
  unmask(latest, rest);
  assert.deepEqual(open(latest), plain(latest.round.survivors));
  // Nobody of the lost region is opened: neither kind of secret is needed.
  assert.deepEqual(
    latest.round.seeds.map(({ index }) => index),
    latest.round.survivors,
  );
});

suite('the client refuses a coordinator that lets a region’s sum be of too few', () => {
  const few = new Set([0, 1]);
  const refuses = (code: string, act: () => unknown) =>
    assert.throws(act, (error) => error instanceof RefusalError && error.code === code);

  test('in the first list, whose other regions go on', () => {
    const fed = careless();
    ready(fed, few);
    const [victim, other] = [fed.parties[2]!, fed.parties[4]!];
    const receive = (party: typeof victim) =>
      receiveCohort(party.participant, party.memory, party.state!, cohortList(fed, party));
    refuses('region-below-floor', () => receive(victim));
    assert.equal(receive(other).state.stage, 'shares');
  });

  test('in the second list', () => {
    const fed = careless();
    ready(fed);
    share(fed, few);
    for (const party of [fed.parties[2]!, fed.parties[4]!]) {
      const boxes = deliveryBytes(fed.coordinator, fed.round, party.participant.index)!;
      refuses('too-few-neighbours', () =>
        receiveShares(party.participant, party.state!, sharersList(fed, party), boxes),
      );
    }
  });

  test('in the third list', () => {
    const fed = careless();
    ready(fed);
    share(fed);
    seal(fed, vector, few);
    for (const party of [fed.parties[2]!, fed.parties[4]!])
      refuses('too-few-neighbours', () => receiveSurvivors(party.participant, party.state!, survivorsList(fed, party)));
  });
});

test('terms without thresholds are refused by name', () => {
  const relays = study.contract.regions!.relays.map(({ threshold: _threshold, ...relay }) => relay);
  const contract = { ...study.contract, regions: { opening: 'region' as const, relays } };
  assert.throws(
    () => studyParameters(nodeCipher, contract),
    (error) => error instanceof RefusalError && error.code === 'region-threshold-missing',
  );
});

test('every charge counts the noise of the smallest region, at worst t_r − c', () => {
  const { contract } = study;
  assert.equal(leastInSum(contract), 3);
  assert.equal(worstHonestShares(contract), 2);
  assert.deepEqual(worstCaseEvent(contract), noisedRoundEvent(contract, 2));
  const all = contract.roster.map((_, index) => index);
  assert.equal(realisedHonestShares(contract, all), 3);
  assert.equal(
    realisedHonestShares(
      contract,
      all.filter((index) => index !== 9),
    ),
    2,
  );
  // A region that is not there has no sum.
  assert.equal(fewestInSum(contract, [4, 5, 6, 7, 8, 9, 10]), 3);
  const { regions: _regions, ...flat } = contract;
  assert.equal(worstHonestShares(flat), 7);
  assert.equal(realisedHonestShares(flat, all), 11);
});

test('against a split second list the regions’ floors hold alone, without the equality of the lists', async () => {
  const honest = { lie: null, lies: 0, down: [] };
  const { simulateFaults } = await federationWithout(['u2-differs', 'statement-differs']);
  for (let seed = 1; seed <= 4; seed++) {
    const report = await simulateFaults(nodeCipher, seed, {
      theme: 'lying-coordinator',
      lie: 'small-second-list',
      regions: [honest, honest, honest],
      opening: 'region',
      change: (plan) => ({ ...plan, institutions: 9, sparse: null }),
    });
    assert.deepEqual(report.violations, []);
    assert.deepEqual(report.lies, ['small-second-list']);
    assert.ok(report.left.includes('too-few-neighbours'), report.left.join());
  }
});
