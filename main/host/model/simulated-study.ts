// A study on given files in one process: real records, the real engine, sealing, ledger and guard; only time, disk and
// network are in memory. `simulate` and the benchmarks stand on it. Design 1, "Command line".

import { setImmediate } from 'node:timers/promises';
import { toHex } from '../../../app/encoding/bytes.ts';
import { signerFromSeed } from '../../../app/encoding/signature.ts';
import { InputError, RefusalError } from '../../../app/errors.ts';
import type { Random, Signer } from '../../../app/ports.ts';
import { reviewContract } from '../../../app/review/check.ts';
import type { Review } from '../../../app/review/check.ts';
import { privacyFigures } from '../../../app/review/privacy-figures.ts';
import { studyFilter } from '../../../app/review/study-filter.ts';
import { epsilonAtCeiling } from '../../../app/privacy/ceiling.ts';
import type { Adaptation } from '../../../app/round/adaptation.ts';
import { createModelChain } from '../../../app/round/model-chain.ts';
import { simulateStudy } from '../../../app/simulation/federation.ts';
import type { SimulationResult } from '../../../app/simulation/federation.ts';
import { seededNotPrivate, seededRandom } from '../../../app/simulation/seeded-machine.ts';
import type { Contract, ContractDraft } from '../../../app/study/contract.ts';
import { adjacencyOf } from '../../../app/study/consent.ts';
import { finaliseDraft } from '../../../app/study/signed-contract.ts';
import { evaluate } from '../../../app/training/evaluate.ts';
import type { Metrics } from '../../../app/training/evaluate.ts';
import { studyFloatTerm } from '../../../app/training/float-term.ts';
import { evaluateLanguage } from '../../../app/training/language/evaluate.ts';
import { trainLanguageOwnSite } from '../../../app/training/language/own-site.ts';
import { architectureOf, parameterCount } from '../../../app/training/model.ts';
import { trainOwnSite } from '../../../app/training/own-site.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { requireAccepted, requireAgreedUnits, unitRows } from '../../../app/training/records.ts';
import type { Records } from '../../../app/training/records.ts';
import { isLanguageTask } from '../../../app/training/types.ts';
import type { TrainingTask } from '../../../app/training/types.ts';
import type { Adjacency, PrivacyUnit } from '../../../app/units.ts';
import { chooseBackend } from '../../trainer/candidates.ts';
import { Helpers } from '../../trainer/helpers.ts';
import { openLanguage } from '../../trainer/language.ts';
import type { OpenedLanguage } from '../../trainer/language.ts';
import { threadedNoise } from '../../trainer/noise-threads.ts';
import { roundVector } from '../../trainer/step.ts';
import { nodeCipher, systemRandom } from '../machine.ts';
import { sealedEvaluation } from '../sealing/sealed-evaluation.ts';
import type { SealedEvaluation } from '../sealing/sealed-evaluation.ts';
import { readTable } from '../import/read-table.ts';

export type SimulatedFiles = {
  readonly draft: ContractDraft;
  /** Records file by roster name; every institution of the roster must have one. */
  readonly silos: ReadonlyMap<string, string>;
  readonly tests: ReadonlyMap<string, string>;
  /** By roster name; without one, a file's columns are the study's. */
  readonly mappings?: ReadonlyMap<string, Mapping>;
  /** Folder of a language task's checkpoint. */
  readonly checkpoint?: string | null;
  /** Null: real randomness. Otherwise the run repeats and nothing in it is private. */
  readonly seed: string | null;
  /** False: the own-site baselines are not trained; they take longer than the study. */
  readonly ownSite?: boolean;
  readonly onRound?: (round: number, total: number) => void;
  /** Also the released parameters after each round, for curves. */
  readonly onModel?: (round: number, released: Float32Array) => void;
};

export type Scores = { readonly perInstitution: { readonly [name: string]: number }; readonly mean: number };

export type SimulatedStudy = {
  readonly contract: Contract;
  readonly review: Review;
  readonly rounds: number;
  readonly metric: 'accuracy' | 'rootMeanSquaredError' | 'perplexity';
  readonly metrics: { readonly federated: Scores; readonly ownSite: Scores | null } | null;
  /** What the sums themselves say about persons who never trained, inside ε; null where the contract evaluates nothing. */
  readonly evaluation: SealedEvaluation | null;
  readonly privacy: {
    readonly unit: PrivacyUnit;
    readonly adjacency: Adjacency;
    readonly delta: number;
    readonly epsilon: { readonly coordinator: number | null; readonly outsiders: number | null };
    readonly hypothetical: boolean;
    readonly accountant: string;
    readonly noiseMultiplier: number | null;
    readonly noise: string;
    readonly institutionsPerPerson: number;
  };
  /** Clip and noise as the released sums left them for a next round; null where the contract adapts nothing. */
  readonly adaptation: Adaptation | null;
  readonly ledger: { readonly verified: boolean };
  readonly released: Float32Array;
  /** H(model), the same at every institution that closed the last round. */
  readonly model: string;
  readonly bytesSent: number;
};

/** @throws RefusalError `contract-refused` with the first reason; InputError for files; UsageError never. */
export async function simulateFiles(files: SimulatedFiles): Promise<SimulatedStudy> {
  const { draft, silos, tests, seed } = files;
  const randomFor = (label: string): Random => (seed === null ? systemRandom : seededRandom(nodeCipher, seed, label));
  const signer = (label: string): Signer => signerFromSeed(nodeCipher, randomFor(label).bytes(32));
  const identities = draft.roster.map((entry) => signer(`identity/${entry.name}`));
  const [lead, coordinator] = [signer('lead'), signer('coordinator')];
  const relays = (draft.regions?.relays ?? []).map(({ name }) => signer(`relay/${name}`));
  const contract = finaliseDraft(withoutKeys(draft, relays), {
    leadKey: toHex(lead.publicKey),
    coordinatorKey: toHex(coordinator.publicKey),
    rosterKeys: new Map(draft.roster.map((entry, index) => [entry.name, toHex(identities[index]!.publicKey)])),
  });
  const review = reviewContract({
    contract,
    modelDimension: parameterCount(contract.task),
    floatTerm: studyFloatTerm(contract.task, contract.training),
    policy: null,
    now: Date.parse(contract.created),
  });
  requireReviewed(review);
  const { task } = contract;
  // A language task's texts are read by its checkpoint, which the backend holds.
  const early = isLanguageTask(task) ? await chooseBackend() : null;
  const language = isLanguageTask(task) ? await openLanguage(task, files.checkpoint ?? null) : null;
  const records = await recordsOf(contract, silos, files.mappings, language);
  for (const { name, nominalUnits } of contract.roster) {
    const { unit, person } = contract.training;
    requireAgreedUnits(unitRows(records.get(name)!, unit, person).length, nominalUnits);
  }
  const testRecords = await recordsOf(contract, tests, files.mappings, language);
  const helpers = new Helpers((early ?? (await chooseBackend())).name);
  const randoms = contract.roster.map((entry) => randomFor(`training/${entry.name}`));
  /** Metrics of each applied sum, by its number. */
  const evaluated = new Map<number, Float64Array>();
  const result = await simulateStudy({
    cipher: nodeCipher,
    contract,
    identities,
    coordinator,
    relays,
    randomFor,
    train: async (index, _round, parameters, terms, subset) => {
      const vector = await roundVector({
        contract: terms,
        index,
        parameters,
        subset,
        records: records.get(contract.roster[index]!.name)!,
        random: randoms[index]!,
        language,
        skipEmpty: true,
        helpersOf: (work, setup) => helpers.forWork(work, { ...setup, checkpointFolder: files.checkpoint ?? null }),
        // So that helpers are heard.
        pause: () => setImmediate(),
        // A seeded run draws everything from its seed, in one order.
        ...(seed === null ? { drawNoise: threadedNoise(systemRandom) } : {}),
      });
      return { words: vector.words, trained: vector.failure === null, reason: vector.failure };
    },
    onModel: ({ updates, metrics }) => void evaluated.set(updates, metrics),
    onRound: (round, model) => {
      files.onRound?.(round, contract.schedule.rounds);
      files.onModel?.(round, model.released);
    },
  }).finally(() => void helpers.close());
  const model =
    result.models.find((chain) => chain.hash === result.study.model) ?? createModelChain(nodeCipher, contract);
  return {
    contract,
    review,
    rounds: result.study.closed.length,
    metric: metricOf(task.kind),
    metrics:
      testRecords.size === 0
        ? null
        : await scoresOf(
            language === null ? tableScorer(task) : languageScorer(language),
            records,
            testRecords,
            model.released,
            files.ownSite ?? true,
          ),
    evaluation: sealedEvaluation(contract, [...evaluated.values()]),
    privacy: privacyOf(contract, result, seed !== null),
    adaptation: model.adaptation,
    ledger: { verified: result.ledgers.every((ledger) => ledger.verified) },
    released: model.released,
    model: model.hash,
    bytesSent: result.bytesSent,
  };
}

/** A simulation signs with keys of its own, whatever keys the draft may hold already. */
function withoutKeys(draft: ContractDraft, relays: readonly Signer[]): ContractDraft {
  const { identityKey: _lead, ...lead } = draft.lead;
  const { key: _key, ...coordinator } = draft.coordinator;
  const roster = draft.roster.map(({ identityKey: _identity, ...entry }) => entry);
  const { regions } = draft;
  const keyed = regions?.relays.map((relay, at) => ({ ...relay, key: toHex(relays[at]!.publicKey) }));
  return {
    ...draft,
    lead,
    coordinator,
    roster,
    ...(regions === undefined ? {} : { regions: { ...regions, relays: keyed! } }),
  };
}

function requireReviewed(review: Review): void {
  const refusals = review.findings.filter((finding) => finding.level === 'refuse');
  if (refusals.length === 0) return;
  const reasons = refusals.map((finding) => `${finding.reason} ${finding.repair}`).join(' ');
  throw new RefusalError('contract-refused', `The contract check refuses this study: ${reasons}`);
}

async function recordsOf(
  contract: Contract,
  files: ReadonlyMap<string, string>,
  mappings: ReadonlyMap<string, Mapping> = new Map(),
  language: OpenedLanguage | null = null,
): Promise<Map<string, Records>> {
  const out = new Map<string, Records>();
  for (const [name, file] of files) {
    const options = { labels: true, mapping: mappings.get(name) ?? null, tokenise: language?.tokenise ?? null };
    try {
      out.set(name, requireAccepted(await readTable(file, contract.task.table, options)));
    } catch (error) {
      // One of many files: whose it is has to be said.
      if (!(error instanceof InputError)) throw error;
      throw new InputError(error.code, `The records of "${name}" (${file}): ${error.message}`, { cause: error });
    }
  }
  return out;
}

/** How a task's models are scored, and trained at one site alone. */
type Scorer = {
  readonly score: (parameters: Float32Array, test: Records) => Promise<number>;
  readonly ownSite: (records: Records) => Promise<Float32Array>;
};

function tableScorer(task: TrainingTask): Scorer {
  const architecture = architectureOf(task);
  return {
    score: (parameters, test) => Promise.resolve(scoreOf(evaluate(task, architecture, parameters, test))),
    ownSite: (records) => trainOwnSite(task, records),
  };
}

function languageScorer(language: OpenedLanguage): Scorer {
  return {
    score: async (parameters, test) => {
      const metrics = await evaluateLanguage(language, parameters, test);
      return metrics.kind === 'causal-lm' ? metrics.perplexity : metrics.accuracy;
    },
    ownSite: (records) => trainLanguageOwnSite(language, records),
  };
}

function metricOf(kind: TrainingTask['kind']): SimulatedStudy['metric'] {
  return kind === 'tabular-regression' ? 'rootMeanSquaredError' : kind === 'causal-lm' ? 'perplexity' : 'accuracy';
}

async function scoresOf(
  scorer: Scorer,
  records: ReadonlyMap<string, Records>,
  tests: ReadonlyMap<string, Records>,
  released: Float32Array,
  withOwnSite: boolean,
): Promise<NonNullable<SimulatedStudy['metrics']>> {
  const federated: Record<string, number> = {};
  const ownSite: Record<string, number> = {};
  for (const [name, test] of tests) {
    federated[name] = await scorer.score(released, test);
    if (!withOwnSite) continue;
    ownSite[name] = await scorer.score(await scorer.ownSite(records.get(name)!), test);
  }
  return { federated: withMean(federated), ownSite: withOwnSite ? withMean(ownSite) : null };
}

const scoreOf = (metrics: Metrics): number =>
  metrics.kind === 'classification' ? metrics.accuracy : metrics.rootMeanSquaredError;

function withMean(perInstitution: { readonly [name: string]: number }): Scores {
  const values = Object.values(perInstitution);
  return { perInstitution, mean: values.reduce((total, value) => total + value, 0) / values.length };
}

/** ε of the rounds that were charged, at their worst case; where noise adapts, as the study's filter counted them. */
function chargedFigures(contract: Contract, { study }: SimulationResult, charged: number) {
  const filter = studyFilter(contract, '');
  if (filter === null || study.filter === undefined)
    return privacyFigures({ ...contract, schedule: { ...contract.schedule, attempts: charged } });
  const spent = epsilonAtCeiling(study.filter.spent, filter);
  // Outsiders know of no colluder's noise, so it is a bound against them too.
  return { epsilon: { coordinator: spent, outsiders: spent } };
}

function privacyOf(contract: Contract, result: SimulationResult, seeded: boolean): SimulatedStudy['privacy'] {
  const { training, privacy } = contract;
  const charged = Math.max(1, result.study.charged);
  const { epsilon } = chargedFigures(contract, result, charged);
  const noiseless = privacy.noise === 'none';
  return {
    unit: training.unit,
    adjacency: adjacencyOf(contract),
    delta: privacy.delta,
    epsilon: { coordinator: epsilon.coordinator, outsiders: epsilon.outsiders },
    hypothetical: seeded && !noiseless,
    accountant: 'rdp',
    noiseMultiplier: privacy.noiseMultiplier,
    noise: noiseless ? 'none' : seeded ? seededNotPrivate : privacy.noise,
    institutionsPerPerson: training.institutionsPerPerson,
  };
}
