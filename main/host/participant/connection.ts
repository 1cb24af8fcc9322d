// What a participant needs of the coordinator, as a small port over its client, so that the run can be tested without
// sockets. The client tries each request a few times; the run itself is patient without end.

import type { Accusation } from '../../../app/round/coordinator-state.ts';
import type { CoordinatorPort, StudyStatus } from '../../../app/round/engine-ports.ts';
import { dialledAt } from '../../../app/round/regions.ts';
import { studyParameters } from '../../../app/round/parameters.ts';
import type { Invitation } from '../../../app/study/invitation.ts';
import type { Policy } from '../../../app/study/policy.ts';
import { connectCoordinator, fetchSignedContract } from '../connection/coordinator-client.ts';
import type { Patience } from '../connection/coordinator-client.ts';
import type { Keystore } from '../keys/keystore.ts';
import { nodeCipher, nodeMachine } from '../machine.ts';
import type { ConsentOptions } from './consent.ts';
import type { StoredStudy } from './home.ts';
import type { RecoveryConnection } from './recover.ts';
import { proxyFor } from '../connection/proxy.ts';

export type StudyConnection = {
  /**
   * What is going on; waits up to `waitMs` for a change after `cursor` (null: answers at once).
   * @throws UnavailableError where the coordinator cannot be reached; RefusalError with its own code and sentence.
   */
  status(
    cursor: number | null,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<{
    readonly cursor: number;
    readonly status: StudyStatus;
    readonly excluded?: readonly number[];
    readonly keyChanges?: number;
  }>;
  /** The proof of each exclusion, unchecked. */
  exclusions?(): Promise<readonly Accusation[]>;
  /** Signed changes of the coordinator's key, oldest first, unchecked. */
  keyChanges?(): Promise<readonly unknown[]>;
  readonly port: CoordinatorPort;
  /** Texts of signed documents; giving the same one again changes nothing. */
  sendConsent(text: string): Promise<void>;
  sendWithdrawal(text: string): Promise<void>;
  close(): void;
};

const patience: Patience = { attempts: 3, firstMs: 200, longestMs: 2000 };

/**
 * @param index of this institution in the roster.
 * @param policy IT's, which may name a proxy
 * @throws InputError `proxy-malformed`.
 */
export async function connectParticipant(
  stored: StoredStudy,
  index: number,
  keystore: Keystore,
  policy: Policy | null = null,
): Promise<StudyConnection & RecoveryConnection> {
  const client = connectCoordinator({
    machine: nodeMachine,
    parameters: studyParameters(nodeCipher, stored.contract),
    index,
    identity: keystore.identity,
    transport: keystore.transport,
    proxy: proxyFor(new URL(dialledAt(stored.contract, index).address), policy, process.env),
    patience,
  });
  return {
    port: client,
    async status(cursor, waitMs, signal) {
      const status = await client.status(cursor, waitMs, signal);
      const excluded = status.excluded.map((one) => one.index);
      return { cursor: status.cursor, status, excluded, keyChanges: status.keyChanges ?? 0 };
    },
    exclusions: () => client.exclusions(),
    keyChanges: () => client.keyChanges(),
    sendConsent: (text) => client.sendConsent(text),
    sendWithdrawal: (text) => client.sendWithdrawal(text),
    ownReadies: () => client.ownReadies(),
    sendReplacement: (text) => client.sendReplacement(text),
    close: () => client.close(),
  };
}

/** One message to the coordinator over a connection of its own. @param policyOf IT's, asked when it is sent */
export function sendOnce(
  policyOf: () => Promise<Policy | null>,
  what: (connection: StudyConnection, text: string) => Promise<void>,
): ConsentOptions['send'] {
  return async (stored, index, keystore, text) => {
    const connection = await connectParticipant(stored, index, keystore, await policyOf());
    try {
      await what(connection, text);
    } finally {
      connection.close();
    }
  };
}

/** The signed contract's text, which nobody has checked yet. */
export async function fetchContract(invitation: Invitation, policy: Policy | null = null): Promise<string> {
  const proxy = proxyFor(new URL(invitation.address), policy, process.env);
  return fetchSignedContract(nodeMachine, invitation.address, invitation.certificateAuthority, patience, proxy);
}
