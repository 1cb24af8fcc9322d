// `consilience simulate --faults`: whole federations in a faulty world, one a seed, each held to every promise after every
// event. A seed that fails is printed and replays exactly. Design 7, "Simulation".

import { setImmediate } from 'node:timers/promises';
import { simulateFaults } from '../../app/simulation/faulty-federation.ts';
import type { FaultReport } from '../../app/simulation/faulty-federation.ts';
import { nodeCipher } from '../host/machine.ts';
import { requiredOption, UsageError } from './command.ts';
import type { Invocation } from './command.ts';

const mostSeeds = 10_000_000;

/** "A..B" or one number. @throws UsageError. */
function seedRange(text: string): { readonly from: number; readonly to: number } {
  const [, first, last] = /^(\d{1,9})(?:\.\.(\d{1,9}))?$/.exec(text) ?? [];
  const from = Number(first);
  const to = Number(last ?? first);
  if (first === undefined || to < from || to - from >= mostSeeds)
    throw new UsageError(`--seeds takes one number, or A..B with A ≤ B; it was "${text.slice(0, 40)}".`);
  return { from, to };
}

export async function simulateFaultyFederations({ json, out, warn, options }: Invocation): Promise<0 | 1> {
  const { from, to } = seedRange(requiredOption(options, 'seeds'));
  const failures: FaultReport[] = [];
  const totals = { closed: 0, aborted: 0, spoiled: 0, restarts: 0, events: 0, excluded: 0, complete: 0 };
  const lies = new Set<string>();
  const showsProgress = !json && process.stderr.isTTY;
  for (let seed = from; seed <= to; seed++) {
    const report = await simulateFaults(nodeCipher, seed);
    totals.closed += report.closed;
    totals.aborted += report.aborted;
    totals.spoiled += report.spoiled;
    totals.restarts += report.restarts;
    totals.events += report.events;
    totals.excluded += report.named.length;
    totals.complete += report.outcome === 'complete' ? 1 : 0;
    for (const lie of report.lies) lies.add(lie);
    if (report.violations.length > 0) {
      failures.push(report);
      if (!json) out(failureText(report));
    }
    if (showsProgress) warn(`\rFederation ${seed - from + 1} of ${to - from + 1}`);
    await setImmediate();
  }
  if (showsProgress) warn('\n');
  const federations = to - from + 1;
  if (json) {
    const failed = failures.map(({ seed, theme, violations }) => ({ seed, theme, violations }));
    out(`${JSON.stringify({ federations, from, to, failures: failed, ...totals, lies: [...lies].sort() })}\n`);
  } else
    out(
      [
        `${federations} federations, ${totals.events} events: ${totals.closed} rounds closed, ${totals.aborted} came to nothing, ${totals.spoiled} spoiled;`,
        `${totals.restarts} restarts of institutions, ${lies.size} kinds of lies told, ${totals.excluded} liars excluded.`,
        failures.length === 0
          ? 'Every promise held after every event.'
          : `${failures.length} federations broke a promise.`,
        '',
      ].join('\n'),
    );
  return failures.length === 0 ? 0 : 1;
}

function failureText({ seed, theme, violations }: FaultReport): string {
  return [
    `Seed ${seed} (${theme}) broke a promise. Replay it with: consilience simulate --faults --seeds ${seed}`,
    ...violations.map(({ promise, detail }) => `  ${promise}: ${detail}`),
    '',
  ].join('\n');
}
