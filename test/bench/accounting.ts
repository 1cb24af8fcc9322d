// How long accounting takes on one core: the best of a few runs after one to warm up, so that a busy machine does not
// count. Design 4, "Speed".

import { pldAccountant } from '../../app/privacy/pld-accountant.ts';
import { rdpAccountant } from '../../app/privacy/rdp-accountant.ts';
import type { Accountant } from '../../app/privacy/accountant.ts';
import { delta } from '../../app/units.ts';

function epsilon(account: Accountant, q: number, sigma: number, steps: number, d: number): number {
  account.compose({
    mechanism: 'gaussian',
    noiseMultiplier: sigma,
    samplingRate: q,
    steps,
    adjacency: 'add-or-remove',
  });
  return account.epsilon(delta(d));
}

function best(run: (turn: number) => void, turns: number): number {
  let least = Infinity;
  for (let turn = 0; turn <= turns; turn++) {
    const start = performance.now();
    run(turn);
    least = Math.min(least, performance.now() - start);
  }
  return least / 1000;
}

/** A hundred schedules as people ask for them: rates, noise, lengths and δ over their usual ranges. */
function schedules(): (readonly [q: number, sigma: number, steps: number, d: number])[] {
  const rates = [0.001, 0.004, 0.01, 0.05, 0.2];
  const noises = [0.7, 1, 1.5, 3];
  const lengths = [100, 1000, 3000, 10_000, 30_000];
  return rates.flatMap((q, i) =>
    noises.flatMap((sigma, j) =>
      lengths.map((steps, k) => [q, sigma, steps, (i + j + k) % 2 === 0 ? 1e-5 : 1e-6] as const),
    ),
  );
}

// oxlint-disable-next-line typescript/require-await -- all benches are asynchronous
export async function accountingBench(): Promise<object> {
  // A hair's difference in σ each time: no cache answers.
  const pld = (turn: number): number => epsilon(pldAccountant('add-or-remove'), 0.01, 1 + turn * 1e-9, 10_000, 1e-5);
  const all = schedules();
  return {
    pldSeconds: best(pld, 4),
    rdpSeconds: best((turn) => epsilon(rdpAccountant('add-or-remove'), 0.01, 1 + turn * 1e-9, 10_000, 1e-5), 6),
    batchSeconds: best(() => {
      for (const tuple of all) {
        epsilon(rdpAccountant('add-or-remove'), ...tuple);
        epsilon(pldAccountant('add-or-remove'), ...tuple);
      }
    }, 0),
    pldEpsilon: pld(0),
    tuples: all.length,
  };
}
