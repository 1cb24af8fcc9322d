// Hands the bridge to the screens, and reads from it the way they need: a value that is asked for again whenever one of
// the named events says that it may have changed, and an action with its error.

import { createContext, useCallback, useContext, useEffect, useState } from 'react';
import type { ReactNode } from 'react';
import type { BridgeError, CallName, EventName, InputOf, OutputOf, WindowBridge } from '../app/bridge.ts';

const BridgeContext = createContext<WindowBridge | null>(null);

export function BridgeProvider({ bridge, children }: { readonly bridge: WindowBridge; readonly children: ReactNode }) {
  return <BridgeContext value={bridge}>{children}</BridgeContext>;
}

export function useBridge(): WindowBridge {
  const bridge = useContext(BridgeContext);
  if (bridge === null) throw new Error('useBridge needs a BridgeProvider around it');
  return bridge;
}

export type Loaded<Value> = {
  /** null before the first answer. */
  readonly value: Value | null;
  readonly error: BridgeError | null;
  readonly reload: () => void;
};

/** @param events after which the value is asked for again. */
export function useCall<Name extends CallName>(
  name: Name,
  input: InputOf<Name>,
  ...events: readonly EventName[]
): Loaded<OutputOf<Name>> {
  const bridge = useBridge();
  const [state, setState] = useState<Omit<Loaded<OutputOf<Name>>, 'reload'>>({ value: null, error: null });
  const key = JSON.stringify(input);
  const after = events.join(' ');
  const [asked, setAsked] = useState(0);
  const reload = useCallback(() => setAsked((count) => count + 1), []);

  useEffect(() => {
    let current = true;
    void bridge.call(name, JSON.parse(key) as InputOf<Name>).then((reply) => {
      if (!current) return;
      setState((before) =>
        reply.ok ? { value: reply.value, error: null } : { value: before.value, error: reply.error },
      );
    });
    return () => {
      current = false;
    };
  }, [bridge, name, key, asked]);

  useEffect(() => {
    const ends = after
      .split(' ')
      .filter((event) => event !== '')
      .map((event) => bridge.on(event as EventName, reload));
    ends.push(bridge.onConnection((connected) => connected && reload()));
    return () => {
      for (const end of ends) end();
    };
  }, [bridge, after, reload]);

  return { ...state, reload };
}

export type Action<Name extends CallName> = {
  readonly busy: boolean;
  readonly error: BridgeError | null;
  /** Resolves with the value, or null where it was refused; then `error` says why. */
  readonly run: (input: InputOf<Name>) => Promise<OutputOf<Name> | null>;
};

export function useAction<Name extends CallName>(name: Name): Action<Name> {
  const bridge = useBridge();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<BridgeError | null>(null);
  const run = useCallback(
    async (input: InputOf<Name>) => {
      setBusy(true);
      setError(null);
      const reply = await bridge.call(name, input);
      setBusy(false);
      if (reply.ok) return reply.value;
      setError(reply.error);
      return null;
    },
    [bridge, name],
  );
  return { busy, error, run };
}
