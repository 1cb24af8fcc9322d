// Plausible hospital records for the demonstration: made up from a public seed, with a signal that a model can find and
// hospitals that differ as real ones do (age mix, referral, how often a value is missing). Nobody is behind a row.

import { requireInteger } from '../errors.ts';
import type { Random } from '../ports.ts';

export type SyntheticHospital = {
  /** Header and rows, comma-separated, "\n" at each end. */
  readonly train: string;
  readonly test: string;
  readonly trainRows: number;
};

export const syntheticColumns = [
  'patient',
  'age',
  'sex',
  'systolic',
  'cholesterol',
  'hba1c',
  'bmi',
  'smoker',
  'pain',
  'heart_rate',
  'st_depression',
  'event',
] as const;

/** Uniform in [0, 1) and normal variates from a byte stream; for made-up records only. */
function variates(random: Random) {
  const uniform = (): number => {
    const bytes = random.bytes(6);
    return bytes.reduce((value, byte) => value * 256 + byte, 0) / 2 ** 48;
  };
  const normal = (mean: number, deviation: number): number =>
    mean + deviation * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

/** One hospital's rows; `site` shifts the mix, so that no two hospitals are alike. */
export function syntheticHospital(
  random: Random,
  site: number,
  rows: { readonly train: number; readonly test: number },
): SyntheticHospital {
  requireInteger('site', site, 0);
  requireInteger('rows.train', rows.train, 1);
  requireInteger('rows.test', rows.test, 1);
  const { uniform, normal } = variates(random);
  const shift = ((site * 7) % 5) - 2;
  const line = (patient: number): string => {
    const age = Math.round(clamp(normal(58 + 2 * shift, 11), 20, 95));
    const male = uniform() < 0.56 + 0.03 * shift;
    const systolic = Math.round(clamp(normal(118 + 0.35 * age, 16), 80, 220));
    const cholesterol = Math.round(clamp(normal(215 + 4 * shift, 42), 100, 450));
    const hba1c = clamp(normal(5.7 + 0.008 * age, 0.8), 4, 13);
    const bmi = clamp(normal(27.5, 4.4), 15, 50);
    const smoker = uniform() < 0.27 - 0.02 * shift;
    const pain = ['none', 'atypical', 'typical'][Math.floor(uniform() ** 1.2 * 3)]!;
    const heartRate = Math.round(clamp(normal(205 - 0.95 * age, 19), 60, 210));
    const depression = clamp(normal(0.9, 1), 0, 6);
    const risk =
      -0.9 +
      0.055 * (age - 58) +
      0.7 * (male ? 1 : 0) +
      0.018 * (systolic - 138) +
      0.006 * (cholesterol - 215) +
      0.5 * (hba1c - 6.1) +
      0.03 * (bmi - 27.5) +
      0.8 * (smoker ? 1 : 0) +
      (pain === 'typical' ? 1.5 : pain === 'atypical' ? 0.4 : 0) -
      0.03 * (heartRate - 150) +
      0.6 * depression;
    const event = uniform() < 1 / (1 + Math.exp(-1.6 * risk));
    const cells = [
      `${site + 1}-${patient}`,
      age,
      male ? 'm' : 'f',
      systolic,
      uniform() < 0.02 + 0.01 * Math.abs(shift) ? '' : cholesterol,
      hba1c.toFixed(1),
      bmi.toFixed(1),
      smoker ? 1 : 0,
      pain,
      heartRate,
      depression.toFixed(1),
      event ? 1 : 0,
    ];
    return `${cells.join(',')}\n`;
  };
  const file = (first: number, count: number): string =>
    `${syntheticColumns.join(',')}\n${Array.from({ length: count }, (_, row) => line(first + row)).join('')}`;
  return { train: file(1, rows.train), test: file(1 + rows.train, rows.test), trainRows: rows.train };
}
