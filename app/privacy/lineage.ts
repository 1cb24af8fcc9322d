// Which imports share one allowance. A lineage is a chain of versions under one or more dataset names; an import that
// shares persons with several joins them for good. Rebuilt from the ledger's entries `dataset-imported`; ids are random
// and say nothing. Design 4, "The budget follows the person, not the file".

/** What one ledger entry says of lineages. */
export type ImportedVersion = {
  readonly dataset: string;
  /** Null in entries older than lineages: the declared name alone is then the lineage. */
  readonly lineage: string | null;
  /** Lineages that were found to be the same persons and are part of `lineage` from here on. */
  readonly merged: readonly string[];
  /** Whether a column names the person of each row. */
  readonly persons: boolean;
};

export type Lineage = {
  readonly id: string;
  /** Every name under which a version was imported, the oldest first. */
  readonly datasets: readonly string[];
  /** Whether any version names persons; the canonical unit is then the person. */
  readonly persons: boolean;
};

/** In the order of the first version. */
export function lineagesOf(versions: Iterable<ImportedVersion>): readonly Lineage[] {
  const found = new Map<string, { id: string; datasets: Set<string>; persons: boolean }>();
  for (const { dataset, lineage, merged, persons } of versions) {
    const byName = [...found.values()].find((one) => one.datasets.has(dataset));
    const id = lineage ?? byName?.id ?? `name:${dataset}`;
    const parts = [...found.values()].filter((one) => one === byName || one.id === id || merged.includes(one.id));
    const joined = { id, datasets: new Set(parts.flatMap((one) => [...one.datasets])), persons };
    joined.datasets.add(dataset);
    joined.persons ||= parts.some((one) => one.persons);
    const place = parts[0]?.id ?? id;
    // A Map keeps the place of a key, so the joined lineage stands where its oldest part stood.
    const order = [...found.entries()].map(([key, one]) =>
      key === place ? ([id, joined] as const) : ([key, one] as const),
    );
    if (parts.length === 0) order.push([id, joined]);
    found.clear();
    for (const [key, one] of order) if (one === joined || !parts.includes(one)) found.set(key, one);
  }
  return [...found.values()].map(({ id, datasets, persons }) => ({ id, datasets: [...datasets], persons }));
}

export type Placement = Lineage & {
  /** Other lineages that become part of this one. */
  readonly merged: readonly string[];
  /** Whether an earlier import is in it. */
  readonly inherits: boolean;
};

/**
 * Where a new version belongs: with everything that it shares persons, rows, bytes or its declared name with.
 * @param version `touches`: ids of lineages that share persons or rows with it; `sameBytes`: datasets of the same file
 * @param fresh id for a lineage that begins with it
 */
export function placeVersion(
  lineages: readonly Lineage[],
  version: {
    readonly dataset: string;
    readonly persons: boolean;
    readonly touches: ReadonlySet<string>;
    readonly sameBytes: ReadonlySet<string>;
  },
  fresh: string,
): Placement {
  const { dataset, touches, sameBytes } = version;
  const parts = lineages.filter(
    (one) => touches.has(one.id) || one.datasets.some((name) => name === dataset || sameBytes.has(name)),
  );
  // Prints may be on disk of an import that never reached the ledger: then it begins, or joins, with their id.
  const unknown = [...touches].filter((id) => !parts.some((one) => one.id === id));
  const [id = fresh, ...merged] = [...parts.map((one) => one.id), ...unknown];
  const datasets = new Set(parts.flatMap((one) => one.datasets)).add(dataset);
  return {
    id,
    merged,
    datasets: [...datasets],
    persons: version.persons || parts.some((one) => one.persons),
    inherits: parts.length > 0,
  };
}
