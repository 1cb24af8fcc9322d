// OpenTelemetry traces of requests and stages, sent by OTLP over HTTP where the operator asks for it (--otlp). Names and
// numbers of the program alone: routes without their numbers' meaning, statuses, stages, durations.

import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { RequestFacts } from './meters.ts';
import type { StudyChange } from './metrics.ts';

export type Tracing = {
  request(facts: RequestFacts): void;
  observe(change: StudyChange): void;
  /** Sends what is left. */
  close(): Promise<void>;
};

const closeMs = 5000;

/** @param url of the collector's traces, usually http://HOST:4318/v1/traces */
export function startTracing(url: string, study: string): Tracing {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'consilience-coordinator', 'consilience.study': study }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url, timeoutMillis: closeMs }))],
  });
  const tracer = provider.getTracer('consilience');
  let entered: number | null = null;
  return {
    request({ method, route, status, seconds }) {
      const end = Date.now();
      const span = tracer.startSpan(`${method} ${route}`, {
        kind: SpanKind.SERVER,
        startTime: end - 1000 * seconds,
        attributes: { 'http.request.method': method, 'http.route': route, 'http.response.status_code': status },
      });
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end(end);
    },
    observe({ before, after, now }) {
      const was = before.round;
      if (was?.round === after.round?.round && was?.stage === after.round?.stage) return;
      if (was !== null && entered !== null) {
        const attributes = { 'consilience.round': was.round, 'consilience.stage': was.stage };
        tracer.startSpan(`stage ${was.stage}`, { startTime: entered, attributes }).end(Math.max(now, entered));
      }
      entered = after.round === null ? null : now;
    },
    close: () => provider.shutdown().catch(() => undefined),
  };
}
