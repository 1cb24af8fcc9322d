// `consilience participant preview`: what a records file holds and how it fits a study, before any consent. It is for the
// steward's own screen: cells of the file are shown only where --rows asks for them. Issue 4, item 5.

import { readFile } from 'node:fs/promises';
import { InputError } from '../../app/errors.ts';
import { openSignedContract } from '../../app/study/signed-contract.ts';
import { mappingHash } from '../../app/training/mapping.ts';
import { writeFileAtomically } from '../host/disk/atomic-file.ts';
import { diskError } from '../host/disk/disk-error.ts';
import { readMappingFile } from '../host/import/mapping-file.ts';
import { previewTable } from '../host/import/preview.ts';
import type { Preview } from '../host/import/preview.ts';
import { nodeCipher } from '../host/machine.ts';
import { numberOption, requiredOption, stringOption } from './command.ts';
import type { Invocation } from './command.ts';

/** @returns 1 where a contract was given and the file does not fit it as it is. */
export async function preview({ options, json, out }: Invocation): Promise<0 | 1> {
  const path = requiredOption(options, 'data');
  const contractFile = stringOption(options, 'contract');
  const mappingFile = stringOption(options, 'mapping');
  const table =
    contractFile === undefined
      ? null
      : openSignedContract(nodeCipher, await contractText(contractFile)).contract.task.table;
  const mapping = mappingFile === undefined ? null : await readMappingFile(mappingFile);
  const firstRows = numberOption(options, 'rows', { least: 0, most: 1000, whole: true }) ?? 0;
  const seen = await previewTable({ path, table, mapping, firstRows });
  const save = stringOption(options, 'out');
  if (save !== undefined) {
    if (seen.proposal === null)
      throw new InputError('contract-missing', 'A mapping is proposed for a study: give --contract FILE.');
    await writeFileAtomically(save, `${JSON.stringify(seen.proposal.mapping, null, 2)}\n`, 0o644);
  }
  const hash = mapping === null ? null : mappingHash(nodeCipher, mapping);
  out(json ? `${JSON.stringify({ ...seen, mapping: hash })}\n` : `${sentences(seen, save).join('\n')}\n`);
  return table !== null && (seen.fit === null || seen.fit.refused > 0 || seen.fit.accepted === 0) ? 1 : 0;
}

async function contractText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw diskError(error, `The file ${path}`);
  }
}

function sentences(
  { said, rows, columns, firstRows, fit, refusal, proposal }: Preview,
  save: string | undefined,
): string[] {
  const width = Math.max(6, ...columns.map(({ column }) => Math.min(40, column.length)));
  const lines = [
    ...said,
    `${rows} rows.`,
    '',
    `${'column'.padEnd(width)}  seems to hold (cells missing)`,
    ...columns.map(
      ({ column, kind, missing }) => `${column.slice(0, 40).padEnd(width)}  ${kind ?? 'nothing'} (${missing})`,
    ),
  ];
  if (firstRows.length > 0)
    lines.push('', ...firstRows.map(({ line, cells }) => `line ${line}: ${cells.map(String).join(' | ')}`));
  if (refusal !== null) lines.push('', `The study cannot use the file as it is: ${refusal.message}`);
  if (fit !== null) {
    lines.push('', `The study accepts ${fit.accepted} rows, refuses ${fit.refused} and leaves out ${fit.dropped}.`);
    for (const { line, column, problem } of fit.problems.slice(0, 10))
      lines.push(`  line ${line}, column "${column}": ${problem}`);
    if (fit.problems.length > 10) lines.push('  and more');
    if (fit.columnsDropped.length > 0) lines.push(`Columns that it does not read: ${fit.columnsDropped.join(', ')}.`);
  }
  if (proposal !== null) {
    lines.push('', 'Proposed by the names of the columns; look at each one:');
    for (const { column, source, likeness } of proposal.columns)
      lines.push(
        source === null
          ? `  "${column}": no column is like it`
          : `  "${column}" from "${source}"${likeness === 1 ? '' : ` (likeness ${likeness.toFixed(2)})`}`,
      );
    if (proposal.mapping.decimalComma) lines.push('  numbers have a decimal comma');
    lines.push(
      save === undefined ? 'Save it with --out FILE, edit it, and give it with --mapping FILE.' : `Saved in ${save}.`,
    );
  }
  return lines;
}
