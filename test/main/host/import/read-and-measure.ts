// Child process: reads one table file whole and prints how it ended and the most memory that it held.

import { existsSync, readFileSync, writeSync } from 'node:fs';
import { ConsilienceError } from '../../../../app/errors.ts';
import { plainMapping } from '../../../../app/training/mapping.ts';
import { openTable } from '../../../../main/host/import/table-source.ts';

let code = 'none';
let rows = 0;
try {
  const { source } = plainMapping;
  const table = await openTable(process.argv[2]!, { source, header: 'first-line', delimiter: ',', columns: [] });
  try {
    for await (const _ of table.rows(null)) rows++;
  } finally {
    await table.close();
  }
} catch (error) {
  if (!(error instanceof ConsilienceError)) throw error;
  code = error.code;
}
// Linux counts a parent's memory before exec into maxRSS, so its own high-water mark is read where there is one.
const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
const kibibytes = Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
const peakMebibytes = Math.round(kibibytes / 1024);
writeSync(1, JSON.stringify({ code, rows, peakMebibytes }));
