// What a relay measures, for Prometheus: its members' contributions, the sums it added, opened and sent, whether the root
// answers, and bytes on either side. Numbers and the program's own words alone; nobody is named. Design 6, "Observability".

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { LogLine } from '../coordinator/engine.ts';
import type { RequestFacts } from '../coordinator/observation/metrics.ts';
import type { RelayState } from './relay.ts';

export type RelayMetrics = {
  /** A line of the relay's log, of which some are counted. */
  logged(line: LogLine): void;
  request(facts: RequestFacts): void;
  storeAnswers(answers: boolean): void;
  /** The text that Prometheus reads, with the relay as it is now. */
  text(): Promise<string>;
  readonly contentType: string;
  readonly names: () => readonly string[];
  close(): void;
};

const steps: { readonly [event: string]: string } = {
  'region-added': 'added',
  'region-sent': 'sent',
  'region-opened': 'opened',
  'region-not-opened': 'not-opened',
};

/** @param now the relay's state, and bytes that came from the root so far */
export function createRelayMetrics(
  around: { readonly study: string; readonly region: string; readonly members: number },
  now: () => RelayState & { readonly fromRootBytes: number },
): RelayMetrics {
  const registry = new Registry();
  registry.setDefaultLabels({ study: around.study.slice(0, 12), region: around.region });
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const gauge = (name: string, help: string) => new Gauge({ name: `consilience_relay_${name}`, help, registers });
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `consilience_relay_${name}`, help, labelNames, registers });
  const requests = new Histogram({
    name: 'consilience_relay_request_seconds',
    help: 'Time from a member’s request to the end of its reply; status calls that wait at the root are among them.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const received = counter('received_bytes_total', 'Bytes of members’ request bodies.');
  const sent = counter('sent_bytes_total', 'Bytes of reply bodies to members.');
  const fromRoot = counter('from_root_bytes_total', 'Bytes of replies that came from the root.');
  const sums = counter('sums_total', 'Sums of the region by what was done with them.', ['step']);
  const failures = counter('failures_total', 'What did not work and is tried again, by its code.', ['code']);
  const members = gauge('members', 'Institutions of the region in the study terms.');
  const added = gauge('added', 'Institutions in the newest sum that the relay added.');
  const round = gauge('round', 'Number of the open round; 0 between rounds.');
  const sealed = gauge('sealed', 'Institutions whose contribution to the open round is here whole.');
  const root = gauge('root_up', '1 while the root answers.');
  const store = gauge('store_up', '1 while the store answers.');
  let counted = 0;
  members.set(around.members);
  return {
    logged(line) {
      const step = steps[line.event];
      if (step !== undefined) sums.inc({ step });
      if (line.event === 'region-added') added.set(Number(line['members']));
      if (line.event === 'root-unreachable' || line.event === 'forwarding-failed')
        failures.inc({ code: String(line['code']) });
    },
    request({ method, route, status, seconds, receivedBytes, sentBytes }) {
      requests.observe({ method, route, status: `${Math.floor(status / 100)}xx` }, seconds);
      received.inc(receivedBytes);
      sent.inc(sentBytes);
    },
    storeAnswers: (answers) => store.set(answers ? 1 : 0),
    async text() {
      const state = now();
      round.set(state.round ?? 0);
      sealed.set(state.sealed);
      root.set(state.rootAnswers ? 1 : 0);
      fromRoot.inc(state.fromRootBytes - counted);
      counted = state.fromRootBytes;
      return registry.metrics();
    },
    contentType: registry.contentType,
    names: () => registry.getMetricsAsArray().map(({ name }) => name),
    close: () => registry.clear(),
  };
}
