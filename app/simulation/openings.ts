// What an adversary can open from everything that was ever sent in a round: the coordinator, its colluders' shares and
// keys, and every share that honest institutions revealed, whatever lists they were shown. A group of honest vectors is
// opened when no mask in their sum stays unknown. Bonawitz et al. (CCS 2017), section 6; design 3, "Parameters".

export type RoundExposure = {
  /** By honest institution whose masked vector left: the peers that it masked against. */
  readonly masked: ReadonlyMap<number, readonly number[]>;
  /** By dealer on a sparse graph or in a region: who holds its shares, and how many of them open a secret; absent: all do, and t. */
  readonly dealt: ReadonlyMap<number, { readonly holders: readonly number[]; readonly threshold: number }>;
  /** Holders that revealed their share, by `${dealer}/${kind}`; kind 0: self-mask seed, 1: mask key. */
  readonly revealed: ReadonlyMap<string, ReadonlySet<number>>;
};

export type Adversary = {
  readonly colluders: ReadonlySet<number>;
  readonly threshold: number;
};

export const shareName = (dealer: number, kind: number): string => `${dealer}/${kind}`;

/** Whether the adversary has enough shares of that secret of `dealer`. */
export function isKnown(exposure: RoundExposure, adversary: Adversary, dealer: number, kind: 0 | 1): boolean {
  const dealt = exposure.dealt.get(dealer);
  const colluding = [...adversary.colluders].filter((index) => dealt?.holders.includes(index) ?? true);
  const holders = new Set([...colluding, ...(exposure.revealed.get(shareName(dealer, kind)) ?? [])]);
  return adversary.colluders.has(dealer) || holders.size >= (dealt?.threshold ?? adversary.threshold);
}

/** Every group of honest institutions whose sum the adversary can open and that holds no smaller such group. */
export function openedGroups(exposure: RoundExposure, adversary: Adversary): readonly (readonly number[])[] {
  const groups = new Map<string, readonly number[]>();
  for (const index of exposure.masked.keys()) {
    const group = closedGroup(exposure, adversary, index);
    if (group !== null) groups.set(group.join(), group);
  }
  return [...groups.values()];
}

/** The institutions whose vectors have to be added to that of `first` for every unknown mask to cancel; null: in vain. */
function closedGroup(exposure: RoundExposure, adversary: Adversary, first: number): readonly number[] | null {
  const group = new Set([first]);
  for (const member of group) {
    if (!isKnown(exposure, adversary, member, 0)) return null;
    for (const peer of exposure.masked.get(member)!) {
      if (isKnown(exposure, adversary, peer, 1) || isKnown(exposure, adversary, member, 1)) continue;
      // The mask between the two cancels only in a sum with a peer that put it into its own vector.
      if (exposure.masked.get(peer)?.includes(member) !== true) return null;
      group.add(peer);
    }
  }
  return [...group].sort((left, right) => left - right);
}
