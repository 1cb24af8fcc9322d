// Passes the window's calls to the host and the host's events to the window. Only the main frame of the window's own page is
// heard, and only so much at a time; what a call means is the host's business. Design 2, "Bridge" (sender first).

import type { IpcMainInvokeEvent, WebContents } from 'electron';
import { mostRequestLength, requestSchema } from '../../app/bridge.ts';
import type { BridgeRequest, Reply } from '../../app/bridge.ts';
import { channels } from './channels.ts';
import type { HostLink } from './host-link.ts';
import { isOwnPage } from './page-scheme.ts';

/** Calls of one window that wait for their replies; a window never has this many. */
const mostWaiting = 64;

/** @param demonstrate what a person can do from the menu too. */
export function relay(contents: WebContents, link: HostLink, demonstrate: () => Promise<boolean>): void {
  let waiting = 0;
  contents.ipc.handle(channels.demonstrate, async (event): Promise<string> => {
    if (!isOwnMainFrame(event, contents)) return refused('sender-refused', 'Only the window’s own page may ask.');
    if (!(await demonstrate())) return refused('demonstration-failed', 'The demonstration could not be started.');
    return JSON.stringify({ ok: true, value: {} } satisfies Reply<unknown>);
  });
  contents.ipc.handle(channels.call, async (event, text: unknown): Promise<string> => {
    if (!isOwnMainFrame(event, contents)) return refused('sender-refused', 'Only the window’s own page may ask.');
    if (typeof text !== 'string' || text.length > mostRequestLength)
      return refused('request-too-long', 'What was given is too long. Nothing was done.');
    const request = requestOf(text);
    if (request === null) return refused('request-invalid', 'What was given is not a request. Nothing was done.');
    if (waiting >= mostWaiting) return refused('too-many-calls', 'Too many calls wait already. Nothing was done.');
    waiting++;
    try {
      return JSON.stringify(await link.call(request.name, request.input));
    } finally {
      waiting--;
    }
  });
  const tell = (channel: string, ...values: readonly unknown[]): void => {
    if (!contents.isDestroyed()) contents.send(channel, ...values);
  };
  const ends = [
    link.onEvent((event, data) => tell(channels.event, JSON.stringify({ event, data }))),
    link.onState(({ kind }) => tell(channels.connection, kind === 'connected')),
  ];
  // A page that is loaded while the host is gone has to hear of it.
  contents.on('did-finish-load', () => {
    if (link.state().kind !== 'connected' && link.state().kind !== 'starting') tell(channels.connection, false);
  });
  contents.once('destroyed', () => {
    for (const end of ends) end();
  });
}

function isOwnMainFrame({ senderFrame, sender }: IpcMainInvokeEvent, contents: WebContents): boolean {
  return (
    senderFrame !== null && sender === contents && senderFrame === contents.mainFrame && isOwnPage(senderFrame.url)
  );
}

function requestOf(text: string): BridgeRequest | null {
  try {
    const parsed = requestSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

const refused = (code: string, message: string): string =>
  JSON.stringify({ ok: false, error: { code, message } } satisfies Reply<never>);
