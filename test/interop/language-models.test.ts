// Our transformers and adapters beside Hugging Face's: tiny random models that transformers makes give the same logits
// here, an adapter that PEFT wrote works here, and one written here works in PEFT. Needs the virtual environment `.venv-lm`
// at the repository root (.ci/run makes it); skipped with its reason without. Design 7, "Interop".

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tidy } from '@tensorflow/tfjs-core';
import { adapterOnDevice } from '../../app/training/language/adapter.ts';
import type { AdapterOnDevice } from '../../app/training/language/adapter.ts';
import { classPass } from '../../app/training/language/loss.ts';
import { forwardPass, loadLanguageModel, logitsOf } from '../../app/training/language/model.ts';
import type { LanguageModel } from '../../app/training/language/model.ts';
import { openAdapter, writeAdapter } from '../../main/host/checkpoint/adapter-folder.ts';
import { openCheckpoint } from '../../main/host/checkpoint/checkpoint-folder.ts';
import { chooseBackend } from '../../main/trainer/candidates.ts';
import { wordTokenizer } from '../main/checkpoint/word-tokenizer.ts';

const pinned = { torch: '2.15.0', transformers: '5.24.0', peft: '0.21.2' };
const python = ['../../.venv-lm/bin/python', '../../.venv-lm/Scripts/python.exe']
  .map((name) => fileURLToPath(new URL(name, import.meta.url)))
  .find((name) => existsSync(name));

function whyNot(): false | string {
  if (python === undefined) return 'there is no .venv-lm at the repository root';
  const names = Object.keys(pinned);
  const ask = `from importlib.metadata import version; print(*[version(n) for n in ${JSON.stringify(names)}])`;
  const { status, stdout } = spawnSync(python, ['-c', ask], { encoding: 'utf8' });
  if (status !== 0) return `.venv-lm lacks one of ${names.join(', ')}`;
  const found = stdout.trim().split(' ');
  const other = names.find((name, i) => found[i]!.split('+')[0] !== pinned[name as keyof typeof pinned]);
  return other === undefined ? false : `.venv-lm has ${found.join(', ')}, not ${Object.values(pinned).join(', ')}`;
}

type Expected = {
  readonly ids: number[][];
  readonly models: { readonly [name: string]: { readonly plain: number[]; readonly adapted: number[] } };
};

const script = fileURLToPath(new URL('language_models.py', import.meta.url));
function runPython(action: string, folder: string): string {
  const { status, stdout, stderr } = spawnSync(python!, [script, action, folder], {
    encoding: 'utf8',
    env: { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: '1' },
  });
  assert.equal(status, 0, stderr.slice(-3000));
  return stdout;
}

function near(found: ArrayLike<number>, expected: readonly number[], what: string): void {
  assert.equal(found.length, expected.length, what);
  const scale = Math.max(1, ...expected.map(Math.abs));
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(found[i]! - value) <= 1e-4 * scale, `${what}, number ${i}: ${found[i]} for ${value}`);
}

function outputsOf(model: LanguageModel, ids: number[][], adapter: AdapterOnDevice | null, classes: boolean) {
  const [sequences, length] = [ids.length, ids[0]!.length];
  const real = new Int32Array(sequences).fill(length);
  const batch = { sequences, length, ids: Int32Array.from(ids.flat()), real };
  const output = tidy(() => {
    const { hidden } = forwardPass(model, batch, { adapter });
    return classes ? classPass(model, batch, hidden, adapter!.head!).scores : logitsOf(model, hidden);
  });
  const values = output.dataSync();
  output.dispose();
  return values;
}

describe('language models beside transformers and PEFT', { skip: whyNot() }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'interop-'));
  let expected: Expected;
  after(() => rmSync(folder, { recursive: true, force: true }));
  before(async () => {
    runPython('make', folder);
    expected = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8')) as Expected;
    for (const name of Object.keys(expected.models))
      writeFileSync(path.join(folder, name, 'tokenizer.json'), JSON.stringify(wordTokenizer(32)));
    await chooseBackend();
  });

  test('logits are theirs, plain and with an adapter that PEFT wrote', async () => {
    for (const [name, { plain, adapted }] of Object.entries(expected.models)) {
      const classes = name.endsWith('-classes');
      const checkpoint = await openCheckpoint(path.join(folder, name));
      const model = await loadLanguageModel(checkpoint.configuration, checkpoint, { training: false });
      if (!classes) near(outputsOf(model, expected.ids, null, false), plain, `${name}, plain`);
      const opened = await openAdapter(path.join(folder, `${name}-peft`), checkpoint.configuration);
      const adapter = opened.onDevice();
      near(outputsOf(model, expected.ids, adapter, classes), adapted, `${name}, PEFT's adapter`);
      adapter.dispose();
      // Other numbers, so that what PEFT reads below can only come from our file.
      const changed = opened.parameters.map((value, i) => value * 0.7 + 0.05 * Math.sin(i));
      await writeAdapter(path.join(folder, `${name}-ours`), checkpoint.configuration, opened.layout, changed);
      const own = adapterOnDevice(opened.layout, changed, null);
      ours.set(name, [...outputsOf(model, expected.ids, own, classes)]);
      own.dispose();
      model.dispose();
      await checkpoint.close();
    }
  });
  const ours = new Map<string, number[]>();

  test('PEFT loads adapters written here, with the same logits', () => {
    const found = JSON.parse(runPython('check', folder)) as { readonly [name: string]: number[] };
    assert.equal(ours.size, Object.keys(expected.models).length);
    for (const [name, values] of ours) near(found[name]!, values, `${name} in PEFT`);
  });
});
