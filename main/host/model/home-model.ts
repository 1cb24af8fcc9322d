// The model of a study out of an institution's own home: the state pinned in the sealed store, the contract it agreed to,
// and an ε that holds for every institution of the roster, not for this one alone. The export is noted in the ledger.

import { fromUtf8, toHex } from '../../../app/encoding/bytes.ts';
import { InvariantError, RefusalError } from '../../../app/errors.ts';
import { privacyFigures } from '../../../app/review/privacy-figures.ts';
import { decodeModelChain } from '../../../app/round/model-chain.ts';
import type { StudyMemory } from '../../../app/round/participant-state.ts';
import { adjacencyOf } from '../../../app/study/consent.ts';
import type { Contract } from '../../../app/study/contract.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { nodeCipher } from '../machine.ts';
import type { ModelRun } from './run.ts';
import { openHome, readStudy, readTextIfThere, studyPaths } from '../participant/home.ts';
import type { OpenHome, StoredStudy } from '../participant/home.ts';
import { openSealedStore } from '../records/sealed-store.ts';

/**
 * Hands the run to `use` and, once that is done, notes the export in the ledger.
 * @param asked hash of the study's contract, or its first digits; null where there is only one.
 * @throws RefusalError `no-model-yet`, `in-use`, and those of openHome and readStudy; what `use` throws.
 */
export async function withHomeRun<Result>(
  home: string,
  asked: string | null,
  keys: KeySourceOptions,
  use: (run: ModelRun) => Promise<Result>,
): Promise<Result> {
  const stored = await readStudy(home, asked);
  const opened = await openHome(home, keys);
  try {
    const run = await runOf(home, stored, opened);
    const result = await use(run);
    const { contractHash: study, model, rounds } = run;
    await opened.ledger.append('export-made', { what: 'model', study, model, rounds });
    return result;
  } finally {
    await opened.close();
  }
}

/**
 * The released parameters as they stand here, to be looked at on this machine; no export, so nothing is noted.
 * @returns null before a round has closed. @throws RefusalError `in-use`, and those of openHome and readStudy.
 */
export async function jointModel(
  home: string,
  study: string,
  keys: KeySourceOptions,
): Promise<{ readonly parameters: Float32Array; readonly rounds: number } | null> {
  const agreed = await readTextIfThere(studyPaths(home, study).consent);
  if (agreed === null) return null;
  const stored = await readStudy(home, study);
  const opened = await openHome(home, keys);
  try {
    const { released, rounds } = await runOf(home, stored, opened);
    return { parameters: released, rounds };
  } catch (error) {
    if (error instanceof RefusalError && error.code === 'no-model-yet') return null;
    throw error;
  } finally {
    await opened.close();
  }
}

async function runOf(home: string, { contract, hash }: StoredStudy, opened: OpenHome): Promise<ModelRun> {
  const study = toHex(hash);
  const store = await openSealedStore({ folder: home, keystore: opened.keystore });
  try {
    const [state, noted] = [await store.read(`study/${study}/model`), await store.read(`study/${study}/memory`)];
    if (state === null || noted === null)
      throw new RefusalError(
        'no-model-yet',
        `No round of this study has closed in ${home}, so there is no model. Run: consilience participant run --home ${home}`,
      );
    const memory = JSON.parse(fromUtf8(noted)) as StudyMemory;
    const chain = decodeModelChain(nodeCipher, contract, state);
    if (chain.hash !== memory.model)
      throw new InvariantError('model-not-pinned', 'The stored model is not the one that was pinned.');
    const rounds = closedRounds(opened, study);
    return {
      contract,
      contractHash: study,
      released: chain.released,
      model: chain.hash,
      rounds,
      metrics: null,
      privacy: privacyOf(contract, spentNumbers(contract, memory, rounds)),
      seeded: false,
    };
  } finally {
    store.close();
  }
}

function closedRounds({ entries }: OpenHome, study: string): number {
  let closed = 0;
  for (const { entry } of entries) if (entry.kind === 'round-closed' && entry.body['study'] === study) closed++;
  return closed;
}

/**
 * Round numbers in which any institution may have been charged: every one up to the last that closed a finished study,
 * else up to the last that this institution signed for. This institution's own log may hold fewer.
 */
function spentNumbers({ schedule }: Contract, { last, signedRound }: StudyMemory, closed: number): number {
  const newest = closed >= schedule.rounds ? last.round : Math.max(last.round, signedRound);
  return Math.min(Math.max(newest, 1), schedule.attempts);
}

function privacyOf(contract: Contract, attempts: number): ModelRun['privacy'] {
  const { coordinator, outsiders } = privacyFigures({
    ...contract,
    schedule: { ...contract.schedule, attempts },
  }).epsilon;
  return {
    unit: contract.training.unit,
    adjacency: adjacencyOf(contract),
    delta: contract.privacy.delta,
    epsilon: { coordinator, outsiders },
    accountant: 'rdp',
    noiseMultiplier: contract.privacy.noiseMultiplier,
    noise: contract.privacy.noise,
  };
}
