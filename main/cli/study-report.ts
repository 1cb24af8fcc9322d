// The contract check in words: what the study costs at worst and to whom, what it withstands, what is wrong and how to
// mend it. Every ε stands beside its δ, unit and adjacency (design 1, "Screens").

import type { Review } from '../../app/review/check.ts';
import type { Nearest } from '../../app/review/nearest.ts';
import { shown } from '../../app/review/finding.ts';
import type { ScheduleFigures } from '../../app/review/schedule-figures.ts';
import { baseParameterCount } from '../../app/training/language/modules.ts';
import { isLanguageTask } from '../../app/training/types.ts';
import type { TrainingTask } from '../../app/training/types.ts';

/** @param schedule what every accountant says of the whole schedule, where it is to be shown. */
export function reviewText({ outcome, findings, figures }: Review, schedule: ScheduleFigures | null = null): string {
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
      ...(schedule === null ? [] : besideRdp(schedule)),
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

/** The same as facts; null for tables. */
export function checkpointSource(task: TrainingTask): { readonly hash: string; readonly source: string | null } | null {
  if (!isLanguageTask(task)) return null;
  const { hash, source = null } = task.model.checkpoint;
  return { hash, source };
}

/** What an institution has to bring beside its records; nothing for tables. */
export function checkpointText(task: TrainingTask): string[] {
  if (!isLanguageTask(task)) return [];
  const { hash, configuration, source } = task.model.checkpoint;
  return [
    `Every institution brings the ${configuration.family} checkpoint of ${baseParameterCount(configuration)} numbers whose hash is ${hash}.`,
    source === undefined ? 'The terms do not say where to get it.' : `The lead says where to get it: "${source}".`,
  ];
}

/** The other accountants on the same fixed schedule; the exact one first. */
function besideRdp({ attempts, by }: ScheduleFigures): string[] {
  const { pld, gdp, zcdp } = by;
  const others = [gdp, zcdp].flatMap((one, at) =>
    one.epsilon === null ? [] : [`, by ${['GDP', 'zCDP'][at]!} ${shown(one.epsilon)}`],
  );
  if (pld.epsilon === null) return [`  no PLD beside it: ${pld.why.sentence}`];
  return [
    `  by PLD, this fixed schedule of ${attempts} charged attempts costs ${shown(pld.epsilon)}${others.join('')}; ceilings and consents count RDP, which also composes what is chosen later`,
  ];
}

/** What would have to change so that the terms pass; '' where they do already. */
export function nearestText({ outcome }: Review, nearest: Nearest | null): string {
  if (outcome !== 'refuse') return '';
  if (nearest === null)
    return 'No change of what follows by computation alone would make it pass; mend what is named above.\n';
  const lines = nearest.changes.map(({ where, from, to }) => `  ${where}: ${briefly(from)} → ${briefly(to)}`);
  const e = nearest.review.figures;
  const costs =
    e.epsilon.coordinator === null ? 'without an ε' : `at ε = ${shown(e.epsilon.coordinator)}, δ = ${e.delta}`;
  return `${[`The nearest terms that would pass, ${costs}:`, ...lines].join('\n')}\n`;
}

function briefly(value: unknown): string {
  const text = JSON.stringify(value ?? null);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function orNone(value: number | null): string {
  if (value === null) return 'none';
  return Number.isSafeInteger(value) ? String(value) : shown(value);
}
