// The charge event's frozen form: the golden file, strictness, what may be charged.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { canonicalJson } from '../../../app/encoding/canonical-json.ts';
import { chargeFacts, parsePrivacyEvent, simpleEvents } from '../../../app/privacy/events.ts';
import type { PrivacyEvent } from '../../../app/privacy/events.ts';
import { rdpOfEvent } from '../../../app/privacy/rdp-accountant.ts';
import { integratedRdp } from '../../oracle/renyi-integral.ts';
import { gaussian, sealed, unbounded } from './accountant-contract.ts';

type Golden = {
  readonly valid: readonly { readonly canonical: string; readonly rdpAtOrder8: number | null }[];
  readonly invalid: readonly { readonly why: string; readonly event: unknown }[];
};

const golden = JSON.parse(readFileSync(new URL('../../vectors/charge-event.json', import.meta.url), 'utf8')) as Golden;

test('every golden event keeps its bytes and its cost', () => {
  assert.ok(golden.valid.length >= 7);
  for (const { canonical, rdpAtOrder8 } of golden.valid) {
    const event = parsePrivacyEvent(JSON.parse(canonical));
    assert.equal(canonicalJson(event), canonical);
    const rdp = rdpOfEvent(event, 8);
    if (rdpAtOrder8 === null) assert.equal(rdp, Infinity);
    else assert.ok(Math.abs(rdp / rdpAtOrder8 - 1) < 1e-9, `${rdp} is not ${rdpAtOrder8}`);
  }
});

test('the golden cost of a sampled sealed sum is the numerical integral at z′', () => {
  const { canonical, rdpAtOrder8 } = golden.valid[0]!;
  const event = parsePrivacyEvent(JSON.parse(canonical));
  assert.ok(event.mechanism === 'sealed-gaussian-sum');
  const z = Math.sqrt(event.honestShares * event.noiseVariance - 4) / event.sensitivity;
  assert.ok(Math.abs(rdpAtOrder8! / integratedRdp(event.samplingRate, z, 8) - 1) < 1e-9);
});

test('every golden mistake is refused', () => {
  assert.ok(golden.invalid.length >= 8);
  for (const { why, event } of golden.invalid)
    assert.throws(() => parsePrivacyEvent(event), { code: 'privacy-event' }, why);
});

test('a parsed event is frozen all the way down', () => {
  const event = parsePrivacyEvent({
    mechanism: 'composed',
    events: [{ mechanism: 'repeated', event: sealed(), times: 2 }],
  });
  assert.ok(event.mechanism === 'composed' && Object.isFrozen(event) && Object.isFrozen(event.events));
  const inner = event.events[0]!;
  assert.ok(inner.mechanism === 'repeated' && Object.isFrozen(inner) && Object.isFrozen(inner.event));
});

test('nested repetitions multiply', () => {
  const event: PrivacyEvent = {
    mechanism: 'repeated',
    times: 3,
    event: { mechanism: 'composed', events: [gaussian(1), { mechanism: 'repeated', event: gaussian(2), times: 5 }] },
  };
  assert.deepEqual(
    simpleEvents(event).map(({ times }) => times),
    [3, 15],
  );
});

test('a charge names one unit, adjacency and δ', () => {
  assert.deepEqual(chargeFacts(sealed()), { unit: 'person', adjacency: 'add-or-remove', delta: 1e-5 });
  assert.deepEqual(chargeFacts(unbounded).unit, 'person');
  const mixed: PrivacyEvent = { mechanism: 'composed', events: [sealed(), sealed({ unit: 'record' })] };
  assert.throws(() => chargeFacts(mixed), { code: 'event-not-chargeable' });
  assert.throws(() => chargeFacts(gaussian(1)), { code: 'event-not-chargeable' });
});
