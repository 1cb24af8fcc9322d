// The window's end of the bridge: the one that the desktop shell put into the page (main/desktop/preload.ts), or a WebSocket
// to the program that served it. Types come from the contract; nothing is validated here, because the host does. Reconnects by itself and says when it cannot. Design 2, "Bridge".

import type { BridgeMessage, CallName, EventName, InputOf, OutputOf, Reply, WindowBridge } from '../app/bridge.ts';

type Listener = (data: never) => void;

/** An event that is missing here does not compile. */
const eventNames: { readonly [Name in EventName]: true } = {
  'study.changed': true,
  'round.changed': true,
  'ledger.changed': true,
  'demo.changed': true,
  'work.changed': true,
};
const events = Object.keys(eventNames) as EventName[];
const pauseMs = 1000;

/** The desktop shell's bridge where there is one, else the program's that served this page. */
export function openBridge(): WindowBridge {
  const { consilience } = globalThis as { readonly consilience?: WindowBridge };
  return consilience ?? openLoopbackBridge(new URL('/bridge', location.href));
}

/** @param url of the bridge; its scheme becomes ws. */
export function openLoopbackBridge(url: URL): WindowBridge {
  const address = url.href.replace(/^http/, 'ws').replace(/#.*$/, '');
  const waiting = new Map<number, (reply: Reply<never>) => void>();
  const listeners = new Map<EventName, Set<Listener>>(events.map((name) => [name, new Set<Listener>()]));
  const watchers = new Set<(connected: boolean) => void>();
  let ids = 0;
  let socket: WebSocket | null = null;
  let unsent: string[] = [];

  function connect(): void {
    const next = new WebSocket(address);
    next.addEventListener('open', () => {
      socket = next;
      for (const text of unsent.splice(0)) next.send(text);
      for (const watcher of watchers) watcher(true);
    });
    next.addEventListener('message', ({ data }) => receive(JSON.parse(String(data)) as BridgeMessage));
    next.addEventListener('close', () => {
      socket = null;
      unsent = [];
      for (const settle of waiting.values()) settle(gone);
      waiting.clear();
      for (const watcher of watchers) watcher(false);
      setTimeout(connect, pauseMs);
    });
  }

  function receive(message: BridgeMessage): void {
    if ('event' in message) {
      for (const listener of listeners.get(message.event) ?? []) listener(message.data as never);
      return;
    }
    waiting.get(message.id)?.(message.reply as Reply<never>);
    waiting.delete(message.id);
  }

  function call<Name extends CallName>(name: Name, input: InputOf<Name>): Promise<Reply<OutputOf<Name>>> {
    const id = ++ids;
    const text = JSON.stringify({ id, name, input });
    return new Promise((settle) => {
      waiting.set(id, settle);
      if (socket === null) unsent.push(text);
      else socket.send(text);
    });
  }

  connect();
  return {
    call,
    on(name, listener) {
      const set = listeners.get(name)!;
      set.add(listener);
      return () => void set.delete(listener);
    },
    onConnection(listener) {
      watchers.add(listener);
      return () => void watchers.delete(listener);
    },
    // A browser opens no invitations for this page.
    onInvitation: () => () => {},
    async demonstrate() {
      const reply = await call('demo.open', {});
      if (reply.ok) location.assign(reply.value.address);
      return reply;
    },
  } satisfies WindowBridge;
}

const gone: Reply<never> = {
  ok: false,
  error: {
    code: 'host-gone',
    message: 'The program behind this window does not answer. Nothing was lost. Start it again: consilience app',
  },
};
