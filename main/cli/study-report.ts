// The contract check in words: what the study costs at worst and to whom, what it withstands, what is wrong and how to
// mend it. Every ε stands beside its δ, unit and adjacency (design 1, "Screens").

import type { Review } from '../../app/review/check.ts';
import { shown } from '../../app/review/finding.ts';

export function reviewText({ outcome, findings, figures }: Review): string {
  const f = figures;
  const lines = [
    `Institutions ${f.institutions}, quorum ${f.threshold}, colluders assumed ${f.colluders} (at most ${f.mostColluders}); ${f.survivableLosses} may be lost in a round.`,
    `Vectors of ${f.dimension} numbers; sensitivity ${orNone(f.sensitivity)} steps, clamp ${orNone(f.clampBound)} steps, largest sum ${orNone(f.wrapBound)}.`,
  ];
  if (f.noise === 'none') lines.push('No noise: there is no ε, nothing bounds what the model and the sums show.');
  else {
    const e = f.epsilon;
    const unit = `per ${f.unit}${f.unit === 'institution' ? '' : ' at one institution'}, ${f.adjacency}`;
    const k = f.institutionsPerPerson > 1 ? `, in up to ${f.institutionsPerPerson} institutions` : '';
    lines.push(
      `Noise variance ${f.noiseVariance} in each share (needed: ${orNone(f.expectedNoiseVariance)}); noise multiplier at worst ${orNone(f.worstNoiseMultiplier)}.`,
      `Worst case over ${f.attempts} attempts: ε = ${orNone(e.coordinator)} at δ = ${f.delta} (${unit}${k}; accountant ${f.accountant}).`,
      `  against the coordinator with ${f.colluders} colluders ${orNone(e.coordinator)}, one participant ${orNone(e.oneParticipant)}, outsiders ${orNone(e.outsiders)}, if everyone else colludes ${orNone(e.everyoneElseColludes)}`,
    );
  }
  for (const { level, code, reason, repair } of findings)
    lines.push('', `${level === 'refuse' ? 'REFUSE' : 'Warning'} ${code}: ${reason}`, `  ${repair}`);
  const verdict = {
    pass: 'Pass: nothing to object.',
    warn: 'Pass with warnings: read them before agreeing.',
    refuse: 'Refuse: nobody may take part under these terms.',
  }[outcome];
  return `${[...lines, '', verdict].join('\n')}\n`;
}

function orNone(value: number | null): string {
  if (value === null) return 'none';
  return Number.isSafeInteger(value) ? String(value) : shown(value);
}
