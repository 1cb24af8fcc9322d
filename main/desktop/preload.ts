// What the page has of the shell, and all it has: the bridge. Runs sandboxed and apart from the page's own scripts, so the
// page gets functions and no Electron. Validates nothing; the shell checks the sender, the host the rest. Design 2, "Bridge".

import { contextBridge, ipcRenderer } from 'electron';
import type { BridgeMessage, EventName, Reply, WindowBridge } from '../../app/bridge.ts';
import { channels } from './channels.ts';

const listeners = new Map<EventName, Set<(data: never) => void>>();
const watchers = new Set<(connected: boolean) => void>();
const readers = new Set<(text: string) => void>();
let connected = true;
/** Came before the page listened. */
let unread: string | null = null;
let ids = 0;

ipcRenderer.on(channels.event, (_event, text: string) => {
  const message = JSON.parse(text) as BridgeMessage;
  if ('event' in message) for (const listener of listeners.get(message.event) ?? []) listener(message.data as never);
});
ipcRenderer.on(channels.connection, (_event, now: boolean) => {
  connected = now;
  for (const watcher of watchers) watcher(now);
});
ipcRenderer.on(channels.invitation, (_event, text: string) => {
  if (readers.size === 0) unread = text;
  for (const reader of readers) reader(text);
});

const bridge = {
  async call(name, input) {
    const text = JSON.stringify({ id: ++ids, name, input });
    return JSON.parse((await ipcRenderer.invoke(channels.call, text)) as string) as Reply<never>;
  },
  on(name, listener) {
    const set = listeners.get(name) ?? new Set();
    listeners.set(name, set.add(listener));
    return () => void set.delete(listener);
  },
  onConnection(listener) {
    watchers.add(listener);
    if (!connected) listener(false);
    return () => void watchers.delete(listener);
  },
  onInvitation(listener) {
    readers.add(listener);
    const waiting = unread;
    unread = null;
    if (waiting !== null) listener(waiting);
    return () => void readers.delete(listener);
  },
  async demonstrate() {
    return JSON.parse((await ipcRenderer.invoke(channels.demonstrate)) as string) as Reply<unknown>;
  },
} satisfies WindowBridge;

contextBridge.exposeInMainWorld('consilience', bridge);
