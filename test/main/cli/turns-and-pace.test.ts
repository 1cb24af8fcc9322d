// Turns and a pace with real processes over HTTP: five institutions of whom four are asked in each round, as the study terms'
// hash has it, and one that stops dead in the middle of the first round and holds nobody. It goes on afterwards, and all
// five end with one model.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { studyParameters } from '../../../app/round/parameters.ts';
import { openSignedContract } from '../../../app/study/signed-contract.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { freePort } from '../free-port.ts';
import { ledgerEntries, recordsText } from '../host/participant/homes.ts';
import { consentEverybody, endedWithin, processFederation } from './process-federation.ts';

const rounds = 3;

test('four of five by turns, at the pace of the others', { timeout: 900_000 }, async (t) => {
  // A stage lasts longer than the test: without a pace the first round would outlive it. A minute is for whoever starts late.
  const seconds = { ready: 1800, shares: 1800, masked: 1800, consistency: 1800, unmask: 1800 };
  const fed = await processFederation({
    records: [1, 2, 3, 4, 5].map((seed) => recordsText(60, seed)),
    port: await freePort(),
    schedule: {
      rounds,
      attempts: 8,
      stageSeconds: seconds,
      intervalSeconds: 1,
      selection: { institutions: 4, slow: [], slowPerRound: 0 },
      pace: { enough: 3, patience: 2, leastSeconds: 60 },
    },
    change: (contract) => ({
      ...contract,
      sealing: { ...contract.sealing, threshold: 3, cohortFloor: 3, colluders: 1 },
    }),
  });
  t.after(() => fed.close());
  const { contract } = openSignedContract(nodeCipher, await readFile(fed.at('signed.json'), 'utf8'));
  const asked = studyParameters(nodeCipher, contract).selected!;
  await fed.startCoordinator();
  await consentEverybody(fed);

  // The first institution that is asked for in round 1 stops as soon as the cohort is known to it.
  const [stopped] = asked(1) as [number];
  const runs = fed.names.map((name) => fed.takePart(name));
  const { child } = runs[stopped]!;
  let heard = '';
  const known = new Promise<void>((resolve) => {
    const hear = (data: Buffer): void => {
      const before = heard;
      heard += data.toString('utf8');
      const now = /Round 1: the cohort is known/;
      if (now.test(heard) && !now.test(before) && child.kill('SIGSTOP')) resolve();
    };
    child.stdout!.on('data', hear);
    child.stderr!.on('data', hear);
  });
  await known;
  while (!/"event":"round-ended","round":1,/.test(fed.said())) await sleep(100);
  child.kill('SIGCONT');

  const models = new Set<unknown>();
  for (const [index, run] of runs.entries()) {
    const { code, out } = await endedWithin(run, 600);
    assert.equal(code, 0, `site-${index}: ${out} ${fed.said()}`);
    models.add((JSON.parse(out.trimEnd().split('\n').at(-1)!) as { model: string }).model);
  }
  assert.equal(models.size, 1);
  for (const name of fed.names) {
    const closed = (await ledgerEntries(fed.at(name))).filter(({ kind }) => kind === 'round-closed');
    assert.equal(closed.length, rounds, name);
    for (const { body } of closed) {
      const cohort = body['cohort'] as number[];
      const turn = asked(Number(body['round']));
      const expected = body['round'] === 1 ? turn.filter((index) => index !== stopped) : turn;
      assert.deepEqual(cohort, expected, `round ${String(body['round'])}`);
    }
  }
});
