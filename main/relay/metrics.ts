// What a relay measures, for Prometheus: its members' contributions, the sums it added, opened and sent, whether the root
// answers, and bytes on either side. Numbers and the program's own words alone; nobody is named. Design 6, "Observability".

import type { LogLine } from '../coordinator/engine.ts';
import { createMeters } from '../coordinator/observation/meters.ts';
import type { ServerMetrics } from '../coordinator/observation/meters.ts';
import type { RelayState } from './relay.ts';

export type RelayMetrics = ServerMetrics & {
  /** A line of the relay's log, of which some are counted. */
  logged(line: LogLine): void;
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
  const { gauge, counter, server } = createMeters(
    'consilience_relay',
    { study: around.study.slice(0, 12), region: around.region },
    {
      requests:
        'Time from a member’s request to the end of its reply; status calls that wait at the root are among them.',
      received: 'Bytes of members’ request bodies.',
      sent: 'Bytes of reply bodies to members.',
    },
  );
  const fromRoot = counter('from_root_bytes_total', 'Bytes of replies that came from the root.');
  const sums = counter('sums_total', 'Sums of the region by what was done with them.', ['step']);
  const failures = counter('failures_total', 'What did not work and is tried again, by its code.', ['code']);
  const members = gauge('members', 'Institutions of the region in the study terms.');
  const added = gauge('added', 'Institutions in the newest sum that the relay added.');
  const round = gauge('round', 'Number of the open round; 0 between rounds.');
  const sealed = gauge('sealed', 'Institutions whose contribution to the open round is here whole.');
  const root = gauge('root_up', '1 while the root answers.');
  let counted = 0;
  members.set(around.members);
  return {
    ...server,
    logged(line) {
      const step = steps[line.event];
      if (step !== undefined) sums.inc({ step });
      if (line.event === 'region-added') added.set(Number(line['members']));
      if (line.event === 'root-unreachable' || line.event === 'forwarding-failed')
        failures.inc({ code: String(line['code']) });
    },
    async text() {
      const state = now();
      round.set(state.round ?? 0);
      sealed.set(state.sealed);
      root.set(state.rootAnswers ? 1 : 0);
      fromRoot.inc(state.fromRootBytes - counted);
      counted = state.fromRootBytes;
      return server.text();
    },
  };
}
