// What a run waits out: a clock that is off, a coordinator whose disk is full or that is slow. Each is said in words, and
// nothing is lost when it passes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RefusalError, UnavailableError } from '../../../../app/errors.ts';
import { runParticipant } from '../../../../main/host/participant/run.ts';
import { readStatus } from '../../../../main/host/participant/status.ts';
import { ledgerEntries, makeCentral, makeHomes, quickTrainer } from './homes.ts';

const schedule = {
  rounds: 2,
  attempts: 4,
  stageSeconds: { ready: 30, shares: 30, masked: 30, consistency: 30, unmask: 30 },
  intervalSeconds: 0,
};

type Trouble = { readonly error: Error; readonly kind: string; readonly sentence: RegExp };

const troubles: readonly (readonly [string, Trouble])[] = [
  [
    'this machine’s clock is hours off',
    {
      error: new RefusalError('request-stale', 'The request is dated 18000 seconds away. Set this machine’s clock.'),
      kind: 'clock',
      sentence: /18000 seconds away.*Nothing is lost; it is tried again/,
    },
  ],
  [
    'the coordinator’s disk is full',
    {
      error: new UnavailableError('coordinator-disk-full', 'The coordinator’s disk is full, so nothing was accepted.'),
      kind: 'unreachable',
      sentence: /The coordinator’s disk is full.*Nothing is lost; it is tried again/,
    },
  ],
  [
    'the coordinator does not answer in time',
    {
      error: new UnavailableError('coordinator-slow', 'The coordinator did not answer in time.'),
      kind: 'unreachable',
      sentence: /did not answer in time.*Nothing is lost/,
    },
  ],
];

for (const [name, { error, kind, sentence }] of troubles)
  test(`${name}, at the first status and at an upload: said, waited out, nothing lost`, async (t) => {
    const homes = await makeHomes(3, (contract) => ({ ...contract, schedule }));
    t.after(() => homes.remove());
    for (const institution of homes.institutions) await homes.consent(institution);
    const central = makeCentral(homes.signed.contract);
    const told: string[] = [];
    const runs = homes.institutions.map((institution, at) =>
      runParticipant({
        home: institution.home,
        keys: homes.keys,
        study: null,
        policy: null,
        trainer: quickTrainer(),
        signal: new AbortController().signal,
        onEvent: (event) => void (at === 0 && event.kind === kind && told.push(event.text)),
        connect: (_stored, index) => {
          const connection = central.connect(index);
          if (at !== 0) return Promise.resolve(connection);
          let [statuses, uploads] = [0, 0];
          const { port } = connection;
          return Promise.resolve({
            ...connection,
            status: (cursor, waitMs, signal) =>
              statuses++ === 0 ? Promise.reject(error) : connection.status(cursor, waitMs, signal),
            port: new Proxy(port, {
              get: (target, method, receiver) =>
                method === 'upload' && uploads++ === 0 && error instanceof UnavailableError
                  ? () => Promise.reject(error)
                  : (Reflect.get(target, method, receiver) as unknown),
            }),
          });
        },
      }),
    );
    const results = await Promise.all(runs);
    assert.equal(new Set(results.map((result) => result.model)).size, 1);
    assert.ok(results.every((result) => result.outcome === 'complete' && result.roundsClosed === 2));
    assert.ok(told.length >= 1);
    for (const text of told) assert.match(text, sentence);
    const { home } = homes.institutions[0]!;
    const rounds = (await ledgerEntries(home)).filter((entry) => entry.kind === 'budget-reserved');
    assert.deepEqual(
      rounds.map((entry) => entry.body['round']),
      [1, 2],
    );
    assert.equal((await readStatus(home))?.doing, 'finished');
  });
