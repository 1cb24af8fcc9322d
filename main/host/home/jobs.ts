// What the host has done in the home's thread: whatever opens keys or log, takes part in rounds, or computes for long. Each
// takes and gives plain data, and tells of itself through its tools. Who may ask, and when nothing else may write, is the
// host's to say. Design 2, "Processes" (host: nothing in it takes 50 ms).

import { fromHex } from '../../../app/encoding/bytes.ts';
import type { Actor, FreeBody } from '../../../app/ledger/entry.ts';
import { reviewContract } from '../../../app/review/check.ts';
import type { Review } from '../../../app/review/check.ts';
import type { Contract } from '../../../app/study/contract.ts';
import type { Policy } from '../../../app/study/policy.ts';
import { studyFloatTerm } from '../../../app/training/float-term.ts';
import { parameterCount } from '../../../app/training/model.ts';
import { excludePersons } from '../records/exclusion-list.ts';
import { cancelledError } from '../bridge/work.ts';
import { jointModel } from '../model/home-model.ts';
import type { KeySourceOptions } from '../keys/key-source.ts';
import { exportLedger } from '../ledger/ledger-export.ts';
import { measureBaseline } from '../model/own-site-baseline.ts';
import type { BaselineAsked } from '../model/own-site-baseline.ts';
import { connectParticipant, sendOnce } from '../participant/connection.ts';
import { consentToStudy } from '../participant/consent.ts';
import type { ConsentOptions } from '../participant/consent.ts';
import { deleteData } from '../participant/data.ts';
import { openHome } from '../participant/home.ts';
import { joinStudy } from '../participant/join.ts';
import type { JoinOptions } from '../participant/join.ts';
import { runParticipant } from '../participant/run.ts';
import { verifyOwnLedger } from '../participant/verify.ts';
import { withdraw } from '../participant/withdraw.ts';
import { readPolicyFile } from '../policy-file.ts';
import { recordedLedger } from '../ledger/recorded-ledger.ts';

/** What every job of one home needs. */
export type JobSurroundings = {
  readonly home: string;
  readonly keys: KeySourceOptions;
  /** IT's policy, read anew by each job; null where there is none. */
  readonly policyPath: string | null;
};

/** What a run says while it lasts. */
export type RunNews = 'closed' | 'waiting' | 'status';

export type JobTools = {
  readonly signal: AbortSignal;
  readonly progress: (done: number, total: number | null) => void;
  readonly news: (what: RunNews) => void;
};

type Around = JobSurroundings;
type Own = 'home' | 'keys' | 'policy' | 'send' | 'onProgress';

const policyOf = async ({ policyPath }: Around): Promise<Policy | null> =>
  policyPath === null ? null : readPolicyFile(policyPath, true);

export const homeJobs = {
  run: async (around: Around, { study }: { study: string }, { signal, news }: JobTools) => {
    const { outcome } = await runParticipant({
      home: around.home,
      keys: around.keys,
      study,
      policy: await policyOf(around),
      connect: async (stored, index, keystore) => connectParticipant(stored, index, keystore, await policyOf(around)),
      signal,
      onEvent: ({ kind }) => {
        if (kind === 'closed' || kind === 'waiting') news(kind);
      },
      // Whoever hears of a change asks for the status: only then does the file say it.
      onStatus: () => news('status'),
    });
    return { outcome };
  },

  join: async ({ home, keys }: Around, input: Omit<JoinOptions, 'home' | 'keys'>) => {
    const { invitation, enrolment, enrolmentPath, ownCode, leadCode } = await joinStudy({ home, keys, ...input });
    return { study: invitation.study, enrolment, enrolmentPath, ownCode, leadCode };
  },

  consent: async (around: Around, input: Omit<ConsentOptions, Own>, { signal, progress }: JobTools) => {
    const { study, consent, untold } = await consentToStudy({
      ...input,
      home: around.home,
      keys: around.keys,
      policy: await policyOf(around),
      onProgress(done, total) {
        if (signal.aborted) throw cancelledError();
        progress(done, total);
      },
      send: sendOnce(
        () => policyOf(around),
        (connection, text) => connection.sendConsent(text),
      ),
    });
    const { epsilonCeiling: epsilon, expires } = consent.consent;
    return { study, epsilon, expires, untold };
  },

  withdraw: (around: Around, input: { study: string; reason: string | null; actor: Actor }) =>
    withdraw({
      ...input,
      home: around.home,
      keys: around.keys,
      send: sendOnce(
        () => policyOf(around),
        (connection, text) => connection.sendWithdrawal(text),
      ),
    }),

  deleteData: ({ home, keys }: Around, { dataset, actor }: { dataset: string; actor: Actor }) =>
    deleteData(home, keys, dataset, actor),

  exclude: ({ home, keys }: Around, { path, actor }: { path: string; actor: Actor }) =>
    excludePersons({ home, keys, path, actor }),

  jointModel: ({ home, keys }: Around, { study }: { study: string }) => jointModel(home, study, keys),

  noteSetting: async ({ home, keys }: Around, { body, actor }: { body: FreeBody; actor: Actor }) => {
    const opened = await openHome(home, keys);
    try {
      await recordedLedger(opened, actor).writer.append('settings-changed', body);
      await opened.ledger.checkpoint();
    } finally {
      await opened.close();
    }
  },

  baseline: (around: Around, asked: BaselineAsked, { signal, progress }: JobTools) =>
    measureBaseline(around, asked, { signal, onProgress: progress }),

  verify: ({ home }: Around, { publicKey }: { publicKey: string }, { signal, progress }: JobTools) =>
    verifyOwnLedger(home, fromHex(publicKey, 32), (read) => {
      if (signal.aborted) throw cancelledError();
      progress(read, null);
    }),

  export: ({ home }: Around, { out }: { out: string }, { signal, progress }: JobTools) =>
    exportLedger(home, out, {
      onProgress(done, total) {
        if (signal.aborted) throw cancelledError();
        progress(done, total);
      },
    }),

  review: async (_around: Around, { contract, policy, now, ownKey }: ReviewJob): Promise<Review> =>
    reviewContract({
      contract,
      modelDimension: parameterCount(contract.task),
      floatTerm: studyFloatTerm(contract.task, contract.training),
      policy,
      now,
      ownKey,
    }),
};

export type ReviewJob = {
  readonly contract: Contract;
  readonly policy: Policy | null;
  readonly now: number;
  readonly ownKey: string;
};

export type HomeJobs = typeof homeJobs;
