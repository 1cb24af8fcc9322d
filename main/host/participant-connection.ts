// What a participant needs of the coordinator's client, so that the run can be tested without sockets.

import type { CoordinatorPort, StudyStatus } from '../../app/round/engine-ports.ts';

export type StudyConnection = {
  /**
   * What is going on; waits up to `waitMs` for a change after `cursor` (0: answers at once).
   * @throws UnavailableError where the coordinator cannot be reached; RefusalError with its own code and sentence.
   */
  status(
    cursor: number,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<{ readonly cursor: number; readonly status: StudyStatus }>;
  readonly port: CoordinatorPort;
  /** Texts of signed documents; giving the same one again changes nothing. */
  sendConsent(text: string): Promise<void>;
  sendWithdrawal(text: string): Promise<void>;
  close(): void;
};
