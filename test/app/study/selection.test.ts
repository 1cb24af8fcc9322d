// Who is asked in a round: fair turns that follow from the contract alone, slow institutions by quota, and enough of those
// who checked the last sum asked again; the contract check says what it does not do; whoever is not asked is refused.

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { selectionFindings } from '../../../app/review/selection-rules.ts';
import { reduceRound } from '../../../app/round/coordinator.ts';
import { openRound } from '../../../app/round/coordinator-state.ts';
import { newStudy, reduceStudy } from '../../../app/round/coordinator-study.ts';
import { studyParameters } from '../../../app/round/parameters.ts';
import { receiveCohort, signReady } from '../../../app/round/participant.ts';
import { firstMemory } from '../../../app/round/participant-state.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { turnOf } from '../../../app/study/selection.ts';
import { nodeCipher, nodeMachine } from '../../../main/host/machine.ts';
import { cohortList, deliver, federation, model, ready } from '../round/federation.ts';
import { sampleStudy } from '../round/sample-study.ts';

type Selection = NonNullable<Contract['schedule']['selection']>;
type Pace = NonNullable<Contract['schedule']['pace']>;

const studyWith = (institutions: number, selection: Selection, pace?: Pace) =>
  sampleStudy({
    institutions,
    change: (contract) => ({
      ...contract,
      schedule: { ...contract.schedule, selection, ...(pace === undefined ? {} : { pace }) },
    }),
  });
const codesOf = (selection: Selection, pace?: Pace): string[] =>
  selectionFindings(studyWith(20, selection, pace).contract).map(({ level, code }) => `${level} ${code}`);
const refuses = (code: string) => (error: unknown) => (error as { code?: string }).code === code;

suite('turns', () => {
  test('each institution is asked equally often, and every round asks as many as the contract says', () => {
    for (const [institutions, asked] of [
      [7, 6],
      [20, 15],
      [30, 24],
    ] as const) {
      const { parameters } = studyWith(institutions, { institutions: asked, slow: [], slowPerRound: 0 });
      const counts = new Map<number, number>();
      for (let round = 1; round <= institutions; round++) {
        const chosen = parameters.selected!(round);
        assert.equal(new Set(chosen).size, asked);
        assert.deepEqual(
          chosen,
          chosen.toSorted((left, right) => left - right),
        );
        for (const index of chosen) counts.set(index, (counts.get(index) ?? 0) + 1);
      }
      assert.deepEqual([...new Set(counts.values())], [asked]);
      assert.equal(counts.size, institutions);
    }
  });

  test('slow institutions have turns of their own, and never more than their quota', () => {
    const slow = [2, 5, 11, 17];
    const { parameters } = studyWith(20, { institutions: 15, slow, slowPerRound: 1 });
    const counts = new Map<number, number>();
    for (let round = 1; round <= 16; round++) {
      const chosen = parameters.selected!(round).filter((index) => slow.includes(index));
      assert.equal(chosen.length, 1);
      counts.set(chosen[0]!, (counts.get(chosen[0]!) ?? 0) + 1);
    }
    assert.deepEqual(
      slow.map((index) => counts.get(index)),
      [4, 4, 4, 4],
    );
  });

  test('whoever is lost, c + 1 who checked a sum are asked in the next round', () => {
    for (const selection of [
      { institutions: 15, slow: [], slowPerRound: 0 },
      { institutions: 16, slow: [1, 2, 3], slowPerRound: 2 },
    ]) {
      const { parameters } = studyWith(20, selection);
      assert.ok(turnOf(parameters.least, parameters.colluders, selection) >= 1);
      for (let round = 1; round < 60; round++) {
        const next = new Set(parameters.selected!(round + 1));
        const again = parameters.selected!(round).filter((index) => next.has(index)).length;
        const lost = selection.institutions - parameters.least;
        assert.ok(again - lost >= parameters.colluders + 1, `round ${round}: ${again} again, ${lost} lost`);
      }
    }
  });

  test('they follow from the contract: another one gives others, the same one the same', () => {
    const selection = { institutions: 15, slow: [], slowPerRound: 0 };
    const { contract, parameters } = studyWith(20, selection);
    const turns = (of: typeof parameters): string => [1, 2, 3].map((round) => of.selected!(round).join()).join('/');
    assert.equal(turns(studyParameters(nodeCipher, structuredClone(contract))), turns(parameters));
    assert.notEqual(turns(studyParameters(nodeCipher, { ...contract, title: 'Another' })), turns(parameters));
  });
});

suite('out of turn', () => {
  const study = studyWith(7, { institutions: 6, slow: [], slowPerRound: 0 });
  const left = study.identities
    .map((_, index) => index)
    .find((index) => !study.parameters.selected!(1).includes(index))!;

  test('a participant signs no Ready', () => {
    const participant = {
      machine: nodeMachine,
      parameters: study.parameters,
      index: left,
      identity: study.identities[left]!,
    };
    assert.throws(() => signReady(participant, firstMemory(model), null, 1, new Uint8Array(32)), refuses('not-asked'));
  });

  test('the coordinator asks nobody, and a participant refuses a list with one', () => {
    const fed = federation(study, nodeMachine);
    const { coordinator } = fed;
    let state = newStudy(model);
    for (let index = 0; index < 7; index++)
      state = reduceStudy(coordinator, state, { kind: 'consented', index, now: 1 });
    assert.deepEqual(state.round!.eligible, study.parameters.selected!(1));
    // A coordinator that lies takes one who was made to sign by other terms.
    const elsewhere = { ...study.parameters, selected: null };
    fed.parties[left]!.participant = { ...fed.parties[left]!.participant, parameters: elsewhere };
    fed.round = openRound(1, fed.round.expected, [0, 1, 2, 3, 4, 5, 6]);
    ready(fed);
    const other = fed.parties[(left + 1) % 7]!;
    assert.throws(
      () => receiveCohort(other.participant, other.memory, other.state!, cohortList(fed, other)),
      refuses('not-asked'),
    );
  });

  test('numbers in which too few of those who are left are asked are passed over', () => {
    const coordinator = { cipher: nodeCipher, parameters: study.parameters, signer: study.coordinator };
    const { selected, least } = study.parameters;
    const roster = [0, 1, 2, 3, 4, 5, 6];
    const leftOut = (round: number): number => roster.find((index) => !selected!(round).includes(index))!;
    const gone = [leftOut(3), leftOut(5)];
    const enough = (round: number): boolean =>
      selected!(round).filter((index) => !gone.includes(index)).length >= least;
    let state = newStudy(model);
    for (const index of roster) state = reduceStudy(coordinator, state, { kind: 'consented', index, now: 1 });
    for (const index of gone) state = reduceStudy(coordinator, state, { kind: 'withdrawn', index, now: 2 });
    state = reduceStudy(coordinator, state, { kind: 'abandoned', reason: 'test', now: 3 });
    state = reduceStudy(coordinator, state, { kind: 'tick', now: 60_000 });
    const expected = Array.from({ length: 60 }, (_, at) => at + 2).find(enough)!;
    assert.ok(expected > 2, 'a number really is passed over');
    assert.equal(state.round?.round, expected);
    assert.equal(state.round.eligible.length, least);
    // With a third one gone nobody could ever be enough.
    const third = selected!(expected).find((index) => !gone.includes(index))!;
    state = reduceStudy(coordinator, state, { kind: 'withdrawn', index: third, now: 60_001 });
    state = reduceStudy(coordinator, state, { kind: 'abandoned', reason: 'test', now: 60_002 });
    assert.equal(state.outcome, 'too-few-left');
  });
});

suite('pace', () => {
  const study = sampleStudy({
    institutions: 7,
    change: (contract) => ({
      ...contract,
      schedule: {
        ...contract.schedule,
        pace: { enough: 5, patience: 2, leastSeconds: 1 },
        stageSeconds: { ready: 600, shares: 600, masked: 600, consistency: 600, unmask: 600 },
      },
    }),
  });

  test('once enough are done the others get as long again, never longer than the contract says', () => {
    const fed = federation(study, nodeMachine);
    const start = fed.now;
    const readies = fed.parties.map(
      ({ participant, memory }) => signReady(participant, memory, null, 1, new Uint8Array(32)).state.ready,
    );
    for (const [at, message] of readies.slice(0, 5).entries()) {
      assert.equal(fed.round.deadline, at === 0 ? null : start + 600_000);
      fed.now = start + 5000 * at;
      deliver(fed, message);
    }
    assert.equal(fed.round.deadline, start + 40_000);
    fed.round = reduceRound(fed.coordinator, fed.round, { kind: 'tick', now: start + 39_999 });
    assert.equal(fed.round.stage, 'ready');
    fed.round = reduceRound(fed.coordinator, fed.round, { kind: 'tick', now: start + 40_000 });
    assert.equal(fed.round.stage, 'shares');
    assert.equal(fed.round.members.length, 5);
  });

  test('the shortest wait of the contract is kept', () => {
    const fed = federation(study, nodeMachine);
    ready(fed, new Set([5, 6]));
    // All five came at once: the sixth still had a second.
    assert.equal(fed.round.stage, 'shares');
    assert.equal(fed.now, 1_000_000 + 1000 + 1);
  });
});

test('the contract check: nothing is amplified, and what cannot work is refused', () => {
  const fair = { institutions: 16, slow: [], slowPerRound: 0 };
  const always = 'warn selection-amplifies-nothing';
  assert.deepEqual(codesOf(fair), [always]);
  assert.deepEqual(codesOf({ ...fair, institutions: 13 }), ['refuse selection-below-cohort', always]);
  assert.deepEqual(codesOf({ ...fair, slow: [1, 1] }), ['refuse selection-slow-unknown', always]);
  assert.deepEqual(codesOf({ ...fair, institutions: 21 }), ['refuse selection-too-few', always]);
  assert.deepEqual(codesOf({ institutions: 16, slow: [1, 2, 3, 4, 5, 6], slowPerRound: 6 }), [
    'refuse selection-without-overlap',
    always,
  ]);
  const pace = { enough: 14, patience: 2, leastSeconds: 1 };
  assert.deepEqual(codesOf(fair, pace), [always]);
  assert.deepEqual(codesOf(fair, { ...pace, enough: 13 }), [always, 'refuse pace-out-of-range']);
  assert.deepEqual(codesOf({ institutions: 16, slow: [1, 2, 3], slowPerRound: 3 }, pace), [
    always,
    'warn pace-waits-for-slow',
  ]);
  const { contract } = studyWith(20, fair);
  const silent = selectionFindings({ ...contract, privacy: { ...contract.privacy, noise: 'none' } });
  assert.ok(silent.some(({ code }) => code === 'selection-without-noise'));
});
