// Rules about regional coordinators: that every institution has exactly one, what the loss of a relay costs, and what noise
// regions that open their own sums would need. Design 3, "Trees".

import { shareVariance } from '../sealed-sum/noise.ts';
import type { ContractDraft } from '../study/contract.ts';
import { noiseMultiplier as multiplier } from '../units.ts';
import { refusal, shown, warning } from './finding.ts';
import type { Finding } from './finding.ts';
import { sensitivityOf } from './round-event.ts';

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
  if (regions.opening === 'region') findings.push(openRefusal(contract));
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

/** Honest shares in the smallest region's sum, by the usual quorum of a region of its size: t_r − c. */
export function smallestRegionShares({ regions, sealing }: ContractDraft): number {
  const quorums = (regions?.relays ?? []).map(({ members }) => members.length - Math.floor(0.3 * members.length));
  return Math.min(...quorums) - sealing.colluders;
}

/** Variance that each institution's share needs where every region opens its own sum; null where no noise would do. */
export function regionVariance(contract: ContractDraft): number | null {
  const honest = smallestRegionShares(contract);
  const sensitivity = sensitivityOf(contract);
  const { noiseMultiplier } = contract.privacy;
  if (honest < 2 || sensitivity === null || noiseMultiplier === null) return null;
  return shareVariance({ noiseMultiplier: multiplier(noiseMultiplier), sensitivity, honestMinimum: honest });
}

function openRefusal(contract: ContractDraft): Finding {
  const needed = regionVariance(contract);
  const honest = smallestRegionShares(contract);
  const cost =
    needed === null
      ? `In its smallest region ${honest} honest institutions would be sure to be in a sum, which is too few to hide one.`
      : `Each institution would need noise of variance ${shown(needed)} (now ${shown(contract.sealing.noiseVariance)}), because only ${honest} honest institutions are sure to be in the smallest region’s sum.`;
  return refusal(
    'regions-open-not-supported',
    `Regions that open their own sums are not carried out by this version. ${cost}`,
    'Write "opening": "root": relays add, and nothing opens below the root.',
  );
}
