// Ten thousand federations in a faulty world, by the command that replays any of them: half in each of two processes.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { suite, test } from 'node:test';

const entry = path.resolve(import.meta.dirname, '../../../main/cli/index.ts');

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

suite('10,000 federations keep every promise', { concurrency: true }, () => {
  for (const seeds of ['1000..5999', '6000..10999'])
    test(seeds, async () => {
      const { code, text } = await simulate(seeds);
      assert.equal(code, 0, text.slice(-4000));
      assert.equal((JSON.parse(text) as { federations: number }).federations, 5000);
    });
});
