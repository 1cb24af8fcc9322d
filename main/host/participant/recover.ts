// `participant recover`: an older copy of this folder, or another machine with the same keys, takes up a study again. What
// may have been sent meanwhile is charged at its worst case first, then the state begins anew above everything that was
// ever signed, then the coordinator is told by a signed statement. It may be broken off and run again at any point.
// Design 4, "Rollback".

import { join } from 'node:path';
import { toHex } from '../../../app/encoding/bytes.ts';
import { canonicalBytes } from '../../../app/encoding/canonical-json.ts';
import { RefusalError } from '../../../app/errors.ts';
import { readyHead } from '../../../app/ledger/head.ts';
import { worstEverEvent } from '../../../app/round/charge.ts';
import type { StudyStatus } from '../../../app/round/engine-ports.ts';
import type { Message } from '../../../app/round/messages.ts';
import { createModelChain } from '../../../app/round/model-chain.ts';
import { studyParameters } from '../../../app/round/parameters.ts';
import { firstMemory } from '../../../app/round/participant-state.ts';
import { planReplacement } from '../../../app/round/replacement.ts';
import type { EntryWithHash } from '../../../app/round/study-ledger.ts';
import { openSignedConsent } from '../../../app/study/consent.ts';
import { signDeviceReplacement, signedDeviceReplacementText } from '../../../app/study/device-replacement.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import type { Keystore } from '../keys/keystore.ts';
import { nodeMachine } from '../machine.ts';
import { openExistingKeys, openHomeWith, readStudy, readTextIfThere } from './home.ts';
import type { OpenHome, StoredStudy } from './home.ts';
import { readingFromEntries } from './ledger.ts';
import type { EpsilonReading } from './ledger.ts';
import { requireAgreeing } from './rollback.ts';
import { openSealedStore } from '../records/sealed-store.ts';
import type { SealedStore } from '../records/sealed-store.ts';

/** What recovering needs of the coordinator. */
export type RecoveryConnection = {
  status(cursor: null, waitMs: 0, signal: AbortSignal): Promise<{ readonly status: StudyStatus }>;
  ownReadies(): Promise<readonly Message<0>[]>;
  sendReplacement(text: string): Promise<void>;
  close(): void;
};

export type RecoverOptions = {
  readonly home: string;
  readonly keys: KeySourceOptions;
  readonly study: string | null;
  readonly reason: string | null;
  readonly connect: (stored: StoredStudy, index: number, keystore: Keystore) => Promise<RecoveryConnection>;
};

export type Recovered = {
  readonly study: string;
  /** Number that the statement takes in the count of announcements. */
  readonly counter: number;
  /** The newest round that is left behind. */
  readonly round: number;
  readonly charged: readonly number[];
  readonly epsilon: EpsilonReading;
};

const newBeginning =
  'Keys cannot be replaced within a study: let the institution enrol anew (consilience participant join) and ask the lead for a new contract. What was used of the records’ allowance stays used: enter it there.';

/**
 * @throws RefusalError `keys-lost`, `no-consent`, `nothing-to-recover`, `evidence-not-mine`, `in-use`, `ledger-broken`,
 * `replacement-behind`; UnavailableError where the coordinator or the disk does not answer.
 */
export async function recoverDevice(options: RecoverOptions): Promise<Recovered> {
  const { home } = options;
  const { cipher } = nodeMachine;
  if ((await readTextIfThere(join(home, 'keys.json'))) === null)
    throw new RefusalError('keys-lost', `There are no keys in ${home}. ${newBeginning}`);
  const stored = await readStudy(home, options.study);
  const consentText = await readTextIfThere(stored.paths.consent);
  if (consentText === null)
    throw new RefusalError('no-consent', 'No consent to this study is signed here, so there is nothing to go on with.');
  const { consent } = openSignedConsent(cipher, stored.contract, consentText);
  const keystore = await openExistingKeys(home, options.keys);
  if (stored.contract.roster[consent.institution.index]!.identityKey !== toHex(keystore.identity.publicKey)) {
    keystore.close();
    throw new RefusalError('keys-lost', `The keys in ${home} are not those that the study lists. ${newBeginning}`);
  }
  const opened = await openHomeWith(home, keystore);
  const closers: (() => void | Promise<void>)[] = [() => opened.close()];
  try {
    const store = await openSealedStore({ folder: home, keystore });
    closers.push(() => store.close());
    const connection = await options.connect(stored, consent.institution.index, keystore);
    closers.push(() => connection.close());
    return await replace(options, stored, consent, opened, store, connection);
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function replace(
  options: RecoverOptions,
  stored: StoredStudy,
  consent: ReturnType<typeof openSignedConsent>['consent'],
  { keystore, ledger, entries: before }: OpenHome,
  store: SealedStore,
  connection: RecoveryConnection,
): Promise<Recovered> {
  const { cipher, clock } = nodeMachine;
  const { contract, paths } = stored;
  const study = toHex(stored.hash);
  const parameters = studyParameters(cipher, contract);
  const prefix = `study/${study}/`;
  const entries = [...before];
  const state = await countersOf(store, prefix);
  const here = knownFrom(entries, study, (hash) =>
    readyHead(cipher, keystore.ledgerHeadSecret, parameters.study, hash),
  );
  const { status } = await connection.status(null, 0, new AbortController().signal);
  requireSomethingAmiss(state.counter, here.newest, status.witness);
  const plan = planReplacement(
    cipher,
    parameters,
    consent.institution.index,
    await connection.ownReadies(),
    {
      counter: Math.max(state.counter, here.newest.counter, status.witness?.counter ?? 0),
      signedRound: Math.max(state.signedRound, here.signedRound),
      reserved: here.reserved,
    },
    status.round?.number ?? status.lastClosed.round,
  );

  const event = { ...worstEverEvent(contract) };
  for (const { round, evidence } of plan.charge)
    entries.push(
      await ledger.append('budget-reserved', {
        study,
        round,
        dataset: consent.dataset.name,
        event,
        outbox: evidence,
      }),
    );
  const charged = plan.charge.map(({ round }) => round);
  const { counter, round } = plan;
  const { reason } = options;
  const entry = await ledger.append('device-replaced', {
    study,
    counter,
    round,
    charged,
    ...(reason === null ? {} : { reason }),
  });
  await ledger.checkpoint();
  // The log comes first: broken off here, the state is behind the log, and this command can be run again.
  const first = createModelChain(cipher, contract);
  const memory = { ...firstMemory(first.hash), counter, signedRound: round, signedAt: clock.now() };
  await store.write([
    ...(await store.keys(prefix)).map((key) => ({ key, value: null })),
    { key: `${prefix}memory`, value: canonicalBytes(memory) },
  ]);
  const text = signedDeviceReplacementText(
    signDeviceReplacement(cipher, keystore.identity, {
      format: 'consilience/device-replacement/1',
      contract: study,
      institution: consent.institution,
      counter,
      head: readyHead(cipher, keystore.ledgerHeadSecret, parameters.study, entry.hash),
      round,
      charged,
      reason,
      given: new Date(clock.now()).toISOString(),
    }),
  );
  await writeFileAtomically(join(paths.folder, 'device-replacement.json'), text);
  await connection.sendReplacement(text);
  return { study, counter, round, charged, epsilon: readingFromEntries(entries, study, consent.adjacency) };
}

/** What the sealed state says of the study; one that is gone or cannot be read says nothing. */
async function countersOf(store: SealedStore, prefix: string): Promise<{ counter: number; signedRound: number }> {
  try {
    const bytes = await store.read(`${prefix}memory`);
    if (bytes === null) return { counter: 0, signedRound: 0 };
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as { counter: number; signedRound: number };
  } catch (error) {
    if (error instanceof RefusalError && error.code === 'state-altered') return { counter: 0, signedRound: 0 };
    throw error;
  }
}

function knownFrom(entries: readonly EntryWithHash[], study: string, headOf: (hash: string) => string) {
  const reserved = new Set<number>();
  let newest = { counter: 0, head: '0'.repeat(64) };
  let signedRound = 0;
  for (const { entry, hash } of entries) {
    const body: { readonly [name: string]: unknown } = entry.body;
    if (body['study'] !== study) continue;
    if (entry.kind === 'budget-reserved') reserved.add(entry.body.round);
    if (entry.kind !== 'device-replaced' && !(entry.kind === 'round-stage-reached' && body['stage'] === 'ready'))
      continue;
    newest = { counter: Number(body['counter']), head: headOf(hash) };
    signedRound = Math.max(signedRound, Number(body['round']));
  }
  return { reserved, newest, signedRound };
}

function requireSomethingAmiss(
  stateCounter: number,
  ledger: { readonly counter: number; readonly head: string },
  witnessed: StudyStatus['witness'],
): void {
  try {
    requireAgreeing(stateCounter, ledger, witnessed);
  } catch (error) {
    if (error instanceof RefusalError) return;
    throw error;
  }
  throw new RefusalError(
    'nothing-to-recover',
    'Log, state and coordinator agree about this folder: nothing has to be replaced and nothing was charged. Use: consilience participant run',
  );
}
