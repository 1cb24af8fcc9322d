// A whole federation from a seed: real engines, reducers, codecs, ledgers and guards under virtual time, on a bad network,
// disks that tear, power that goes, clocks that jump, and with liars. After every event it is held to what is promised
// (witness.ts). Design 7, "Simulation".

import type { Cipher } from '../ports.ts';
import { subsetSize } from '../sealed-sum/subset.ts';
import { statusFor } from '../round/coordinator-study.ts';
import { createModelChain } from '../round/model-chain.ts';
import type { Contract } from '../study/contract.ts';
import { drawsFrom } from './draws.ts';
import { faultPlan, keyLossOf, themes } from './fault-plan.ts';
import type { FaultPlan, Theme } from './fault-plan.ts';
import { coordinatorLies, lyingCoordinator } from './lying-coordinator.ts';
import type { CoordinatorLie } from './lying-coordinator.ts';
import { institutionLies, lyingInstitution } from './lying-institution.ts';
import type { InstitutionLie } from './lying-institution.ts';
import type { CoordinatorCalls } from './memory-coordinator.ts';
import { rememberingCipher, seededRandom } from './seeded-machine.ts';
import { simulatedCoordinator } from './simulated-coordinator.ts';
import type { KeyLoss } from './simulated-coordinator.ts';
import { simulatedInstitution } from './simulated-institution.ts';
import type { Asked, SimulatedInstitution } from './simulated-institution.ts';
import { simulatedNetwork } from './simulated-network.ts';
import { simulatedRelay } from './simulated-relay.ts';
import type { RelayPlan } from './simulated-relay.ts';
import { relaySigner, smallRegions, smallStudy } from './small-study.ts';
import type { SmallStudy } from './small-study.ts';
import { virtualTime } from './virtual-time.ts';
import { witness } from './witness.ts';
import type { Violation, Witness } from './witness.ts';

export type FaultReport = {
  readonly seed: number;
  readonly theme: Theme;
  readonly institutions: number;
  /** Closed rounds on a sparse graph, of those that are still kept. */
  readonly sparseRounds: number;
  readonly violations: readonly Violation[];
  readonly outcome: string | null;
  readonly closed: number;
  /** Virtual milliseconds that each closed round took from its opening, and who is in its sum. */
  readonly rounds: readonly { readonly ms: number; readonly survivors: readonly number[] }[];
  readonly aborted: number;
  readonly spoiled: number;
  /** Starts of institutions' processes beyond the first of each. */
  readonly restarts: number;
  readonly events: number;
  /** Lies that were really told, and for what liars were excluded. */
  readonly lies: readonly (InstitutionLie | CoordinatorLie)[];
  readonly named: readonly string[];
  /** Codes with which honest institutions stopped for good or were last refused. */
  readonly codes: readonly string[];
  /** Codes with which honest institutions left a round, and reasons of aborted rounds. */
  readonly left: readonly string[];
  readonly keyChanged: boolean;
  /** Contributions in each closed sum. */
  readonly cohorts: readonly number[];
};

export type FaultOptions = {
  readonly theme?: Theme;
  /** The lie of every round, where somebody lies. */
  readonly lie?: CoordinatorLie | InstitutionLie;
  /** Relays in front of equal regions of neighbours, one for each plan. */
  readonly regions?: readonly RelayPlan[];
  /** What opens where there are regions; absent: nothing below the root. */
  readonly opening?: 'root' | 'region';
  /** Whether the graph is sparse; absent: as the seed says. */
  readonly sparse?: boolean;
  /** When the coordinator loses its key on the way, true: at a drawn moment; absent: now and then. */
  readonly keyLoss?: KeyLoss | boolean;
  /** Makes the world worse than promised, so that a test sees the checks notice. */
  readonly change?: (plan: FaultPlan) => FaultPlan;
};

/** Milliseconds of virtual time that a study may take once nothing fails any more. */
const restMs = 3_600_000;

/** Codes that end an institution's part in a study for a good reason. */
const goodReasons: ReadonlySet<string> = new Set([
  'too-many-aborted',
  'attempts-spent',
  'budget-exceeded',
  'not-eligible',
]);

export async function simulateFaults(cipher: Cipher, seed: number, options: FaultOptions = {}): Promise<FaultReport> {
  const own = rememberingCipher(cipher);
  const name = String(seed);
  const streamOf = (label: string) => drawsFrom(seededRandom(own, name, label));
  const theme = options.theme ?? themes[seed % themes.length]!;
  const drawn = faultPlan(
    streamOf('plan'),
    theme,
    (institutions) => {
      const { colluders, least } = smallStudy(own, { institutions }).parameters;
      return { colluders, losses: institutions - least };
    },
    options.sparse ?? null,
  );
  const plan = options.change?.(drawn) ?? drawn;
  const study = studyOf(own, plan, options.regions?.length ?? 0, options.opening ?? 'root');
  const time = virtualTime(Date.parse(study.contract.created));
  const start = time.now();
  const watching = witness(study, { liars: new Set(plan.liars), honestCoordinator: !plan.lyingCoordinator });
  const firstModel = createModelChain(own, study.contract);
  const around = { study, firstModel, time, witness: watching };
  const center = simulatedCoordinator({
    ...around,
    draws: streamOf('coordinator'),
    terms: plan.coordinator,
    keyLoss: plan.lyingCoordinator ? null : keyLossOf(streamOf('key-loss'), plan, options.keyLoss ?? null),
  });
  const network = simulatedNetwork(time, streamOf('network'), plan.network, center);
  const truth = () => center.central().study();
  const told: (InstitutionLie | CoordinatorLie)[] = [];
  const relays = (options.regions ?? []).map((relayPlan, position) =>
    simulatedRelay({
      study,
      region: study.parameters.regions[position]!,
      signer: relaySigner(own, position),
      center,
      time,
      plan: relayPlan,
      pollMs: plan.pollMs,
    }),
  );
  const callsFor = (index: number): CoordinatorCalls =>
    (relays.find(({ region }) => region.members.includes(index)) ?? center.central()).callsFor(index);
  const honestly: Asked = {
    consent: (index) => center.central().apply({ kind: 'consented', index, now: time.now() }),
    // Where a relay is down its members hear nothing.
    status: (index) => (callsFor(index), statusFor(truth(), index)),
    keyChanges: center.keyChanges,
    callsFor,
  };
  const asked = plan.lyingCoordinator
    ? lyingCoordinator({
        honestly,
        study,
        time,
        central: center.central,
        draws: streamOf('lies'),
        colluders: new Set(plan.liars),
        stageMs: 6 * plan.pollMs + 1000,
        onLie: (lie) => void told.push(lie),
        always: oneOf(coordinatorLies, options.lie),
      })
    : honestly;

  const parties: SimulatedInstitution[] = [];
  for (const index of study.identities.keys()) {
    const draws = streamOf(`institution/${index}`);
    const common = { ...around, index, seed: name, network, asked, draws, pollMs: plan.pollMs };
    if (plan.liars.includes(index) && !plan.lyingCoordinator)
      lyingInstitution({
        ...common,
        truth,
        always: oneOf(institutionLies, options.lie),
        onLie: (lie) => void told.push(lie),
      });
    else parties.push(simulatedInstitution({ ...common, terms: plan.institution }));
  }
  for (const { at, whom, whole } of plan.kills)
    time.at(start + at, () => (whom === null ? center.crash() : parties[whom]?.crash(whole)));
  time.at(start + plan.calmFrom, () => {
    network.heal();
    center.heal();
    for (const party of parties) party.heal();
  });

  let events = 0;
  const rounds: { readonly ms: number; readonly survivors: readonly number[] }[] = [];
  let opened = { round: 0, at: start };
  const reasons = new Set<string>();
  const done = (): boolean => watching.violations.length > 0 || parties.every((party) => party.finished());
  await time.run(start + plan.calmFrom + restMs, () => {
    events++;
    const { round, closed } = truth();
    if (closed.length > rounds.length) rounds.push({ ms: time.now() - opened.at, survivors: closed.at(-1)!.survivors });
    if (round !== null && round.round > opened.round) opened = { round: round.round, at: time.now() };
    for (const { accusations, aborted } of [...truth().ended, ...(truth().round === null ? [] : [truth().round!])]) {
      watching.accusations(accusations);
      if (aborted !== null) reasons.add(aborted.body.reason);
    }
    // Once an institution is out for good the others may wait for ever; a lying coordinator ends a study or does not.
    return (
      done() ||
      (time.now() > start + plan.calmFrom + 900_000 && parties.some(isOut)) ||
      (plan.lyingCoordinator && time.now() > start + plan.calmFrom)
    );
  });
  if (!plan.lyingCoordinator && !done() && !parties.some(isOut))
    watching.violated('study-ends', `the study never ends: ${stuckAt(study, truth(), parties)}`);
  if (!plan.lyingCoordinator) requireOneModel(watching, parties);
  return {
    seed,
    theme,
    institutions: plan.institutions,
    sparseRounds: truth().ended.filter((round) => round.stage === 'closed' && round.ring !== undefined).length,
    violations: watching.violations,
    outcome: truth().outcome,
    closed: truth().closed.length,
    rounds,
    aborted: truth().nextRound - 1 - truth().closed.length,
    spoiled: truth().spoiled,
    restarts: parties.reduce((total, party) => total + party.starts() - 1, 0),
    events,
    lies: [...new Set(told)],
    named: [...truth().excluded.values()].map(({ accused, reason }) => `${accused}/${reason}`),
    codes: [...new Set(parties.flatMap((party) => party.lastCode() ?? []))],
    left: [...new Set([...reasons, ...parties.flatMap((party) => party.left())])].sort(),
    keyChanged: center.keyChanges().length > 0,
    cohorts: truth().closed.map(({ survivors }) => survivors.length),
  };
}

const oneOf = <Lie extends string>(known: readonly Lie[], lie: string | undefined): Lie | null =>
  known.find((one) => one === lie) ?? null;

const isOut = (party: SimulatedInstitution): boolean => goodReasons.has(party.lastCode() ?? '');

function studyOf(cipher: Cipher, plan: FaultPlan, regions: number, opening: 'root' | 'region'): SmallStudy {
  const seconds = plan.stageSeconds;
  const stageSeconds = { ready: seconds, shares: seconds, masked: seconds, consistency: seconds, unmask: seconds };
  return smallStudy(cipher, {
    institutions: plan.institutions,
    ...(plan.sparse === null ? {} : { sparse: plan.sparse }),
    change: (contract) => ({
      ...contract,
      sealing: {
        ...contract.sealing,
        ...(plan.packedBits === null ? {} : { packing: 'ring', ringBits: plan.packedBits }),
        ...(plan.subset === null ? {} : subsetOf(contract.sealing.dimension, plan.subset)),
      },
      // Every unit, always: then the guard's accounting is a closed form and costs next to nothing.
      training: { ...contract.training, samplingRate: 1 },
      schedule: { rounds: plan.rounds, attempts: 40, stageSeconds, intervalSeconds: 2, ...plan.schedule },
      ...(regions === 0 ? {} : regionalTerms(cipher, contract, regions, opening)),
    }),
  });
}

const subsetOf = (parameters: number, share: number): Pick<Contract['sealing'], 'dimension' | 'subset'> => ({
  dimension: subsetSize(parameters, share),
  subset: { kind: 'seeded', share, parameters },
});

/** A quorum that bears the loss of a whole region, and few enough colluders that a region's honest members are heard. */
function regionalTerms(
  cipher: Cipher,
  { roster, sealing }: Contract,
  count: number,
  opening: 'root' | 'region',
): Partial<Contract> {
  const threshold = roster.length - Math.ceil(roster.length / count);
  const regions = smallRegions(cipher, roster.length, count, opening);
  const smaller = { ...sealing, threshold, cohortFloor: threshold, colluders: 1 };
  if (opening === 'root') return { regions, sealing: smaller };
  // Of t_r − c honest shares in the smallest region's sum, in place of the t − c of the whole.
  const honest = Math.min(...regions.relays.map((relay) => relay.threshold!)) - 1;
  const needed = sealing.noiseVariance * (sealing.threshold - sealing.colluders);
  return { regions, sealing: { ...smaller, noiseVariance: Math.ceil(needed / honest) } };
}

function requireOneModel(watching: Witness, parties: readonly SimulatedInstitution[]): void {
  const models = new Set(parties.flatMap((party) => (party.finished() ? [party.model()] : [])));
  if (models.size > 1) watching.violated('same-model', 'institutions that finished hold different models');
}

function stuckAt(
  study: SmallStudy,
  {
    round,
    nextRound,
    outcome,
  }: { readonly round: { readonly stage: string } | null; readonly nextRound: number; readonly outcome: string | null },
  parties: readonly SimulatedInstitution[],
): string {
  const who = parties.map((party) => (party.finished() ? 'finished' : (party.lastCode() ?? 'at work'))).join(', ');
  return `outcome ${outcome ?? 'none'}, ${nextRound - 1} of ${study.contract.schedule.attempts} numbers, stage ${round?.stage ?? 'none'}; ${who}`;
}
