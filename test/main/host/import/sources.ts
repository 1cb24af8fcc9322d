// Reading whole table files in tests, and refusals that must hold none of the file.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { InputError } from '../../../../app/errors.ts';
import { plainMapping } from '../../../../app/training/mapping.ts';
import type { Mapping } from '../../../../app/training/mapping.ts';
import type { SourceRow } from '../../../../app/training/row-mapper.ts';
import { openTable } from '../../../../main/host/import/table-source.ts';
import type { SourceOptions } from '../../../../main/host/import/table-source.ts';

/** A folder that goes when the test file ends. */
export function testFolder(): { write(name: string, content: string | Uint8Array): string; readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'consilience-import-'));
  after(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    write(name, content) {
      writeFileSync(join(path, name), content);
      return join(path, name);
    },
  };
}

export type ReadSource = {
  readonly format: string;
  readonly said: string;
  readonly names: readonly string[];
  readonly rows: readonly SourceRow[];
};

export async function readSource(
  path: string,
  change: Partial<Omit<SourceOptions, 'source'>> & { readonly source?: Partial<Mapping['source']> } = {},
): Promise<ReadSource> {
  const source = { ...plainMapping.source, ...change.source };
  const opened = await openTable(path, { header: 'first-line', delimiter: ',', columns: [], ...change, source });
  try {
    const rows: SourceRow[] = [];
    for await (const row of opened.rows(null)) rows.push(row);
    return { format: opened.format, said: opened.said.join(' '), names: opened.names, rows };
  } finally {
    await opened.close();
  }
}

export function refuses(code: string, pattern: RegExp = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof InputError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /canary/i);
    return true;
  };
}
