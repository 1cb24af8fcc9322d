// Rules about regional coordinators: that every institution has exactly one, what the loss of a relay costs, and where
// regions open their own sums, that each of them is large enough and what its noise costs. Design 3, "Trees".

import type { ContractDraft } from '../study/contract.ts';
import { refusal, shown, warning } from './finding.ts';
import type { Finding } from './finding.ts';
import { expectedVariance } from './noise-rules.ts';

export function regionFindings(contract: ContractDraft): Finding[] {
  const { regions, roster, sealing } = contract;
  if (regions === undefined) return [];
  const findings: Finding[] = [];
  const all = regions.relays.flatMap((relay) => relay.members);
  const ascending = regions.relays.every(({ members }) =>
    members.every((one, at) => at === 0 || one > members[at - 1]!),
  );
  const complete = new Set(all).size === roster.length && all.every((index) => index < roster.length);
  if (!ascending || !complete || all.length !== roster.length)
    findings.push(
      refusal(
        'regions-overlap',
        'The regions do not hold each institution exactly once, in ascending order.',
        'Put every roster position, counted from 0, into exactly one region.',
      ),
    );
  if (regions.opening === 'region') findings.push(...openingFindings(contract));
  const quorum = Math.max(sealing.threshold, sealing.cohortFloor);
  const largest = Math.max(...regions.relays.map((relay) => relay.members.length));
  if (roster.length - largest < quorum)
    findings.push(
      warning(
        'relay-ends-round',
        `Without the relay of the largest region ${roster.length - largest} institutions are left, and a round needs ${quorum}: a relay that is away stops it.`,
        'Make the regions smaller, or lower the quorum or the cohort floor, if the colluders allow it.',
      ),
    );
  const smallest = Math.min(...regions.relays.map((relay) => relay.members.length));
  if (smallest < 2 * sealing.colluders + 1)
    findings.push(
      warning(
        'region-silenced',
        `In a region of ${smallest} institutions ${sealing.colluders} colluders that say nothing, or honest ones that are away after the sum is opened, spoil a round: ${Math.min(sealing.colluders + 1, smallest)} have to say that their relay added rightly.`,
        `Make each region at least ${2 * sealing.colluders + 1} institutions large.`,
      ),
    );
  return findings;
}

/** Regions that open their own sums: thresholds that hold in each, and what the noise for the smallest of them costs. */
function openingFindings(contract: ContractDraft): Finding[] {
  const { sealing, schedule, privacy, training } = contract;
  const { colluders: c } = sealing;
  const findings: Finding[] = [];
  const add = (broken: boolean, code: string, reason: string, repair: string): void => {
    if (broken) findings.push(refusal(code, reason, repair));
  };
  for (const { name, members, threshold: t } of contract.regions!.relays) {
    const n = members.length;
    const least = Math.max(Math.floor((n + c) / 2) + 1, c + 2);
    const repair =
      least <= n
        ? `Set its threshold to a number from ${least} to ${n}.`
        : 'Make the region larger, or assume fewer colluders.';
    add(
      t === undefined,
      'region-threshold-missing',
      `Region ${name} opens its own sum, but nothing says how many of its members that takes.`,
      repair,
    );
    add(
      t !== undefined && (t < least || t > n),
      'region-threshold-unsafe',
      `In region ${name}, with ${n} institutions and ${c} colluders who may all be in it, a threshold of ${t ?? 0} does not protect one institution’s update.`,
      repair,
    );
  }
  add(
    schedule.selection !== undefined,
    'regions-open-with-turns',
    'Regions that open their own sums need their members together, which turns would break.',
    'Leave the turns out, or write "opening": "root".',
  );
  add(
    sealing.sparseGraph !== undefined,
    'regions-open-with-sparse-graph',
    'Regions that open their own sums share among all members of a region, so there is no sparse graph.',
    'Leave the sparse graph out, or write "opening": "root".',
  );
  add(
    privacy.noise === 'none',
    'regions-open-without-noise',
    'Without noise only unions of fixed batches may be opened, and a region’s sum is none.',
    'Write "opening": "root", or add noise.',
  );
  add(
    training.mode !== 'local' && training.institutionsPerPerson > 1,
    'regions-open-shared-persons',
    `One person may be known to ${training.institutionsPerPerson} institutions, which may lie in different regions; no bound is built here for what the sums of several regions tell of one person together.`,
    'Write "opening": "root", or let each person count at one institution only.',
  );
  if (findings.length > 0 || training.mode === 'local') return findings;
  const { regions: _regions, ...flat } = contract;
  const atRoot = expectedVariance(flat);
  const here = expectedVariance(contract);
  if (atRoot !== null && here !== null)
    findings.push(
      warning(
        'regions-open-cost',
        `Every region’s sum is opened, by anybody in the roster, so the noise is that of the smallest region: ${shown(Math.sqrt(here / atRoot))} times as much as if nothing opened below the root, in the whole sum too. The ε stated is against whoever sees a region’s sum.`,
        'Write "opening": "root" for less noise, if no region needs a sum of its own.',
      ),
    );
  return findings;
}
