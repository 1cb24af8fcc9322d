// What the coordinator and a relay both measure for Prometheus: their requests, the bytes of these, whether the store
// answers, and Node's own numbers; and the makers of all further meters, under one prefix. Design 6, "Observability".

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export type RequestFacts = {
  readonly method: string;
  /** As the server writes it, with :name, so that there are few. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
};

export type ServerMetrics = {
  request(facts: RequestFacts): void;
  storeAnswers(answers: boolean): void;
  /** The text that Prometheus reads. */
  text(): Promise<string>;
  readonly contentType: string;
  readonly names: () => readonly string[];
  close(): void;
};

export type Meters = {
  readonly gauge: (name: string, help: string, labelNames?: string[]) => Gauge;
  readonly counter: (name: string, help: string, labelNames?: string[]) => Counter;
  /** @param buckets upper ends, in the unit of what is observed */
  readonly histogram: (name: string, help: string, labelNames: string[], buckets: number[]) => Histogram;
  readonly server: ServerMetrics;
};

/** @param help what the three meters of requests say of themselves */
export function createMeters(
  prefix: string,
  labels: { readonly [name: string]: string },
  help: { readonly requests: string; readonly received: string; readonly sent: string },
): Meters {
  const registry = new Registry();
  registry.setDefaultLabels(labels);
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const gauge: Meters['gauge'] = (name, text, labelNames = []) =>
    new Gauge({ name: `${prefix}_${name}`, help: text, labelNames, registers });
  const counter: Meters['counter'] = (name, text, labelNames = []) =>
    new Counter({ name: `${prefix}_${name}`, help: text, labelNames, registers });
  const histogram: Meters['histogram'] = (name, text, labelNames, buckets) =>
    new Histogram({ name: `${prefix}_${name}`, help: text, labelNames, buckets, registers });

  const requests = histogram(
    'request_seconds',
    help.requests,
    ['method', 'route', 'status'],
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  );
  const received = counter('received_bytes_total', help.received);
  const sent = counter('sent_bytes_total', help.sent);
  const store = gauge('store_up', '1 while the store answers.');
  return {
    gauge,
    counter,
    histogram,
    server: {
      request({ method, route, status, seconds, receivedBytes, sentBytes }) {
        requests.observe({ method, route, status: `${Math.floor(status / 100)}xx` }, seconds);
        received.inc(receivedBytes);
        sent.inc(sentBytes);
      },
      storeAnswers: (answers) => store.set(answers ? 1 : 0),
      text: () => registry.metrics(),
      contentType: registry.contentType,
      names: () => registry.getMetricsAsArray().map(({ name }) => name),
      close: () => registry.clear(),
    },
  };
}
