// Contracts and files for the trainer's tests: the heart studies with made-up patients. Deterministic; no real person.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Contract } from '../../../app/study/contract.ts';
import { encodeTable, requireAccepted } from '../../../app/training/records.ts';
import type { Records } from '../../../app/training/records.ts';
import { contractFromDraft } from './plain-federation.ts';

export async function studyContract(name: string): Promise<Contract> {
  return contractFromDraft(JSON.parse(await readFile(new URL(`../../studies/${name}.json`, import.meta.url), 'utf8')));
}

const header = 'age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,disease';

/** Made-up patients whose disease follows from age, pulse and ST depression, with some noise. */
export function patientTable(rows: number, seed = 1): string {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state / 0x8000_0000;
  };
  const whole = (least: number, most: number): number => least + Math.floor(next() * (most - least + 1));
  const lines = Array.from({ length: rows }, () => {
    const [age, pulse, depression] = [whole(30, 75), whole(80, 195), whole(0, 40) / 10];
    const score = (age - 52) / 20 + (140 - pulse) / 40 + (depression - 1.5) / 1.5 + next() - 0.5;
    const rest = [whole(0, 1), whole(1, 4), whole(100, 170), whole(150, 350), whole(0, 1), whole(0, 2)];
    return [age, ...rest, pulse, whole(0, 1), depression, score > 0 ? 1 : 0].join();
  });
  return [header, ...lines, ''].join('\n');
}

/** Made-up patients as the contract's table reads them. */
export const patientRecords = (contract: Contract, count: number): Records =>
  requireAccepted(
    encodeTable(
      contract.task.table,
      patientTable(count)
        .trim()
        .split('\n')
        .map((row, i) => ({ line: i + 1, cells: row.split(',') })),
    ),
  );

/** A folder for one test, removed after it. */
export async function folderFor(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'consilience-trainer-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function patientFile(folder: string, rows = 120, seed = 1): Promise<string> {
  const path = join(folder, `patients-${seed}.csv`);
  await writeFile(path, patientTable(rows, seed));
  return path;
}
