// What an operator sees: metrics of a round with a dropout and one that is aborted, the drift alarm, health, traces. And
// what nobody sees in them: anything but numbers and the program's own words.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../../app/encoding/bytes.ts';
import { newStudy } from '../../../app/round/coordinator-study.ts';
import { openRound } from '../../../app/round/coordinator-state.ts';
import { driftAlarm, studyDrift } from '../../../app/round/drift.ts';
import { metricLayout, metricScale } from '../../../app/training/evaluation-vector.ts';
import type { LogLine } from '../../../main/coordinator/engine.ts';
import { modelApplier } from '../../../main/coordinator/model-applier.ts';
import { startAdminServer, watchedEngine } from '../../../main/coordinator/observation/admin-server.ts';
import { createMetrics } from '../../../main/coordinator/observation/metrics.ts';
import { startTracing } from '../../../main/coordinator/observation/tracing.ts';
import { startServer } from '../../../main/coordinator/server.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { createRelayMetrics } from '../../../main/relay/metrics.ts';
import { sampleStudy } from '../../app/round/sample-study.ts';
import {
  agree,
  consentAll,
  everyone,
  expire,
  liveFederation,
  ready,
  seal,
  share,
  unmask,
  verify,
} from './federation.ts';
import type { LiveFederation } from './federation.ts';

/** The value of a metric in Prometheus' text. */
function valueOf(text: string, name: string, labels: string = ''): number {
  const line = text.split('\n').find((one) => one.startsWith(`${name}{`) && one.includes(labels));
  assert.ok(line !== undefined, `${name} ${labels} is not there`);
  return Number(line.split(' ').at(-1));
}

async function roundWithoutLast(fed: LiveFederation): Promise<void> {
  for (const stage of [ready, share]) await everyone(fed, stage);
  await everyone(fed, seal, [3]);
  await expire(fed);
  for (const stage of [agree, unmask]) await everyone(fed, stage, [3]);
  await fed.engine.settled();
}

test('metrics, health and page of a study with a dropout and an aborted round', async (t) => {
  const lines: LogLine[] = [];
  const study = sampleStudy({ institutions: 4 });
  const metrics = createMetrics(study.contract, toHex(study.parameters.study), (line) => lines.push(line));
  t.after(() => metrics.close());
  const fed = await liveFederation({ institutions: 4, observe: (change) => metrics.observe(change) });
  t.after(() => fed.close());
  const admin = await startAdminServer({
    watched: watchedEngine(fed.engine),
    metrics,
    study: toHex(fed.study.parameters.study),
    host: '127.0.0.1',
    port: 0,
  });
  t.after(() => admin.close());
  const server = await startServer({
    engine: fed.engine,
    contract: new Uint8Array(0),
    host: '127.0.0.1',
    port: 0,
    onRequest: (facts) => metrics.request(facts),
  });
  t.after(() => server.close());
  await (await fetch(`${server.address}/v1/health`)).arrayBuffer();
  await (await fetch(`${server.address}/v1/rounds/77/boxes`)).arrayBuffer();
  await consentAll(fed);
  await roundWithoutLast(fed);

  const text = await (await fetch(`${admin.address}/metrics`)).text();
  assert.equal(valueOf(text, 'consilience_cohort'), 3);
  assert.equal(valueOf(text, 'consilience_rounds_total', 'end="closed"'), 1);
  assert.equal(valueOf(text, 'consilience_dropouts_total', 'stage="masked"'), 1);
  assert.equal(valueOf(text, 'consilience_store_up'), 1);
  const [effective, outside, plan, ratio] = [
    valueOf(text, 'consilience_epsilon', 'against="coordinator"'),
    valueOf(text, 'consilience_epsilon', 'against="outsiders"'),
    valueOf(text, 'consilience_epsilon_plan'),
    valueOf(text, 'consilience_epsilon_drift_ratio'),
  ];
  // One of four is gone and one may collude: two shares instead of three against the coordinator.
  assert.ok(outside < effective && plan < effective && Math.abs(ratio - effective / plan) < 1e-12);
  assert.ok(valueOf(text, 'consilience_noise_multiplier') >= fed.study.contract.privacy.noiseMultiplier! - 1e-9);
  assert.equal(valueOf(text, 'consilience_request_seconds_count', 'route="/v1/health"'), 1);
  assert.equal(valueOf(text, 'consilience_request_seconds_count', 'status="4xx"'), 1);
  assert.ok(!text.includes('/rounds/77'), 'routes are named without their numbers');
  for (const { name } of fed.study.contract.roster) assert.ok(!text.includes(name), 'no institution is named');

  // A second round is charged and then given up: it costs and brings nothing.
  await everyone(fed, async (_, party) => void (await verify(fed, party)), [3]);
  await everyone(fed, ready, [3]);
  await expire(fed);
  await everyone(fed, share, [3]);
  assert.equal(fed.engine.study().round?.stage, 'masked');
  await fed.engine.apply({ kind: 'abandoned', reason: 'test' });
  const after = await (await fetch(`${admin.address}/metrics`)).text();
  assert.equal(valueOf(after, 'consilience_rounds_total', 'end="aborted"'), 1);
  assert.ok(valueOf(after, 'consilience_epsilon', 'against="coordinator"') > effective);
  assert.equal(valueOf(after, 'consilience_epsilon_plan'), plan);
  assert.equal(valueOf(after, 'consilience_epsilon_drift_alarm'), 1);
  assert.deepEqual(
    lines.map(({ event }) => event),
    ['privacy-drift'],
  );

  const health = (await (await fetch(`${admin.address}/health`)).json()) as { status: string; closedRounds: number };
  assert.deepEqual([health.status, health.closedRounds], ['ok', 1]);
  assert.match(await (await fetch(admin.address)).text(), /<h1>Coordinator: ok<\/h1>/);
  assert.equal((await fetch(`${admin.address}/v1/contract`)).status, 404);
  fed.engine.options.store.check = () => Promise.reject(new Error('gone'));
  assert.equal((await fetch(`${admin.address}/health`)).status, 503);
});

test('dropouts of the last stage: those whose answers a round ended for', async (t) => {
  const study = sampleStudy({ institutions: 4 });
  const metrics = createMetrics(study.contract, toHex(study.parameters.study), () => undefined);
  t.after(() => metrics.close());
  const fed = await liveFederation({ institutions: 4, observe: (change) => metrics.observe(change) });
  t.after(() => fed.close());
  await consentAll(fed);
  for (const stage of [ready, share, seal, agree]) await everyone(fed, stage);
  await everyone(fed, unmask, [1, 2]);
  await expire(fed);
  const text = await metrics.text();
  assert.equal(valueOf(text, 'consilience_rounds_total', 'end="aborted"'), 1);
  assert.equal(valueOf(text, 'consilience_dropouts_total', 'stage="unmask"'), 2);
  assert.ok(!/dropouts_total\{[^}]*stage="(?:shares|masked|consistency)"/.test(text));
});

test('how long an opened sum is, beside its noise, in the units of an update', async (t) => {
  const { contract, parameters } = sampleStudy({ institutions: 4 });
  const metrics = createMetrics(contract, toHex(parameters.study), () => undefined);
  t.after(() => metrics.close());
  const { sealing, training, roster } = contract;
  const survivors = [0, 1, 2];
  const sum = Uint32Array.from({ length: sealing.dimension }, (_, at) => 1000 * (at - 2));
  const { seen } = modelApplier(nodeCipher, contract).apply(1, survivors, sum).next;
  const closed = newStudy('ab'.repeat(32));
  const round = { ...openRound(1, {} as never, []), stage: 'closed', u2: {}, survivors } as never;
  metrics.observe({ before: closed, after: { ...closed, ended: [round] }, now: 0, seen: seen! });
  const text = await metrics.text();
  const units = training.samplingRate * survivors.length * roster[0]!.nominalUnits;
  const [norm, noise] = [valueOf(text, 'consilience_update_norm'), valueOf(text, 'consilience_update_noise_norm')];
  const length = Math.hypot(...Array.from(sum, (word) => word | 0));
  assert.ok(Math.abs(norm / (length / sealing.scale / units) - 1) < 1e-9, `${norm}`);
  const expected = Math.sqrt(3 * sealing.noiseVariance * sealing.dimension) / sealing.scale / units;
  assert.ok(Math.abs(noise / expected - 1) < 1e-9, `${noise}, not ${expected}`);
  assert.equal(valueOf(text, 'consilience_clipping_norm'), training.clippingNorm);
  assert.ok(!/consilience_(?:evaluation|within_clip)\{/.test(text), 'nothing is tested or counted in these terms');
});

test('an evaluation in the sums becomes metrics of the model, within its least count', async (t) => {
  const { contract, parameters } = sampleStudy({
    institutions: 4,
    change: (base) => ({
      ...base,
      evaluation: { share: 0.2, splitKey: '5a'.repeat(32), bins: 2, slices: [], leastCount: 10 },
      sealing: { ...base.sealing, dimension: base.sealing.dimension + 7 },
    }),
  });
  const metrics = createMetrics(contract, toHex(parameters.study), () => undefined);
  t.after(() => metrics.close());
  const layout = metricLayout(contract.task.table, contract.evaluation!, contract.training.person);
  const scale = metricScale(contract.training.clippingNorm, layout);
  const closed = newStudy('ab'.repeat(32));
  const round = { ...openRound(1, {} as never, []), stage: 'closed', u2: {}, survivors: [0, 1, 2] } as never;
  const seen = (units: number) => ({
    measured: { length: 1, noise: 0.5, clip: 1, within: null },
    metrics: Float64Array.from([units, 0.75 * units, 0, 0, 0, 0, 0], (value) => value * scale),
  });
  const after = { ...closed, ended: [round] };
  metrics.observe({ before: closed, after, now: 0, seen: seen(100) });
  assert.ok(Math.abs(valueOf(await metrics.text(), 'consilience_evaluation', 'metric="accuracy"') - 0.75) < 1e-9);
  metrics.observe({ before: after, after: { ...after, ended: [round, round] }, now: 0, seen: seen(5) });
  assert.ok(!(await metrics.text()).includes('metric="accuracy"'), 'too few were tested');
});

test('drift: none with everybody there, an alarm when dropouts or aborted rounds cost a quarter more', () => {
  const { contract } = sampleStudy({ institutions: 10 });
  const those = (count: number) => [...Array(count).keys()];
  const round = (count: number | null) => ({ terms: contract, survivors: count === null ? null : those(count) });
  const full = studyDrift(contract, [round(10), round(10)]);
  assert.equal(full.ratio, 1);
  assert.ok(full.outsiders! < full.coordinator!);
  assert.deepEqual(studyDrift(contract, []), { coordinator: 0, outsiders: 0, plan: 0, ratio: 1 });
  const fewer = studyDrift(contract, [round(7), round(7)]);
  assert.ok(fewer.ratio! > driftAlarm && fewer.plan === full.plan);
  const aborted = studyDrift(contract, [round(10), round(10), ...Array.from({ length: 4 }, () => round(null))]);
  assert.ok(aborted.ratio! > driftAlarm && aborted.plan === full.plan);
  assert.equal(studyDrift(contract, [round(null)]).ratio, Number.POSITIVE_INFINITY);
  const plain = { ...contract, privacy: { ...contract.privacy, noise: 'none' as const, noiseMultiplier: null } };
  assert.equal(studyDrift(plain, [{ terms: plain, survivors: those(10) }]).coordinator, null);
});

test('traces: requests and stages reach a collector, as names and numbers', async (t) => {
  const bodies: string[] = [];
  const collector = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => (text += part));
    request.on('end', () => {
      bodies.push(text);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    collector.closeAllConnections();
    collector.close();
  });
  const url = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`;
  const tracing = startTracing(url, 'ab'.repeat(32));
  const fed = await liveFederation({ institutions: 3, observe: (change) => tracing.observe(change) });
  t.after(() => fed.close());
  await consentAll(fed);
  await everyone(fed, ready);
  await everyone(fed, share);
  tracing.request({ method: 'GET', route: '/v1/status', status: 503, seconds: 0.25, receivedBytes: 0, sentBytes: 1 });
  await tracing.close();
  const spans = bodies
    .map((text) => JSON.parse(text) as { resourceSpans: { scopeSpans: { spans: { name: string }[] }[] }[] })
    .flatMap(({ resourceSpans }) => resourceSpans.flatMap((one) => one.scopeSpans.flatMap((scope) => scope.spans)));
  assert.deepEqual(spans.map((span) => span.name).sort(), ['GET /v1/status', 'stage ready', 'stage shares']);
  for (const { name } of fed.study.contract.roster) assert.ok(!bodies.join().includes(name));
});

for (const name of ['coordinator', 'relay'] as const)
  test(`the dashboard of a ${name} asks for the metrics that there are, and for all of them`, () => {
    const { contract, parameters } = sampleStudy({ institutions: 3 });
    const study = toHex(parameters.study);
    const state = { round: null, stage: null, closedRounds: 0, sealed: 0, rootAnswers: true, fromRootBytes: 0 };
    const metrics =
      name === 'coordinator'
        ? createMetrics(contract, study, () => undefined)
        : createRelayMetrics({ study, region: 'north', members: 3 }, () => state);
    const names = new Set(metrics.names());
    metrics.close();
    const file = path.resolve(import.meta.dirname, `../../../deploy/grafana/consilience-${name}.json`);
    const dashboard = JSON.parse(readFileSync(file, 'utf8')) as {
      panels: { id: number; gridPos: object; targets: { expr: string }[] }[];
      templating: { list: { query: string }[] };
    };
    const written = [
      ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
      ...dashboard.templating.list.map(({ query }) => query),
    ];
    const asked = written.flatMap((text) => text.match(/(?:consilience|process)_[a-z0-9_]+/g) ?? []);
    for (const one of asked)
      assert.ok(names.has(one) || names.has(one.replace(/_(?:bucket|count|sum)$/, '')), `there is no metric ${one}`);
    for (const own of [...names].filter((one) => one.startsWith('consilience_')))
      assert.ok(
        asked.some((one) => one === own || one.replace(/_(?:bucket|count|sum)$/, '') === own),
        `${own} is on no panel`,
      );
    const { panels } = dashboard;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    assert.equal(
      new Set(panels.map(({ gridPos }) => JSON.stringify(gridPos))).size,
      panels.length,
      'no two in one place',
    );
  });
