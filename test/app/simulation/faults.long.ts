// Ten thousand federations in a faulty world, by the command that replays any of them: in parts of 500, two at a time.
// `CONSILIENCE_SEEDS=A..B` runs those seeds alone.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { suite, test } from 'node:test';

const entry = path.resolve(import.meta.dirname, '../../../main/cli/index.ts');
const part = 500;

const wanted = process.env['CONSILIENCE_SEEDS'] ?? '1000..10999';
const [, first, last] = /^(\d{1,9})\.\.(\d{1,9})$/.exec(wanted) ?? [];
if (first === undefined || Number(last) < Number(first))
  throw new RangeError(`CONSILIENCE_SEEDS takes A..B with A ≤ B; it was "${wanted}".`);
const parts: { readonly from: number; readonly to: number }[] = [];
for (let from = Number(first); from <= Number(last); from += part)
  parts.push({ from, to: Math.min(from + part - 1, Number(last)) });

function simulate(seeds: string): Promise<{ readonly code: number | null; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [entry, 'simulate', '--faults', '--seeds', seeds, '--json']);
    let text = '';
    child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString('utf8')));
    child.stderr.on('data', (bytes: Buffer) => (text += bytes.toString('utf8')));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, text }));
  });
}

suite(`federations ${wanted} keep every promise`, { concurrency: 2 }, () => {
  for (const { from, to } of parts)
    test(`${from}..${to}`, async () => {
      const { code, text } = await simulate(`${from}..${to}`);
      assert.equal(code, 0, text.slice(-4000));
      assert.equal((JSON.parse(text) as { federations: number }).federations, to - from + 1);
    });
});
