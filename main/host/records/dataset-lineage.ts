// The lineage of an import at one institution: what the ledger says of earlier ones, where a new one belongs, and which
// unit its allowance protects. Logic in app/privacy/lineage.ts, prints in register.ts. Design 4, "Units", "The ledger".

import { randomBytes } from 'node:crypto';
import { InvariantError, RefusalError } from '../../../app/errors.ts';
import { lineagesOf, placeVersion } from '../../../app/privacy/lineage.ts';
import type { ImportedVersion, Lineage, Placement } from '../../../app/privacy/lineage.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import type { PrivacyUnit } from '../../../app/units.ts';
import type { ImportedDataset } from '../participant/dataset.ts';
import type { Register } from './register.ts';

/** Every lineage that the ledger knows, the oldest first. */
export function knownLineages(entries: Iterable<EntryWithHash>): readonly Lineage[] {
  const versions: ImportedVersion[] = [];
  for (const { entry } of entries) {
    if (entry.kind !== 'dataset-imported') continue;
    const { dataset, lineage, merged, persons } = entry.body;
    if (typeof dataset !== 'string')
      throw new InvariantError('import-malformed', 'An import in the ledger names no dataset.');
    versions.push({
      dataset,
      lineage: typeof lineage === 'string' ? lineage : null,
      merged: Array.isArray(merged) ? merged.map(String) : [],
      persons: persons === true,
    });
  }
  return lineagesOf(versions);
}

/** Where an import belongs; nothing is written yet. */
export function placeImport(
  entries: Iterable<EntryWithHash>,
  register: Pick<Register, 'touching'>,
  dataset: Pick<ImportedDataset, 'name' | 'prints' | 'sameBytes'>,
): Placement {
  return placeVersion(
    knownLineages(entries),
    {
      dataset: dataset.name,
      persons: dataset.prints.persons !== null,
      touches: register.touching(dataset.prints),
      sameBytes: dataset.sameBytes,
    },
    randomBytes(32).toString('hex'),
  );
}

/**
 * One unit for all studies of a dataset: the person wherever a column names the person of a row.
 * @throws RefusalError `unit-finer-than-dataset`: rows of one person would be protected apart, by no enforced number.
 */
export function requireCanonicalUnit(placed: Placement, unit: PrivacyUnit, dataset: string): void {
  if (unit !== 'record' || !placed.persons) return;
  throw new RefusalError(
    'unit-finer-than-dataset',
    `The dataset "${dataset}" names the person of each row, so its allowance protects persons; this study protects each record alone, and somebody with many rows would cost more than it counts. Ask the lead for terms with the unit "person".`,
  );
}
