// `consilience host`: the host of one home without a window, until it is told to stop. Windows attach to it and leave it;
// the desktop app starts its own this way. Design 2, "Processes" (host).

import { ConsilienceError } from '../../app/errors.ts';
import type { HostMessage } from '../host/bridge/message.ts';
import { homeFolder, hostOptions, openCommandHost, toldToStop } from './app-host.ts';
import { UsageError } from './command.ts';
import type { Command } from './command.ts';

export const hostCommand: Command = {
  name: 'host',
  summary: 'Runs this institution’s studies without a window; windows of `app` attach to it.',
  usage: ['host [--home DIR] [--policy FILE] [--credential-file FILE] [--demo] [--stoppable]'],
  example: 'consilience host --home ~/.consilience --credential-file /etc/consilience/credential',
  options: {
    ...hostOptions,
    stoppable: { type: 'boolean', help: 'A window may end it, as the desktop app does when a person quits.' },
  },
  async run({ positionals, options, json, out, warn }) {
    if (positionals.length > 0) throw new UsageError('host takes options only.');
    const home = await homeFolder(options);
    let askedToStop = (): void => {};
    const stopped = Promise.race([toldToStop(), new Promise<void>((done) => (askedToStop = done))]);
    const stoppable = options['stoppable'] === true ? { onStopAsked: () => askedToStop() } : {};
    let host;
    try {
      host = await openCommandHost({ home, options, warn, ...stoppable });
    } catch (error) {
      if (error instanceof ConsilienceError)
        await tellStarter({ state: 'refused', error: { code: error.code, message: error.message } });
      throw error;
    }
    try {
      if (json) out(`${JSON.stringify({ home, socket: host.socket })}\n`);
      else out(`Everything is kept in ${home}. Windows may attach. Ctrl+C ends this.\n`);
      await tellStarter({ state: 'ready' });
      await stopped;
    } finally {
      await host.close();
    }
    return 0;
  },
};

/** Whoever started this with a channel hears how it went, once; afterwards neither holds the other. */
async function tellStarter(message: HostMessage): Promise<void> {
  if (process.send === undefined || !process.connected) return;
  await new Promise<void>((done) => {
    process.send!(message, undefined, undefined, () => done());
  });
  if (process.connected) process.disconnect();
}
