// Records with persons for tests of lineages and exclusion: one row per visit, patients by number.

import type { Contract } from '../../../../app/study/contract.ts';

/** Protects persons; the column "patient" names them. */
export const protectingPersons = (contract: Contract): Contract => ({
  ...contract,
  task: { ...contract.task, table: { ...contract.task.table, personColumn: 'patient' } },
  training: { ...contract.training, unit: 'person', person: { rowCap: 3, combine: 'mean' } },
});

/** One row for each of the patients, whose values follow the number and `seed`. */
export function visits(patients: readonly string[], seed = 1): string {
  const lines = ['patient,x0,x1,x2,x3,y'];
  for (const [row, patient] of patients.entries()) {
    const value = (column: number): string => Math.sin(seed * 97 + row * 13 + column * 7).toFixed(4);
    lines.push([patient, ...[0, 1, 2, 3].map(value), row % 2].join(','));
  }
  return `${lines.join('\n')}\n`;
}

export const numbered = (from: number, to: number, prefix = 'P-'): string[] =>
  Array.from({ length: to - from }, (_, at) => `${prefix}${from + at}`);
