// The calls about the program itself: who is here, what machine, which policy, what works; and the demonstration, which
// whoever starts the host may offer. Design 1, "System" and journey 1.

import { join } from 'node:path';
import { z } from 'zod';
import { RefusalError } from '../../../app/errors.ts';
import type { Handlers, OutputOf } from '../../../app/bridge.ts';
import { backendChecks, measuredBackend } from '../doctor/backends.ts';
import type { Check } from '../doctor/check.ts';
import { untilAborted } from './work.ts';
import { homeChecks } from '../doctor/home.ts';
import { machineChecks } from '../doctor/machine.ts';
import { policyCheck } from '../doctor/network.ts';
import type { HostParts } from './host.ts';
import { keySourceSchema } from '../keys/key-source.ts';
import { identityCode, readTextIfThere } from '../participant/home.ts';

/** An embedded relay and simulated institutions, in processes of their own. */
export type Demonstration = {
  get(): OutputOf<'demo.get'>;
  /** Resolves at once; `get` says how far it is. */
  start(): void;
  /** Made-up records of this institution for the demonstration's study; null for any other. */
  recordsFor(study: string): string | null;
  close(): Promise<void>;
};

const noDemonstration: OutputOf<'demo.get'> = { state: 'not-here', said: null, institutions: [] };

export function systemHandlers(
  parts: HostParts,
): Pick<
  Handlers,
  | 'session.get'
  | 'demo.get'
  | 'demo.start'
  | 'demo.open'
  | 'system.get'
  | 'system.backend'
  | 'system.doctor'
  | 'work.list'
  | 'work.cancel'
  | 'host.stop'
> {
  const { options, studies, view, works, demonstration } = parts;
  const { home } = options;
  return {
    'session.get': async (_input, { id, role }) => {
      const [study] = await studies.list();
      return {
        id,
        role,
        institution: study?.enrolment.organisation ?? null,
        version: options.version,
        entries: view.entries().length,
      };
    },
    'demo.get': async () => demonstration?.get() ?? noDemonstration,
    'demo.start': async () => {
      if (demonstration === null || demonstration.get().state === 'not-here')
        throw new RefusalError(
          'demonstration-elsewhere',
          'This folder belongs to an institution, so no demonstration runs in it. Start one in a folder of its own: consilience app --demo',
        );
      demonstration.start();
      return demonstration.get();
    },
    'demo.open': async () => {
      if (options.openDemonstration === undefined)
        throw new RefusalError(
          'no-demonstration',
          'No demonstration can be started from this program. Start one by itself: consilience app --demo',
        );
      return options.openDemonstration();
    },
    'system.get': async () => {
      const [study] = await studies.list();
      const policy = await parts.policy();
      return {
        version: options.version,
        node: process.versions.node,
        platform: `${process.platform} ${process.arch}`,
        home,
        ownCode: study === undefined ? null : identityCode(study.enrolment.identityKey),
        keys: await keySource(home),
        policy:
          policy === null
            ? null
            : {
                path: options.policyPath!,
                perStudy: policy.epsilon.perStudy,
                perDataset: policy.epsilon.perDataset,
                contact: policy.contact,
                known: policy.institutions.known.length,
                mostUnknown: policy.institutions.mostUnknown,
                mostConsentDays: policy.mostConsentDays,
              },
        windows: parts.windows(),
      };
    },
    'system.backend': measuredBackend,
    'host.stop': async () => {
      const { onStopAsked } = options;
      if (onStopAsked === undefined)
        throw new RefusalError(
          'host-not-stoppable',
          'This program was not started by a window, so no window ends it. End it where it was started.',
        );
      // After the answer is on its way.
      setImmediate(onStopAsked);
      return {};
    },
    'work.list': async () => works.list(),
    'work.cancel': async ({ name }, session) => ({ cancelled: works.cancel(name, session), left: works.list().length }),
    'system.doctor': () =>
      works.run('system.doctor', async ({ signal, progress }) => {
        const steps: readonly (() => Promise<Check[]>)[] = [
          machineChecks,
          () => homeChecks(home),
          async () => (options.policyPath === null ? [] : [await policyCheck(options.policyPath)]),
          backendChecks,
        ];
        const checks: Check[] = [];
        for (const [done, step] of steps.entries()) {
          progress(done, steps.length);
          checks.push(...(await untilAborted(signal, step())));
        }
        return checks;
      }),
  };
}

const keysFile = z.object({ source: keySourceSchema });

/** What unlocks the keys, as keys.json says it; null before there are any. */
async function keySource(home: string): Promise<string | null> {
  const text = await readTextIfThere(join(home, 'keys.json'));
  if (text === null) return null;
  const parsed = keysFile.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data.source.kind : null;
}
