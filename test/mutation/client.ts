// npm run test:mutate-client: takes each check of the client away, one at a time, and runs the tests until one fails. A
// check whose absence no test notices is a survivor, and the run fails with its place. Two at a time; the product's files
// are not touched (test/mutation/one-change.ts).

import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { variable } from './one-change.ts';
import type { Replacement } from './one-change.ts';

/** `source`: the whole file as it was when the run began, so that nobody's edits get in between. */
type Change = {
  readonly file: string;
  readonly source: string;
  readonly at: number;
  readonly from: string;
  readonly to: string;
};

const root = path.resolve(import.meta.dirname, '../..');
const atOnce = 2;
const longestMs = 120_000;

/** Files whose refusals are the client's; what is taken out of each. */
const refusals = /\bthrow (?=(?:refuse|new RefusalError|new EquivocationError|new InputError)\()/g;
const reasons = /\breturn (?=\{\s*code: ')/g;
const faults = /\bfault = (?='[a-z-]+')/g;
const falsehoods = /\breturn false;/g;
const whole = (file: string, pattern: RegExp, to: string): Change[] => {
  const source = readFileSync(path.join(root, file), 'utf8');
  return [...source.matchAll(pattern)].map((match) => ({ file, source, at: match.index, from: match[0], to }));
};
const single = (file: string, from: string, to: string): Change => {
  const source = readFileSync(path.join(root, file), 'utf8');
  const at = source.indexOf(from);
  if (at < 0) throw new Error(`${file} no longer holds: ${from}`);
  return { file, source, at, from, to };
};

function changes(): Change[] {
  return [
    ...['checks', 'participant', 'result', 'catch-up', 'engine', 'complaints'].flatMap((name) =>
      whole(`app/round/${name}.ts`, refusals, 'void '),
    ),
    ...whole('app/round/study-ledger.ts', reasons, 'void '),
    ...whole('app/encoding/signature.ts', falsehoods, 'void 0;'),
    single('app/encoding/signature.ts', '!isStrictEd25519Key(publicKey) || ', ''),
    single('app/encoding/signature.ts', ' || !isStrictSignature(signature)', ''),
    single('app/encoding/signature.ts', 'return !smallOrderKeys.some(', 'return true || smallOrderKeys.some('),
    single(
      'app/encoding/signature.ts',
      'return compareBytes(reversed(withoutTopBit(signature',
      'return true || compareBytes(reversed(withoutTopBit(signature',
    ),
    single(
      'app/encoding/signature.ts',
      'return !smallOrderX25519Keys.some(',
      'return true || smallOrderX25519Keys.some(',
    ),
    ...whole('app/sealed-sum/boxes.ts', faults, 'void '),
    ...whole(
      'app/sealed-sum/boxes.ts',
      /\breturn (?=\{ opened: false, fault: '(?:ephemeral-key|length|does-not-open)')/g,
      'void ',
    ),
  ];
}

/** Those that catch most come first; a run ends at the first that fails. */
function testFiles(): string[] {
  const first = ['client-refuses', 'complaints', 'returning'].map((name) => `test/app/round/attacks/${name}.test.ts`);
  const others = globSync(
    ['test/app/round/**/*.test.ts', 'test/app/encoding/signature.test.ts', 'test/app/sealed-sum/boxes.test.ts'],
    { cwd: root },
  )
    .filter((file) => !first.includes(file) && !/crash|round\.test/.test(file))
    .sort();
  return [...first, ...others, ...globSync(['test/app/round/**/*crash*.test.ts'], { cwd: root })];
}

function passes(replacement: Replacement | null, file: string): Promise<boolean> {
  const args = ['--import', path.join(root, 'test/mutation/one-change.ts'), file];
  const env = replacement === null ? process.env : { ...process.env, [variable]: JSON.stringify(replacement) };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env,
      stdio: 'ignore',
      timeout: longestMs,
      killSignal: 'SIGKILL',
    });
    child.on('close', (code) => resolve(code === 0));
  });
}

/** @returns the first test file that fails with the change; null where none does. */
async function noticedBy(
  { file, source, at, from, to }: Change,
  folder: string,
  files: readonly string[],
): Promise<string | null> {
  const instead = path.join(folder, `${path.basename(file, '.ts')}-${at}.ts`);
  writeFileSync(instead, source.slice(0, at) + to + source.slice(at + from.length));
  for (const test of files) if (!(await passes({ file, instead }, test))) return test;
  return null;
}

const place = ({ file, source, at }: Change): string => {
  const line = source.slice(0, at).split('\n').length;
  const excerpt = source.slice(at, at + 100).replaceAll(/\s+/g, ' ');
  return `${file}:${line}  ${excerpt}`;
};

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  const waiting = changes().filter(({ file }) => wanted.length === 0 || wanted.some((part) => file.includes(part)));
  const total = waiting.length;
  const files = testFiles();
  for (const file of files)
    if (!(await passes(null, file))) throw new Error(`${file} fails without any change; mend that first.`);
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-mutation-'));
  let survivors = 0;
  const worker = async (): Promise<void> => {
    for (let change = waiting.shift(); change !== undefined; change = waiting.shift()) {
      const noticed = await noticedBy(change, folder, files);
      if (noticed === null) survivors++;
      const verdict = noticed === null ? 'SURVIVES' : `noticed by ${path.basename(noticed, '.test.ts')}`;
      console.log(`${verdict}: ${place(change)}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: atOnce }, worker));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`${total} checks taken away one at a time; ${total - survivors} noticed, ${survivors} survive.`);
  if (survivors > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
