// Keeps the shell attached to the host: attaches to the one that runs or starts one, says honestly when it is gone, brings it
// back, and stops trying when it does not stay. Knows nothing of windows. Design 2, "Processes" (desktop).

import { ConsilienceError } from '../../app/errors.ts';
import type { BridgeError, EventName, Reply } from '../../app/bridge.ts';
import type { HostConnection } from '../host/bridge/socket.ts';

export type LinkState =
  | { readonly kind: 'starting' | 'connected' }
  /** Gone, and being brought back; or not to be had, until a person says to try again. */
  | { readonly kind: 'lost' | 'down'; readonly error: BridgeError };

export type HostLinkOptions = {
  /** @throws UnavailableError `no-host` where none runs. */
  readonly attach: () => Promise<HostConnection>;
  /** @throws RefusalError `in-use` while another starts or ends for the same home. */
  readonly start: () => Promise<void>;
  readonly pause: (milliseconds: number) => Promise<void>;
  /** Milliseconds. */
  readonly now: () => number;
};

export type HostLink = {
  /** Waits while the host starts for the first time; never rejects. */
  call(name: string, input: unknown): Promise<Reply<unknown>>;
  state(): LinkState;
  /** @returns a function that ends the listening. */
  onEvent(listener: (event: EventName, data: unknown) => void): () => void;
  onState(listener: (state: LinkState) => void): () => void;
  /** Tries again after `down`. */
  tryAgain(): void;
  /** Lets go of the host; ends it where windows may. Takes some seconds at most, longer where it is just starting. */
  end(): Promise<void>;
};

const mostLosses = 5;
const withinMs = 60_000;
const pauseMs = 250;
/** Another host that ends in good order may take as long as a training step. */
const mostPauses = 480;
const mostStopMs = 3000;
const mostStartMs = 20_000;

const lost: BridgeError = {
  code: 'host-gone',
  message: 'The program behind this window stopped. It is started again; nothing was lost.',
};
const keepsStopping: BridgeError = {
  code: 'host-keeps-stopping',
  message: `The program behind this window stopped ${mostLosses} times within a minute and is not started again by itself. Nothing was lost.`,
};

export function openHostLink({ attach, start, pause, now }: HostLinkOptions): HostLink {
  let state: LinkState = { kind: 'starting' };
  let connection: HostConnection | null = null;
  let ended = false;
  let losses: number[] = [];
  const events = new Set<(event: EventName, data: unknown) => void>();
  const states = new Set<(state: LinkState) => void>();
  let connecting = connect();

  function become(next: LinkState): void {
    state = next;
    for (const listener of states) listener(next);
  }

  async function connect(): Promise<void> {
    try {
      if (ended) return;
      const next = await attachOrStart();
      if (ended) return await stop(next);
      connection = next;
      next.onEvent((event, data) => {
        for (const listener of events) listener(event, data);
      });
      next.onClose(() => {
        if (connection === next) recover();
      });
      become({ kind: 'connected' });
    } catch (error) {
      if (!ended) become({ kind: 'down', error: errorOf(error) });
    }
  }

  async function attachOrStart(): Promise<HostConnection> {
    for (let pauses = 0; ;) {
      try {
        return await attach();
      } catch (error) {
        if (codeOf(error) !== 'no-host' || ended) throw error;
      }
      try {
        await start();
      } catch (error) {
        if (codeOf(error) !== 'in-use' || ++pauses > mostPauses || ended) throw error;
        await pause(pauseMs);
      }
    }
  }

  /** A host that another started refuses, and goes on. */
  async function stop(last: HostConnection): Promise<void> {
    await last.call('host.stop', {});
    last.close();
  }

  function recover(): void {
    connection = null;
    if (ended) return;
    losses = [...losses.filter((time) => now() - time < withinMs), now()];
    if (losses.length >= mostLosses) return become({ kind: 'down', error: keepsStopping });
    become({ kind: 'lost', error: lost });
    connecting = pause(pauseMs).then(connect);
  }

  return {
    async call(name, input) {
      if (state.kind === 'starting') await connecting;
      if (connection !== null) return connection.call(name, input);
      return { ok: false, error: 'error' in state ? state.error : lost };
    },
    state: () => state,
    onEvent(listener) {
      events.add(listener);
      return () => void events.delete(listener);
    },
    onState(listener) {
      states.add(listener);
      return () => void states.delete(listener);
    },
    tryAgain() {
      if (state.kind !== 'down') return;
      losses = [];
      become({ kind: 'starting' });
      connecting = connect();
    },
    async end() {
      ended = true;
      const last = connection;
      connection = null;
      // A host that is being started just now is waited for: it would go on although the person said to quit.
      await Promise.race(last === null ? [connecting, pause(mostStartMs)] : [stop(last), pause(mostStopMs)]);
    },
  };
}

const codeOf = (error: unknown): string | null => (error instanceof ConsilienceError ? error.code : null);

const errorOf = (error: unknown): BridgeError =>
  error instanceof ConsilienceError
    ? { code: error.code, message: error.message }
    : { code: 'defect', message: 'The program behind this window could not be started. Please report this.' };
