// What a seed stands for: the size of a federation, who lies, how bad network, disks, power and clocks are, and for how
// long. After that time everything works, and no way takes longer than the contract's stages allow for: what has to end
// must end.

import type { Contract } from '../study/contract.ts';
import type { CoordinatorTerms, KeyLoss } from './simulated-coordinator.ts';
import type { Draws } from './draws.ts';
import type { InstitutionTerms } from './simulated-institution.ts';
import type { NetworkTerms } from './simulated-network.ts';

export const themes = [
  'network',
  'crashes',
  'disks',
  'absences',
  'lying-institutions',
  'lying-coordinator',
  'everything',
] as const;
export type Theme = (typeof themes)[number];

export type FaultPlan = {
  readonly theme: Theme;
  readonly institutions: number;
  /** Colluders and losses that a sparse graph withstands; null: the graph is complete. */
  readonly sparse: { readonly colluders: number; readonly losses: number } | null;
  readonly rounds: number;
  /** Roster positions of liars; with a lying coordinator, of its colluders. At most c. */
  readonly liars: readonly number[];
  readonly lyingCoordinator: boolean;
  readonly network: NetworkTerms;
  readonly coordinator: CoordinatorTerms;
  readonly institution: InstitutionTerms;
  /** Kills from outside, at moments of their own: roster position, or null for the coordinator. */
  readonly kills: readonly { readonly at: number; readonly whom: number | null; readonly whole: boolean }[];
  /** Milliseconds after the start from which on nothing fails any more. */
  readonly calmFrom: number;
  readonly pollMs: number;
  readonly stageSeconds: number;
  /** Bits in which the ring's words travel; null: 32, unpacked. */
  readonly packedBits: number | null;
  /** Part of the parameters that travels in a round; null: all. */
  readonly subset: number | null;
  /** Turns and pace of the contract; absent: everybody, always, and the whole time. */
  readonly schedule?: Pick<Contract['schedule'], 'selection' | 'pace'>;
};

/** Ways between an institution and the coordinator that one stage takes at worst: status, lists, boxes or sums, messages. */
const waysOfStage = 16;

/** @param limitsOf of a roster of that size: most colluders (c), most losses with which a round still ends (D). */
export function faultPlan(
  draws: Draws,
  theme: Theme,
  limitsOf: (institutions: number) => { readonly colluders: number; readonly losses: number },
  /** Whether the graph is sparse; null: sometimes, where there are enough institutions for it. */
  wanted: boolean | null = null,
): FaultPlan {
  const all = theme === 'everything';
  const lyingInstitutions = theme === 'lying-institutions' || (all && draws.chance(0.5));
  const lyingCoordinator = theme === 'lying-coordinator';
  // Small ones mostly: a round costs n² boxes, and most of what can go wrong needs no more than four.
  const large = draws.chance(0.04) || wanted === true;
  const institutions = large ? 7 : draws.pick(lyingInstitutions || lyingCoordinator ? [4, 4, 4, 5] : [3, 3, 4]);
  const sparse = large && (wanted ?? draws.chance(0.5)) ? { colluders: 1, losses: 1 } : null;
  const { colluders, losses } = sparse ?? limitsOf(institutions);
  const indices = Array.from({ length: institutions }, (_, index) => index);
  const liars: number[] = [];
  const lying = lyingInstitutions ? draws.whole(1, Math.min(colluders, losses)) : lyingCoordinator ? colluders : 0;
  while (liars.length < lying) {
    const index = draws.pick(indices);
    if (!liars.includes(index)) liars.push(index);
  }
  const stageSeconds = draws.whole(8, 40);
  const calmFrom = 1000 * draws.whole(60, 400);
  const bad = (theme_: Theme, value: number, little = 0): number =>
    theme === theme_ || all ? draws.between(0, value) : little;
  const partitions = Array.from({ length: theme === 'network' || all ? draws.whole(0, 4) : 0 }, () => {
    const from = draws.between(0, calmFrom);
    return { from, to: from + draws.between(1000, 90_000), cut: draws.some(indices, 0.4) };
  });
  const crashes = theme === 'crashes' || theme === 'absences' || all;
  const kills = Array.from({ length: crashes ? draws.whole(0, 12) : 0 }, () => ({
    at: draws.between(0, calmFrom),
    whom: draws.chance(0.25) ? null : draws.pick(indices),
    whole: theme === 'absences' && draws.chance(0.7),
  }));
  const plan = {
    theme,
    institutions,
    sparse,
    rounds: draws.chance(0.15) ? 3 : 2,
    liars: liars.sort((left, right) => left - right),
    lyingCoordinator,
    network: {
      delay: [1, theme === 'network' || all ? draws.whole(50, 4000) : 60],
      loss: bad('network', 0.25, 0.005),
      duplication: bad('network', 0.4, 0.05),
      partitions,
    },
    coordinator: {
      crash: lyingCoordinator ? 0 : bad('crashes', 0.08),
      downtime: [100, draws.whole(500, 30_000)],
      clockJump: crashes ? 0.3 : 0,
      clockJumpMs: draws.whole(1000, 120_000),
    },
    institution: {
      crash: Math.max(bad('crashes', 0.04), bad('disks', 0.06)),
      full: bad('disks', 0.1),
      downtime: [50, draws.whole(200, 6000)],
      longAbsence: theme === 'absences' ? 0.5 : all ? 0.1 : 0,
      absence: [20_000, draws.whole(60_000, 300_000)],
      forgetfulDisk: false,
      garbage: all ? 0.03 : 0,
    },
    kills,
    calmFrom,
    pollMs: draws.whole(300, 2500),
    stageSeconds,
    packedBits: draws.chance(0.3) ? draws.whole(20, 31) : null,
    subset: draws.chance(0.2) ? 0.6 : null,
  } satisfies FaultPlan;
  const calmDelay = Math.floor((1000 * stageSeconds - 2 * plan.pollMs) / waysOfStage);
  return { ...plan, network: { ...plan.network, calmDelay } };
}

/** From draws of their own, so that the rest of a seed stays what it was. @param wanted null: one federation in eight. */
export function keyLossOf(draws: Draws, plan: FaultPlan, wanted: KeyLoss | boolean | null): KeyLoss | null {
  if (wanted !== null && typeof wanted !== 'boolean') return wanted;
  if (!(wanted ?? draws.chance(0.125))) return null;
  return {
    afterEvents: draws.whole(plan.institutions, 18 * plan.institutions),
    afterMs: draws.between(0, 3000),
    // Often so short that requests which were on their way to the old one reach the new.
    downMs: draws.chance(0.6) ? draws.whole(0, 20) : draws.whole(100, 30_000),
    spare: draws.whole(0, 3),
  };
}
