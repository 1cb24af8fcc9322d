// npm run test:mutate-client: takes each check of the client away, one at a time, and runs the tests until one fails. A
// check whose absence no test notices is a survivor, and the run fails with its place. Two at a time; the product's files
// are not touched (test/mutation/one-change.ts).

import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { noticedBy, passes, readSource, root, single } from './planted.ts';
import type { Change } from './planted.ts';

const atOnce = 2;

/** Files whose refusals are the client's; what is taken out of each. */
const refusals = /\bthrow (?=(?:refuse|new RefusalError|new EquivocationError|new InputError)\()/g;
const reasons = /\breturn (?=\{\s*code: ')/g;
const faults = /\bfault = (?='[a-z-]+')/g;
const falsehoods = /\breturn false;/g;
const whole = (file: string, pattern: RegExp, to: string): Change[] => {
  const source = readSource(file);
  return [...source.matchAll(pattern)].map((match) => ({ file, source, at: match.index, from: match[0], to }));
};

function changes(): Change[] {
  return [
    ...['checks', 'graph', 'participant', 'result', 'catch-up', 'engine', 'engine-step', 'complaints'].flatMap((name) =>
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
