// What every accountant must do, whatever its mathematics: run an accountant through it from its own test file.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Accountant } from '../../../app/privacy/accountant.ts';
import type {
  FixedSizeSampledGaussianEvent,
  GaussianEvent,
  GaussianMixtureEvent,
  PrivacyEvent,
  SealedGaussianSumEvent,
  SimpleEvent,
  SkellamEvent,
} from '../../../app/privacy/events.ts';
import type { Adjacency } from '../../../app/units.ts';
import { delta } from '../../../app/units.ts';

export const gaussian = (noiseMultiplier: number, steps = 1, samplingRate = 1): GaussianEvent => ({
  mechanism: 'gaussian',
  noiseMultiplier,
  samplingRate,
  steps,
  adjacency: 'add-or-remove',
});

export const sealed = (changes: Partial<SealedGaussianSumEvent> = {}): SealedGaussianSumEvent => ({
  mechanism: 'sealed-gaussian-sum',
  honestShares: 4,
  noiseVariance: 40_000,
  sensitivity: 100,
  dimension: 1000,
  samplingRate: 1,
  steps: 1,
  delta: 1e-5,
  unit: 'person',
  adjacency: 'add-or-remove',
  institutionsPerPerson: 1,
  ...changes,
});

export const unbounded: PrivacyEvent = {
  mechanism: 'unbounded',
  steps: 1,
  delta: 1e-5,
  unit: 'person',
  adjacency: 'add-or-remove',
  institutionsPerPerson: 1,
};

export const mixture: GaussianMixtureEvent = {
  mechanism: 'gaussian-mixture',
  standardDeviation: 2,
  sensitivities: [0, 1, 2],
  probabilities: [0.81, 0.18, 0.01],
  steps: 20,
  adjacency: 'add-or-remove',
};

export const fixedSize: FixedSizeSampledGaussianEvent = {
  mechanism: 'fixed-size-sampled-gaussian',
  noiseMultiplier: 4,
  batchSize: 10,
  populationSize: 1000,
  steps: 30,
  adjacency: 'replace-one',
};

const laplace: PrivacyEvent = {
  mechanism: 'laplace',
  noiseMultiplier: 3,
  samplingRate: 1,
  steps: 2,
  adjacency: 'add-or-remove',
};
const discrete: PrivacyEvent = {
  mechanism: 'discrete-gaussian',
  variance: 30,
  sensitivity: 2,
  samplingRate: 1,
  steps: 3,
  adjacency: 'add-or-remove',
};
const skellam: SkellamEvent = {
  mechanism: 'skellam',
  variance: 900,
  sensitivity: 10,
  absoluteSensitivity: 40,
  samplingRate: 1,
  steps: 4,
  adjacency: 'add-or-remove',
};
const block: PrivacyEvent = {
  mechanism: 'epsilon-delta',
  epsilon: 0.2,
  delta: 1e-9,
  steps: 4,
  adjacency: 'add-or-remove',
};

/** One of each mechanism on paper, plain and sampled. */
const everyMechanism = [
  mixture,
  fixedSize,
  laplace,
  { ...laplace, samplingRate: 0.1 },
  { ...laplace, samplingRate: 0.1, adjacency: 'replace-one' },
  discrete,
  { ...discrete, samplingRate: 0.2 },
  skellam,
  { ...skellam, samplingRate: 0.2 },
  { ...skellam, adjacency: 'replace-one' },
  block,
  { ...block, delta: 0 },
] as readonly (Exclude<SimpleEvent, SealedGaussianSumEvent> & PrivacyEvent)[];

const at = delta(1e-5);
const close = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`);

export function accountantContract(make: (adjacency: Adjacency) => Accountant): void {
  const spent = (...events: readonly PrivacyEvent[]): Accountant => {
    const account = make('add-or-remove');
    for (const event of events) account.compose(event);
    return account;
  };
  const { name } = make('add-or-remove');

  test(`${name}: nothing composed costs nothing`, () => {
    assert.equal(spent().epsilon(at), 0);
    assert.equal(spent().delta(0), 0);
    assert.deepEqual(spent().events(), []);
  });

  test(`${name}: a refused event leaves no trace, not even its supported parts`, () => {
    const account = spent(gaussian(3));
    const [epsilon, events] = [account.epsilon(at), account.events()];
    const refused: readonly (readonly [PrivacyEvent, string])[] = [
      [{ mechanism: 'composed', events: [gaussian(1), sealed({ unit: 'institution' })] }, 'institution-needs-zero-out'],
      [{ ...gaussian(1), adjacency: 'zero-out' }, 'adjacency-differs'],
      [sealed({ unit: 'record', adjacency: 'zero-out' }), 'adjacency-differs'],
    ];
    for (const [event, code] of refused) {
      assert.equal(account.unsupported(event)?.code, code);
      assert.throws(() => account.compose(event), { code });
    }
    assert.throws(() => account.compose({ ...gaussian(1), noiseMultiplier: -1 }), { code: 'privacy-event' });
    assert.throws(() => account.compose(gaussian(1), 0), RangeError);
    assert.equal(account.epsilon(at), epsilon);
    assert.deepEqual(account.events(), events);
  });

  test(`${name}: units are refused by name under relations that do not protect them`, () => {
    const zeroOut = make('zero-out');
    const refusal = (event: PrivacyEvent): string | undefined => zeroOut.unsupported(event)?.code;
    const institution = { unit: 'institution', adjacency: 'zero-out' } as const;
    assert.equal(refusal(sealed(institution)), undefined);
    assert.equal(refusal(sealed({ ...institution, samplingRate: 0.1 })), 'institution-sampling-unsupported');
    assert.equal(refusal(sealed({ ...institution, institutionsPerPerson: 2 })), 'institution-with-persons');
    assert.equal(refusal(sealed({ unit: 'person', adjacency: 'zero-out' })), 'person-needs-add-or-remove');
    assert.equal(refusal(sealed({ unit: 'record', adjacency: 'zero-out' })), 'record-needs-add-or-remove');
    assert.equal(refusal({ ...gaussian(1), adjacency: 'zero-out', samplingRate: 0.5 }), 'sampled-zero-out-unsupported');
    const replaceOne = make('replace-one');
    assert.equal(
      replaceOne.unsupported(sealed({ adjacency: 'replace-one', unit: 'record' }))?.code,
      'record-needs-add-or-remove',
    );
    assert.equal(replaceOne.unsupported({ ...mixture, adjacency: 'replace-one' })?.code, 'mixture-needs-add-or-remove');
    assert.equal(
      make('add-or-remove').unsupported({ ...fixedSize, adjacency: 'add-or-remove' })?.code,
      'fixed-size-needs-replace-one',
    );
  });

  test(`${name}: replacing a unit moves a whole release twice as far`, () => {
    const replaceOne = make('replace-one');
    replaceOne.compose({ ...gaussian(4, 5), adjacency: 'replace-one' });
    close(replaceOne.epsilon(at), spent(gaussian(2, 5)).epsilon(at));
  });

  test(`${name}: what it does not know is refused by name and leaves no trace; what it knows costs something`, () => {
    let refused = 0;
    for (const event of everyMechanism) {
      const account = make(event.adjacency);
      const reason = account.unsupported(event);
      if (reason === null) {
        account.compose(event);
        const epsilon = account.epsilon(at);
        assert.ok(epsilon > 0 && Number.isFinite(epsilon), `${event.mechanism}: ${epsilon}`);
        const delta = account.delta(epsilon);
        assert.ok(Math.abs(delta / at - 1) < 1e-3, `${event.mechanism}: δ(ε(δ)) = ${delta}`);
        continue;
      }
      refused++;
      assert.match(reason.code, /^[a-z-]+$/);
      assert.match(reason.sentence, /[a-z].*\.$/);
      assert.throws(
        () =>
          account.compose({ mechanism: 'composed', events: [{ ...gaussian(3), adjacency: event.adjacency }, event] }),
        { code: reason.code },
      );
      assert.deepEqual(account.events(), []);
      assert.equal(account.epsilon(at), 0);
    }
    assert.equal(refused, { rdp: 5, pld: 5, gdp: 12, zcdp: 9 }[name]);
  });

  test(`${name}: Skellam noise is bounded by RDP unsampled, and refused by name everywhere else`, () => {
    const plain = make('add-or-remove').unsupported(skellam);
    const sampled = make('add-or-remove').unsupported({ ...skellam, samplingRate: 0.2 });
    assert.equal(plain?.code, name === 'rdp' ? undefined : 'skellam-unsupported');
    assert.equal(sampled?.code, name === 'rdp' ? 'sampled-noise-unsupported' : 'skellam-unsupported');
    // Nobody is sent to an accountant that refuses it too.
    for (const reason of [plain, sampled]) assert.doesNotMatch(reason?.sentence ?? '', /use PLD/i);
    assert.equal(
      make('zero-out').unsupported({ ...skellam, samplingRate: 0.2, adjacency: 'zero-out' })?.code,
      'sampled-zero-out-unsupported',
    );
  });

  test(`${name}: more steps, more sampling and less noise cost more`, () => {
    const rates = name === 'gdp' || name === 'zcdp' ? [1] : [0.001, 0.02, 0.3, 1];
    let last = 0;
    for (const rate of rates) {
      const epsilon = spent(gaussian(1.2, 50, rate)).epsilon(at);
      assert.ok(epsilon > last, `rate ${rate}`);
      assert.ok(spent(gaussian(1.2, 51, rate)).epsilon(at) > epsilon, `steps at rate ${rate}`);
      assert.ok(spent(gaussian(1.19, 50, rate)).epsilon(at) > epsilon, `noise at rate ${rate}`);
      assert.ok(spent(gaussian(1.2, 50, rate)).delta(epsilon / 2) > at);
      last = epsilon;
    }
  });

  test(`${name}: events are kept as they were given, whatever the caller does afterwards`, () => {
    const account = make('add-or-remove');
    const mine = { ...gaussian(2) };
    account.compose(mine);
    const epsilon = account.epsilon(at);
    (mine as { noiseMultiplier: number }).noiseMultiplier = 9;
    assert.deepEqual(account.events(), [gaussian(2)]);
    assert.ok(Object.isFrozen(account.events()[0]));
    assert.equal(account.epsilon(at), epsilon);
  });

  test(`${name}: one event of n steps, n events, repeated and composed ones cost the same`, () => {
    const once = gaussian(4);
    const expected = spent(gaussian(4, 6)).epsilon(at);
    close(spent(...Array.from({ length: 6 }, () => once)).epsilon(at), expected);
    close(spent({ mechanism: 'repeated', event: once, times: 6 }).epsilon(at), expected);
    const three: PrivacyEvent = { mechanism: 'composed', events: [once, gaussian(4, 2)] };
    close(spent({ mechanism: 'repeated', event: three, times: 2 }).epsilon(at), expected);
    const counted = make('add-or-remove');
    counted.compose(once, 6);
    close(counted.epsilon(at), expected);
  });

  test(`${name}: order does not matter, and more is never cheaper`, () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.5, max: 50, noNaN: true }), { minLength: 2, maxLength: 6 }), (noises) => {
        const events = noises.map((noise) => gaussian(noise));
        const account = spent(...events);
        close(spent(...events.toReversed()).epsilon(at), account.epsilon(at));
        assert.ok(spent(...events.slice(1)).epsilon(at) <= account.epsilon(at) * (1 + 1e-12));
        assert.ok(account.epsilon(delta(1e-7)) >= account.epsilon(at));
        assert.ok(account.delta(account.epsilon(at)) <= at * (1 + 1e-6));
      }),
      { numRuns: 30 },
    );
  });

  test(`${name}: without noise no ε bounds the whole`, () => {
    assert.equal(spent(gaussian(1), unbounded).epsilon(at), Infinity);
    assert.equal(spent(gaussian(1), unbounded).delta(100), 1);
  });

  test(`${name}: a sealed sum is its z′, plus the density ratio of its shares`, () => {
    const event = sealed({ steps: 3 });
    const z = Math.sqrt(4 * 40_000 - 4) / 100;
    close(spent(event).epsilon(at), spent(gaussian(z, 3)).epsilon(at));
    const person = sealed({ institutionsPerPerson: 3 });
    close(spent(person).epsilon(at), spent(gaussian(Math.sqrt(4 * 40_000 - 4) / 300)).epsilon(at));
    const local = sealed({ honestShares: 1, institutionsPerPerson: 3 });
    close(spent(local).epsilon(at), spent(gaussian(Math.sqrt(40_000 - 4) / 100, 3)).epsilon(at));
  });

  test(`${name}: δ and ε outside their ranges are the caller's mistake`, () => {
    for (const bad of [0, 1, -1, Number.NaN]) assert.throws(() => spent().epsilon(bad as typeof at), RangeError);
    for (const bad of [-1, Infinity, Number.NaN]) assert.throws(() => spent().delta(bad), RangeError);
  });
}
