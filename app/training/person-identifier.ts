// One spelling for one person. Files write the same identifier in many ways; what differs only in width, case, blanks,
// dashes, leading zeros or a spreadsheet's ".0" is the same person here: in units, lineages and the exclusion list alike.

/** Two persons taken for one cost a little data; one person taken for two would cost privacy. Never empty. */
export function normalisedPerson(text: string): string {
  const plain = text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[\s\p{Cf}\p{Pd}_]/gu, '');
  const whole = /^\d+(?=\.0+$)/.exec(plain)?.[0] ?? plain;
  const shortened = whole.replace(/^0+(?=[\p{L}\p{N}])/u, '');
  // What consists of separators alone is told apart as it stands.
  return shortened === '' ? text.trim() : shortened;
}
