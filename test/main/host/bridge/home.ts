// A host on a real home for tests: an institution of participant/homes.ts, or an empty folder, without windows.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bridge, CallName, EventName, InputOf, OutputOf, Reply, Session } from '../../../../app/bridge.ts';
import { openHost } from '../../../../main/host/bridge/host.ts';
import type { Host, HostOptions } from '../../../../main/host/bridge/host.ts';
import type { HostConnection } from '../../../../main/host/bridge/socket.ts';

export const steward: Session = { id: 'ada', role: 'steward', signIn: 'test' };
export const auditor: Session = { id: 'grace', role: 'auditor', signIn: 'test' };

export const hostOptions = (home: string, change: Partial<HostOptions> = {}): HostOptions => ({
  home,
  keys: {},
  policyPath: null,
  version: '0.0.0',
  demonstration: null,
  onDefect: (where, error) => {
    throw new Error(`a defect in ${where}`, { cause: error });
  },
  lookEveryMs: 50,
  ...change,
});

export async function withHost(
  home: string | null,
  change: Partial<HostOptions>,
  use: (host: Host, home: string) => Promise<void>,
): Promise<void> {
  const folder = home ?? (await mkdtemp(join(tmpdir(), 'consilience-host-')));
  const host = await openHost(hostOptions(folder, change));
  try {
    await use(host, folder);
  } finally {
    await host.close();
    if (home === null) await rm(folder, { recursive: true, force: true });
  }
}

/** The typed bridge over a connection, as every window has it. */
export function bridgeOver(connection: HostConnection): Bridge {
  return {
    call: <Name extends CallName>(name: Name, input: InputOf<Name>) =>
      connection.call(name, input) as Promise<Reply<OutputOf<Name>>>,
    on(name, listener) {
      let listening = true;
      connection.onEvent((event: EventName, data: unknown) => {
        if (listening && event === name) listener(data as never);
      });
      return () => {
        listening = false;
      };
    },
  } satisfies Bridge;
}

/** The value of a reply. @throws where it was refused. */
export function valueOf<Value>(reply: Reply<Value>): Value {
  if (!reply.ok) throw new Error(`${reply.error.code}: ${reply.error.message}`);
  return reply.value;
}
