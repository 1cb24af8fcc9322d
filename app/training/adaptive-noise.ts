// When the noise falls by a level: after sums that, as released, were little more than noise for some rounds in a row. It
// reads released numbers only, so the choice is post-processing; what it costs is charged by the filter (design 4).

export type NoiseRule = { readonly levels: number; readonly quietBelow: number; readonly patience: number };

/** Plain data; in every log and hash it stands as it is. */
export type NoiseState = {
  /** How often the noise has fallen. */
  readonly level: number;
  /** Quiet sums in a row. */
  readonly quiet: number;
};

export const firstNoise: NoiseState = Object.freeze({ level: 0, quiet: 0 });

/**
 * @param energy squared length of the released average
 * @param noiseEnergy what the noise alone is expected to have of it, by public numbers; > 0
 */
export function nextNoise(state: NoiseState, energy: number, noiseEnergy: number, rule: NoiseRule): NoiseState {
  if (!(noiseEnergy > 0)) throw new RangeError('noiseEnergy must be a number > 0');
  if (!(energy - noiseEnergy <= rule.quietBelow * noiseEnergy)) return { level: state.level, quiet: 0 };
  const quiet = state.quiet + 1;
  if (quiet < rule.patience || state.level >= rule.levels) return { level: state.level, quiet };
  return { level: state.level + 1, quiet: 0 };
}
