// The shell's link to its host against hosts in memory: attached or started, lost and brought back, given up, ended; with a
// clock that the test turns.

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { RefusalError, UnavailableError } from '../../../app/errors.ts';
import type { Reply } from '../../../app/bridge.ts';
import { openHostLink } from '../../../main/desktop/host-link.ts';
import type { HostLink, LinkState } from '../../../main/desktop/host-link.ts';
import type { HostConnection } from '../../../main/host/bridge/socket.ts';

type World = {
  readonly link: HostLink;
  readonly states: LinkState[];
  readonly calls: string[];
  starts: number;
  /** Milliseconds. */
  time: number;
  /** The host dies. */
  kill(): Promise<void>;
};

type WorldOptions = {
  /** Whether a host runs before. */
  readonly running?: boolean;
  /** Waits, or throws, in place of a start. */
  readonly starting?: (starts: number) => Promise<void>;
};

const ok: Reply<unknown> = { ok: true, value: {} };
const settled = async (): Promise<void> => {
  for (let turns = 0; turns < 20; turns++) await turn();
};

function world({ running = false, starting = () => Promise.resolve() }: WorldOptions = {}): World {
  let runs = running;
  let closers: (() => void)[] = [];
  const attached = (): HostConnection => ({
    call(name) {
      made.calls.push(name);
      if (name === 'host.stop') runs = false;
      return Promise.resolve(ok);
    },
    onEvent(listener) {
      listener('round.changed', 'now');
    },
    onClose: (listener) => void closers.push(listener),
    close: () => void made.calls.push('closed'),
  });
  const made: Omit<World, 'link'> = {
    states: [],
    calls: [],
    starts: 0,
    time: 0,
    async kill() {
      runs = false;
      for (const close of closers.splice(0)) close();
      await settled();
    },
  };
  const link = openHostLink({
    attach: () =>
      runs ? Promise.resolve(attached()) : Promise.reject(new UnavailableError('no-host', 'No host listens.')),
    async start() {
      await starting(++made.starts);
      runs = true;
    },
    // The longest ones only bound what the test ends by itself.
    pause: (milliseconds) => (milliseconds > 1000 ? new Promise(() => {}) : Promise.resolve()),
    now: () => made.time,
  });
  link.onState((state) => made.states.push(state));
  return Object.assign(made, { link });
}

const kinds = ({ states }: World): string[] => states.map(({ kind }) => kind);

test('a host that runs is attached to; where none runs, one is started; calls wait for it', async () => {
  const there = world({ running: true });
  assert.deepEqual(await there.link.call('session.get', {}), ok);
  assert.deepEqual([there.starts, kinds(there)], [0, ['connected']]);
  const none = world();
  assert.deepEqual(await none.link.call('session.get', {}), ok);
  assert.deepEqual([none.starts, kinds(none)], [1, ['connected']]);
});

test('a host that is lost is brought back, and what was asked meanwhile is told so', async () => {
  const here = world();
  await settled();
  const heard: unknown[] = [];
  here.link.onEvent((event) => heard.push(event));
  const killed = here.kill();
  const reply = await here.link.call('session.get', {});
  assert.equal(reply.ok ? null : reply.error.code, 'host-gone');
  await killed;
  assert.deepEqual([here.starts, kinds(here)], [2, ['connected', 'lost', 'connected']]);
  assert.deepEqual(heard, ['round.changed']);
});

test('five losses within a minute are the last; a person says when again', async () => {
  const here = world();
  await settled();
  for (let losses = 1; losses <= 5; losses++) {
    here.time += 10_000;
    await here.kill();
  }
  assert.deepEqual([here.starts, here.link.state().kind], [5, 'down']);
  const reply = await here.link.call('session.get', {});
  assert.equal(reply.ok ? null : reply.error.code, 'host-keeps-stopping');
  here.link.tryAgain();
  await settled();
  assert.deepEqual([here.starts, here.link.state().kind], [6, 'connected']);
  here.link.tryAgain();
  await settled();
  assert.equal(here.starts, 6, 'only where there is none');
});

test('losses that are a minute apart are no reason to give up', async () => {
  const here = world();
  await settled();
  for (let losses = 1; losses <= 12; losses++) {
    here.time += 16_000;
    await here.kill();
  }
  assert.equal(here.link.state().kind, 'connected');
});

test('what the host refuses with is said; a home that another holds is waited for', async () => {
  const refused = world({ starting: () => Promise.reject(new RefusalError('host-altered', 'index.js was changed.')) });
  const reply = await refused.link.call('session.get', {});
  assert.deepEqual(reply, { ok: false, error: { code: 'host-altered', message: 'index.js was changed.' } });
  const defect = world({ starting: () => Promise.reject(new Error('a path of this machine')) });
  const said = await defect.link.call('session.get', {});
  assert.ok(!said.ok && said.error.code === 'defect' && !said.error.message.includes('a path'));
  const waited = world({
    starting: (starts) => (starts < 5 ? Promise.reject(new RefusalError('in-use', 'In use.')) : Promise.resolve()),
  });
  assert.deepEqual(await waited.link.call('session.get', {}), ok);
  assert.equal(waited.starts, 5);
});

test('the end stops the host, also one that is just being started, and brings none back', async () => {
  const here = world();
  await settled();
  await here.link.end();
  assert.deepEqual(here.calls, ['host.stop', 'closed']);
  await here.kill();
  assert.equal(here.starts, 1);

  let begin = (): void => {};
  const early = world({ starting: () => new Promise((done) => (begin = done)) });
  await settled();
  const ended = early.link.end();
  begin();
  await ended;
  assert.deepEqual(early.calls, ['host.stop', 'closed']);
  assert.deepEqual(kinds(early), []);
});
