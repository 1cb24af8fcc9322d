// `coordinator archive` and `coordinator restore`: a study's history out of its store and into an empty one, whichever
// database either is.

import { dirname, join } from 'node:path';
import { toHex, utf8 } from '../../app/encoding/bytes.ts';
import { InputError } from '../../app/errors.ts';
import { coordinatorUnder } from '../../app/round/coordinator.ts';
import { newStudy, reduceStudy } from '../../app/round/coordinator-study.ts';
import { acceptKeyChange, studyParameters } from '../../app/round/parameters.ts';
import { chunkCount } from '../../app/sealed-sum/masks.ts';
import { openSignedContract } from '../../app/study/signed-contract.ts';
import type { ArchiveManifest } from '../coordinator/archive.ts';
import { archivedKeyChanges, checkArchive, restoreArchive, writeArchive } from '../coordinator/archive.ts';
import { modelApplier } from '../coordinator/model-applier.ts';
import { openCoordinatorStore } from '../coordinator/store.ts';
import type { CoordinatorStore } from '../coordinator/store.ts';
import { writeFileAtomically } from '../host/disk/atomic-file.ts';
import type { Keystore } from '../host/keys/keystore.ts';
import { nodeCipher } from '../host/machine.ts';
import { makeFolder } from '../host/participant/home.ts';
import type { CoordinatorPlaces } from './coordinator-places.ts';
import {
  keyChangesPath,
  keyChangesText,
  openKeyChanges,
  readKeyChanges,
  requireKeyInForce,
} from './coordinator-rotate.ts';
import type { Invocation } from './command.ts';
import { readNamedText } from './server-place.ts';

/** Rounds that may have been opened since an archive was written, unless the operator knows better. */
const usualSkip = 10;

export type ArchiveService = CoordinatorPlaces & { readonly home: string; readonly studyFile: string };

async function opened(service: ArchiveService): Promise<{ store: CoordinatorStore; text: string; study: string }> {
  const text = await readNamedText('study', service.studyFile);
  const study = toHex(openSignedContract(nodeCipher, text).hash);
  const store = await openCoordinatorStore({
    folder: join(service.home, 'studies', study),
    study,
    ...(service.database === null ? {} : { database: service.database }),
    ...(service.blobs === null ? {} : { blobs: service.blobs }),
  });
  return { store, text, study };
}

/** @throws RefusalError `in-use` where the coordinator runs on SQLite, `archive-exists`. */
export async function archiveStudy(
  keystore: Keystore,
  service: ArchiveService,
  folder: string,
  { json, out }: Invocation,
): Promise<0> {
  const { store, text, study } = await opened(service);
  try {
    const { contract } = openSignedContract(nodeCipher, text);
    const parameters = studyParameters(nodeCipher, contract);
    const keyChanges = await readKeyChanges(service.home, study);
    requireKeyInForce(keystore, contract, keyChanges);
    // The state is replayed only to know which rounds are kept; broadcasts made on the way go nowhere.
    const coordinator = coordinatorUnder(nodeCipher, parameters, keystore.identity, keyChanges);
    let state = newStudy(modelApplier(nodeCipher, contract).model);
    for await (const { event } of store.events(0)) state = reduceStudy(coordinator, state, event);
    const rounds = state.round === null ? state.ended : [...state.ended, state.round];
    const manifest = await writeArchive(
      store,
      {
        contract: utf8(text),
        keyChanges: keyChanges.length === 0 ? null : utf8((await keyChangesText(service.home, study))!),
        study,
        closed: state.closed.map(({ round }) => round),
        kept: rounds.map(({ round, sharers }) => ({ round, senders: sharers })),
        chunks: chunkCount(parameters.dimension),
      },
      folder,
      new Date(),
    );
    const files = Object.keys(manifest.files).length;
    out(
      json
        ? `${JSON.stringify({ folder, study, events: manifest.events, files })}\n`
        : `Archived ${manifest.events} events in ${files} files in ${folder}. The keys are not among them: back up ${service.home} too.\n`,
    );
    return 0;
  } finally {
    await store.close();
  }
}

export async function restoreStudy(
  service: ArchiveService,
  folder: string,
  roundsSince: number | null,
  { json, out }: Invocation,
): Promise<0> {
  const { store, text, study } = await opened(service);
  try {
    const { attempts } = openSignedContract(nodeCipher, text).contract.schedule;
    const checked = await checkArchive(folder);
    const most = mostSkipped(attempts, Date.parse(checked.written), Date.now());
    if (roundsSince !== null && roundsSince > most)
      throw new InputError(
        'rounds-since-too-large',
        `--rounds-since may be ${most} at most for this archive: participants refuse numbers further ahead, and no more can have been used since it was written.`,
      );
    const skipRounds = roundsSince ?? Math.min(usualSkip, attempts - 1);
    await restoreKeyChanges(service.home, study, text, await archivedKeyChanges(folder, checked));
    const manifest = await restoreArchive(store, folder, { skipRounds, now: Date.now() });
    const newestClosed = newestSum(manifest);
    out(
      json
        ? `${JSON.stringify({ study, events: manifest.events, skippedRounds: skipRounds, newestClosed })}\n`
        : `Restored ${manifest.events} events. What was open is given up, and ${skipRounds} round numbers are passed over. The newest closed round is ${newestClosed}: where any institution shows a later one, this archive cannot be gone on from.\n`,
    );
    return 0;
  } finally {
    await store.close();
  }
}

/** As far as participants go along (app/round/participant.ts#signReady): the attempts, and a number for each second since. */
export const mostSkipped = (attempts: number, written: number, now: number): number =>
  attempts - 1 + Math.max(0, Math.floor((now - written) / 1000));

/** The newest round with an opened sum; 0 where there is none. */
const newestSum = ({ files }: ArchiveManifest): number =>
  Math.max(0, ...Object.keys(files).map((name) => Number(/^sums\/(\d+)\//.exec(name)?.[1] ?? 0)));

/** A home that knows of changes keeps its own, which may be newer. */
async function restoreKeyChanges(home: string, study: string, terms: string, archived: string | null): Promise<void> {
  if (archived === null || (await keyChangesText(home, study)) !== null) return;
  const parameters = studyParameters(nodeCipher, openSignedContract(nodeCipher, terms).contract);
  for (const change of openKeyChanges(archived)) acceptKeyChange(nodeCipher, parameters, change);
  const path = keyChangesPath(home, study);
  await makeFolder(dirname(path));
  await writeFileAtomically(path, archived);
}
