// The readable report of an export: Markdown whose every sentence links to the entry that it rests on. Text from other
// parties is escaped, so that it cannot become markup.

import { toHex } from '../encoding/bytes.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Entry, EntryBody } from './entry.ts';
import { describeActor, describeEntry } from './sentences.ts';

const escaped = (text: string): string => text.replaceAll(/[\\`*_{}[\]<>#|!&~]/g, (mark) => `\\${mark}`);
const link = (seq: number): string => `[entry ${seq}](ledger.jsonl#L${seq})`;
const links = (entries: readonly Entry[]): string => entries.map((entry) => link(entry.seq)).join(', ');
const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`;

/** @param contracts hashes of the contracts that lie in the bundle */
export const writeReport = (entries: readonly Entry[], checkpoint: Checkpoint, contracts: readonly string[]): string =>
  reportHead(entries, checkpoint, contracts) + entries.map(reportLine).join('');

/** All of the report but its last part, which says every entry by reportLine. */
export function reportHead(entries: readonly Entry[], checkpoint: Checkpoint, contracts: readonly string[]): string {
  const lines = [
    '# Privacy log: report',
    '',
    'This report only repeats in words what `ledger.jsonl` holds; the log is the evidence. It holds no record content.',
    'How to check it without our programs: `VERIFY.md`, or `verify.html` in a browser.',
    '',
    '## What was checked',
    '',
    `- ${count(entries.length, 'entry', 'entries')}; every one is linked to the one before it.`,
    `- A checkpoint of ${checkpoint.time} is signed over ${count(checkpoint.size, 'entry', 'entries')}; the last of them has the hash \`${checkpoint.last}\`.`,
    `- It was signed with the key \`${toHex(checkpoint.publicKey)}\`. Compare it with the identity code that the institution gave you on another way.`,
    ...(entries.length > checkpoint.size
      ? [`- Entries after number ${checkpoint.size} are linked, but no signature vouches for them yet.`]
      : []),
    '',
    '## Privacy charges',
    '',
    ...chargeTable(entries),
    '',
    '## Studies',
    '',
    ...studySection(entries, contracts),
    '',
    '## All entries',
    '',
  ];
  return `${lines.join('\n')}\n`;
}

/** One entry in words, with its line end. */
export const reportLine = (entry: Entry): string =>
  `- ${link(entry.seq)}, ${entry.time}, ${escaped(describeActor(entry.actor))}: ${escaped(describeEntry(entry))}\n`;

function chargeTable(entries: readonly Entry[]): string[] {
  const reserved = new Map<number, Entry>();
  const settledBy = new Map<number, number>();
  for (const entry of entries) {
    if (entry.kind === 'budget-reserved') reserved.set(entry.seq, entry);
    if (entry.kind !== 'budget-settled') continue;
    // A settlement counts only for an earlier reservation of its own study and round; else the worst case stays.
    const charge = reserved.get(entry.body.reservedSeq)?.body as EntryBody<'budget-reserved'> | undefined;
    if (charge?.study === entry.body.study && charge.round === entry.body.round)
      settledBy.set(entry.body.reservedSeq, entry.seq);
  }
  const rows: string[] = [];
  for (const entry of entries)
    if (entry.kind === 'budget-reserved') {
      const settled = settledBy.get(entry.seq);
      const state = settled === undefined ? 'worst case stays charged' : `settled by ${link(settled)}`;
      rows.push(
        `| ${link(entry.seq)} | ${escaped(entry.body.dataset)} | ${entry.body.study.slice(0, 12)} | ${entry.body.round} | ${state} |`,
      );
    }
  if (rows.length === 0) return ['Nothing was charged.'];
  return ['| charge | dataset | study | round | state |', '|---|---|---|---|---|', ...rows];
}

function studySection(entries: readonly Entry[], contracts: readonly string[]): string[] {
  const byStudy = new Map<string, Entry[]>();
  for (const entry of entries) {
    const study = 'study' in entry.body ? entry.body.study : undefined;
    if (typeof study !== 'string' || !/^[0-9a-f]{64}$/.test(study)) continue;
    const own = byStudy.get(study);
    if (own === undefined) byStudy.set(study, [entry]);
    else own.push(entry);
  }
  if (byStudy.size === 0) return ['No study is named in this log.'];
  return [...byStudy].flatMap(([study, own]) => {
    const of = (kind: Entry['kind']): Entry[] => own.filter((entry) => entry.kind === kind);
    const contract = contracts.includes(study)
      ? `Its contract is [contracts/${study}.json](contracts/${study}.json).`
      : 'Its contract is not in this bundle.';
    const said = (entriesOf: readonly Entry[], words: string): string[] =>
      entriesOf.length === 0 ? [] : [`- ${words}: ${links(entriesOf)}.`];
    return [
      `### Study ${study.slice(0, 12)}`,
      '',
      `Contract hash \`${study}\`. ${contract}`,
      '',
      ...said(of('consent-given'), 'Consent was given'),
      ...said(of('consent-withdrawn'), 'Consent was withdrawn'),
      ...said(of('consent-expired'), 'Consent expired'),
      ...said(of('budget-reserved'), 'Charges were reserved before release'),
      ...said(of('budget-settled'), 'Charges were settled'),
      ...said(of('round-closed'), 'Rounds were closed'),
      ...said(of('round-aborted'), 'Rounds were aborted'),
      '',
    ];
  });
}
