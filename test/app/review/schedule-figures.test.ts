// A contract's whole schedule by every accountant: the numbers of the accountants themselves, charged attempts counted, never
// priced again, and refused by name where a schedule is not fixed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountantNames } from '../../../app/privacy/calibrate.ts';
import { pldAccountant } from '../../../app/privacy/pld-accountant.ts';
import { deriveDraft } from '../../../app/review/derive.ts';
import { privacyFigures } from '../../../app/review/privacy-figures.ts';
import { scheduleFigures } from '../../../app/review/schedule-figures.ts';
import { roundEvent, scheduleEvent } from '../../../app/round/charge.ts';
import { delta } from '../../../app/units.ts';
import { adaptiveNoise } from '../round/adaptive-study.ts';
import { changed, sampleContract, sampleDimension } from '../study/sample-study.ts';

const contract = sampleContract();
const { attempts } = contract.schedule;

test('PLD is the accountant’s own number for every attempt at the worst case, and below RDP, which is the check’s', () => {
  const { by } = scheduleFigures(contract);
  const { epsilon, truncationDelta, samplerDelta } = privacyFigures(contract);
  assert.equal(by.rdp.epsilon, epsilon.coordinator);
  const account = pldAccountant('add-or-remove');
  account.compose(scheduleEvent(contract));
  assert.equal(by.pld.epsilon, account.epsilon(delta(contract.privacy.delta - truncationDelta - samplerDelta)));
  assert.ok(by.pld.epsilon < by.rdp.epsilon! && by.pld.epsilon > 0.8 * by.rdp.epsilon!);
  for (const name of ['gdp', 'zcdp'] as const) {
    assert.equal(by[name].epsilon, null);
    if (by[name].epsilon === null) assert.equal(by[name].why.code, 'sampled-event-unsupported');
  }
});

test('it counts charged attempts, and what was realised does not make it smaller', () => {
  const some = Math.ceil(attempts / 2);
  let last = 0;
  for (const charged of [1, some, attempts]) {
    const { epsilon } = scheduleFigures(contract, charged).by.pld;
    assert.ok(epsilon! > last);
    last = epsilon!;
  }
  // Everybody was there in every round: the realised charges alone would give less, and are not read.
  const realised = pldAccountant('add-or-remove');
  realised.compose(roundEvent(contract, contract.roster.length - contract.sealing.colluders), some);
  const charged = scheduleFigures(contract, some).by.pld.epsilon!;
  assert.ok(realised.epsilon(delta(contract.privacy.delta)) < charged);
  for (const wrong of [0, 1.5, attempts + 1]) assert.throws(() => scheduleFigures(contract, wrong), RangeError);
});

test('for whole institutions every accountant has a number, PLD and GDP the same one', () => {
  const whole = changed(contract, {
    training: { mode: 'institution', unit: 'institution', localSteps: 5, localLearningRate: 0.5 },
    privacy: { noiseMultiplier: 8 },
  });
  const derived = deriveDraft(whole, { modelDimension: sampleDimension, targetEpsilon: null, colluders: 1 });
  const { by } = scheduleFigures(derived);
  for (const name of accountantNames) assert.ok(by[name].epsilon! > 0, name);
  // PLD also charges the sampler's distance, which the δ it is read at has paid already.
  assert.ok(Math.abs(by.pld.epsilon! / by.gdp.epsilon! - 1) < 1e-6);
  assert.ok(by.gdp.epsilon! < by.zcdp.epsilon! && by.zcdp.epsilon! < by.rdp.epsilon! * (1 + 1e-9));
});

test('noise that adapts has no fixed schedule, and no noise has no ε: both are said by name', () => {
  const wishes = { modelDimension: sampleDimension, targetEpsilon: null, colluders: 1 };
  const adapts = deriveDraft(changed(contract, { privacy: { adaptiveNoise } }), wishes);
  const { by } = scheduleFigures(adapts);
  assert.ok(by.rdp.epsilon! <= adapts.privacy.epsilon!);
  const none = changed(contract, { privacy: { noise: 'none', noiseMultiplier: null, epsilon: null } });
  const silent = scheduleFigures({ ...none, sealing: { ...none.sealing, noiseVariance: 0 } }).by;
  for (const [answer, code] of [
    [by.pld, 'schedule-not-fixed'],
    [by.gdp, 'schedule-not-fixed'],
    [silent.rdp, 'no-bound'],
    [silent.pld, 'no-bound'],
  ] as const) {
    assert.equal(answer.epsilon, null);
    if (answer.epsilon === null) assert.equal(answer.why.code, code);
  }
});
