// npm run test:mutate-privacy [-- WORDS… | K/N]: plants the classical mistakes of private training, one at a time, and runs the tests that
// should notice. A mistake that none notices is a survivor, and the run fails with its name. Two at a time; the product's
// files are not touched (planted.ts).

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { noticedBy, passes, readSource, single } from './planted.ts';
import type { Change } from './planted.ts';

export type Planted = {
  /** The mistake, in words. */
  readonly name: string;
  readonly file: string;
  /** Text in the file, once, and what stands there instead; several make one mistake together. */
  readonly replace: readonly (readonly [from: string, to: string])[];
  /** Tests of which at least one must fail. */
  readonly tests: readonly string[];
};

export const plantedBugs: readonly Planted[] = [
  {
    name: 'variance for deviation, in the charge',
    file: 'app/privacy/sealed-sum-loss.ts',
    replace: [
      [
        'return sqrt(event.honestShares * event.noiseVariance - roundingVariance) / event.sensitivity;',
        'return (event.honestShares * event.noiseVariance - roundingVariance) / event.sensitivity;',
      ],
    ],
    tests: ['test/app/privacy/rdp-accountant.test.ts'],
  },
  {
    name: 'deviation for variance, in the sampler',
    file: 'app/sealed-sum/gaussian-table.ts',
    replace: [
      ['const doubled = 2n * BigInt(variance);', 'const doubled = 2n * BigInt(Math.ceil(Math.sqrt(variance)));'],
    ],
    tests: ['test/app/sealed-sum/noise.test.ts'],
  },
  {
    name: 'clip not applied to records',
    file: 'app/training/clipped-sum.ts',
    replace: [['limit === null ? weights : mul(', 'limit === null || limit > 0 ? weights : mul(']],
    tests: ['test/app/training/clipped-sum.test.ts'],
  },
  {
    name: 'clip not applied to persons',
    file: 'app/training/clipped-sum.ts',
    replace: [['limit === null || squares === 0 ? 1 : Math.min(', 'limit === null || squares >= 0 ? 1 : Math.min(']],
    tests: ['test/app/training/clipped-sum.test.ts'],
  },
  {
    name: 'noise before clip',
    file: 'main/trainer/sealed-vector.ts',
    replace: [
      [
        'return noisedWords(quantised, await noiseOf(request));\n}\n\n/** local',
        `const noise = await noiseOf(request);
  const early = clippedUpdate(vector.map((x, i) => x + noise[i]! / contract.sealing.scale), noisedRule(contract).clipNorm);
  return noisedWords(quantise(random, early, noisedRule(contract), sumRule(contract).bound), new Int32Array(noise.length));
}

/** local`,
      ],
    ],
    tests: ['test/main/trainer/sealed-vector.test.ts'],
  },
  {
    name: 'wrong divisor',
    file: 'app/training/server-optimiser.ts',
    replace: [['training.samplingRate * nominal[index] :', 'nominal[index] :']],
    tests: ['test/app/training/server-optimiser.test.ts'],
  },
  {
    name: 'sampling not Poisson: batches of one size',
    file: 'app/training/poisson.ts',
    replace: [
      [
        'if (source.isBelow(rate)) sampled.push(unit);',
        'if (sampled.length < Math.round(rate * units) && source.isBelow(1)) sampled.push(unit);',
      ],
    ],
    tests: ['test/app/training/poisson.test.ts'],
  },
  {
    name: 'noise reused for another part of the vector',
    file: 'app/sealed-sum/noise.ts',
    replace: [
      [
        '  sampler.draw(share);\n',
        '  sampler.draw(share.subarray(0, Math.ceil(dimension / 2)));\n  share.copyWithin(Math.ceil(dimension / 2), 0, Math.floor(dimension / 2));\n',
      ],
    ],
    tests: ['test/app/sealed-sum/noise.test.ts'],
  },
  {
    name: 'noise reused for each step',
    file: 'main/trainer/sealed-vector.ts',
    replace: [
      [
        '? noiseShare(random, variance, dimension) :',
        '? ((globalThis as { reused?: Int32Array }).reused ??= noiseShare(random, variance, dimension)) :',
      ],
    ],
    tests: ['test/main/trainer/sealed-vector.test.ts'],
  },
  {
    name: 'a thread that draws no noise taken for one that did',
    file: 'main/trainer/noise-threads.ts',
    replace: [['(count === to - from ? resolve() : lost())', '(count === to - from || to > 0 ? resolve() : lost())']],
    tests: ['test/main/trainer/noise-threads.test.ts'],
  },
  {
    name: 'threads that draw the same part of the noise',
    file: 'main/trainer/noise-threads.ts',
    replace: [['{ share, from: bounds[at]!, to, variance }', '{ share, from: 0, to: to - bounds[at]!, variance }']],
    tests: ['test/main/trainer/noise-threads.test.ts'],
  },
  {
    name: 'h computed from n instead of survivors',
    file: 'app/round/charge.ts',
    replace: [['fewestInSum(contract, survivors));', 'contract.roster.length);']],
    tests: ['test/app/review/figures.test.ts', 'test/app/simulation/federation.test.ts'],
  },
  {
    name: 'worst case computed from n instead of the quorum',
    file: 'app/review/round-event.ts',
    replace: [['survivors = leastInSum(contract))', 'survivors = contract.roster.length)']],
    tests: ['test/app/review/check.test.ts'],
  },
  {
    name: 'charge after release',
    file: 'app/round/engine.ts',
    replace: [
      [
        '    if (!ledger.isReserved(state.round))\n      await ledger.reserve(state.round, worstCaseEvent(model.terms), masked.body.root);\n    await sendOnce(masked, async () => {',
        '    await sendOnce(masked, async () => {',
      ],
      [
        '      await coordinator.upload(state.round, chunks);\n    });',
        '      await coordinator.upload(state.round, chunks);\n    });\n    if (!ledger.isReserved(state.round)) await ledger.reserve(state.round, worstCaseEvent(model.terms), masked.body.root);',
      ],
    ],
    tests: ['test/app/round/crashes.test.ts'],
  },
  {
    name: 'continuous noise charged for discrete',
    file: 'app/privacy/sealed-sum-loss.ts',
    replace: [['const roundingVariance = 4;', 'const roundingVariance = 0;']],
    tests: ['test/app/privacy/rdp-accountant.test.ts', 'test/app/privacy/pld.test.ts'],
  },
  {
    name: 'replace-one read as add-or-remove, by RDP',
    file: 'app/privacy/rdp-accountant.ts',
    replace: [["event.adjacency === 'replace-one' ? 2 : 1;", "event.adjacency === 'replace-one' ? 1 : 1;"]],
    tests: ['test/app/privacy/rdp-accountant.test.ts'],
  },
  {
    name: 'replace-one read as add-or-remove, by PLD',
    file: 'app/privacy/pld-accountant.ts',
    replace: [["event.adjacency === 'replace-one' ? 2 : 1;", "event.adjacency === 'replace-one' ? 1 : 1;"]],
    tests: ['test/app/privacy/pld-accountant.test.ts'],
  },
  {
    name: 'a failed training drops out instead of sending zero plus noise',
    file: 'main/trainer/step.ts',
    replace: [
      [
        "failure ??= error instanceof ConsilienceError ? error.code : 'training-failed';\n    }\n    return new Float64Array(length",
        'throw error;\n    }\n    return new Float64Array(length',
      ],
    ],
    tests: ['test/main/trainer/sealed-vector.test.ts'],
  },
  {
    name: 'a late training drops out instead of sending zero plus noise',
    file: 'main/host/participant/trainer.ts',
    replace: [['const words = await zeroPlusNoise(', 'const words = await Promise.reject(']],
    tests: ['test/main/host/participant/trainer.test.ts'],
  },
  {
    name: 'float32 accumulation',
    file: 'app/training/clipped-sum.ts',
    replace: [
      [
        'const total = new Float64Array(architecture.parameters);',
        'const total = new Float32Array(architecture.parameters);',
      ],
    ],
    tests: ['test/app/training/clipped-sum.test.ts'],
  },
  {
    name: 'the rounding forgotten in L̃',
    file: 'app/sealed-sum/quantise.ts',
    replace: [['const anyRounding = clip + rootDimension + product;', 'const anyRounding = clip;']],
    tests: ['test/app/sealed-sum/quantise.test.ts'],
  },
  {
    name: 'the clamp forgotten',
    file: 'app/sealed-sum/quantise.ts',
    replace: [['Math.max(-bound, Math.min(bound, vector[i]! * scale));', 'vector[i]! * scale;']],
    tests: ['test/app/sealed-sum/quantise.test.ts'],
  },
  {
    name: 'amplification by choosing institutions',
    file: 'app/review/round-event.ts',
    replace: [
      [
        "samplingRate: training.mode === 'institution' ? 1 : training.samplingRate,",
        'samplingRate: training.samplingRate,',
      ],
    ],
    tests: ['test/app/review/figures.test.ts', 'test/app/review/check.test.ts'],
  },
  {
    name: 'a settlement above what was reserved',
    file: 'app/privacy/budget.ts',
    replace: [['realised.honestShares >= reserved.honestShares &&', 'realised.honestShares >= 1 &&']],
    tests: ['test/app/privacy/budget.test.ts'],
  },
  {
    name: 'charges of other studies not counted at the dataset',
    file: 'app/privacy/ceiling.ts',
    replace: [['(ceiling.studies === null || ceiling.studies.includes(charge.study)) &&', 'charge.study !== "b" &&']],
    tests: ['test/app/privacy/budget.test.ts'],
  },
  {
    name: 'a GDP filter that takes sampled releases',
    file: 'app/privacy/gdp-filter.ts',
    replace: [['if (reason !== null) throw new RefusalError(reason.code, reason.sentence);', 'void reason;']],
    tests: ['test/app/privacy/gdp-filter.test.ts'],
  },
  {
    name: 'what cut batches add to δ forgotten',
    file: 'app/review/privacy-figures.ts',
    replace: [['return sum <= most ? epsilonAt(known, delta - sum) : null;', 'return epsilonAt(known, delta);']],
    tests: ['test/app/review/figures.test.ts'],
  },
  {
    name: 'the adapted clip missing in H(config)',
    file: 'app/round/parameters.ts',
    replace: [
      ['= roundTerms(parameters.contract, adaptation);', '= (void roundTerms, void adaptation, parameters.contract);'],
    ],
    tests: ['test/app/round/adaptation.test.ts'],
  },
  {
    name: 'the adapted clip inside the sensitivity',
    file: 'app/review/round-event.ts',
    replace: [['adaptiveClipping === undefined ? clippingNorm :', 'adaptiveClipping?.quantile !== 0 ? clippingNorm :']],
    tests: ['test/app/round/adaptation.test.ts'],
  },
  {
    name: 'adapted noise charged at the first level',
    file: 'app/round/engine.ts',
    replace: [
      [
        'await ledger.reserve(state.round, worstCaseEvent(model.terms), masked.body.root);',
        'await ledger.reserve(state.round, worstCaseEvent(contract), masked.body.root);',
      ],
    ],
    tests: ['test/main/host/adaptive-study.test.ts'],
  },
  {
    name: 'the filter of adapted noise not held',
    file: 'app/round/study-ledger.ts',
    replace: [['[...options.ceilings, filter]', 'options.ceilings']],
    tests: ['test/app/round/study-ledger.test.ts'],
  },
  {
    name: 'a PLD schedule priced by what was realised',
    file: 'app/review/schedule-figures.ts',
    replace: [
      [
        'honestShares(contract, contract.sealing.colluders)',
        'honestShares(contract, contract.sealing.colluders, contract.roster.length)',
      ],
    ],
    tests: ['test/app/review/schedule-figures.test.ts'],
  },
  {
    name: 'a PLD schedule of the planned rounds, not of the charged attempts',
    file: 'app/review/schedule-figures.ts',
    replace: [
      [
        'account.compose(attemptsAt, attempts);',
        'account.compose(attemptsAt, Math.min(attempts, contract.schedule.rounds));',
      ],
    ],
    tests: ['test/app/review/schedule-figures.test.ts'],
  },
  {
    name: 'a part of the parameters clipped, in place of the whole before its part is taken',
    file: 'main/trainer/sealed-vector.ts',
    replace: [['chosen(clipped));', 'clippedUpdate(chosen(update), clippingNorm));']],
    tests: ['test/main/trainer/subset-vector.test.ts'],
  },
  {
    name: 'a part of the parameters charged by more words than are noised, or fewer',
    file: 'app/review/round-event.ts',
    replace: [
      [
        "if (contract.training.mode !== 'local') return contract.sealing.dimension;",
        "if (contract.training.mode === 'local') return contract.sealing.dimension;",
      ],
    ],
    tests: ['test/main/trainer/subset-vector.test.ts'],
  },
  {
    name: 'regions that open their own sums charged as one sum of all',
    file: 'app/review/round-event.ts',
    replace: [
      [
        "if (regions?.opening !== 'region') return sealing.threshold;",
        'if (regions !== null) return sealing.threshold;',
      ],
    ],
    tests: ['test/app/round/region-opening.test.ts', 'test/app/review/region-rules.test.ts'],
  },
  {
    name: 'the largest region’s noise counted where the smallest decides',
    file: 'app/review/round-event.ts',
    replace: [['return Math.min(...counts.filter((count) => count > 0));', 'return Math.max(...counts);']],
    tests: ['test/app/round/region-opening.test.ts'],
  },
  {
    name: 'zCDP of sampled releases',
    file: 'app/privacy/zcdp-accountant.ts',
    replace: [['return event.samplingRate === 1 ? null : sampled;', 'return null;']],
    tests: ['test/app/privacy/zcdp-accountant.test.ts'],
  },
  {
    name: 'stretches of a mixture left out that have weight',
    file: 'app/privacy/rdp-mixture.ts',
    replace: [['const farBelow = 60;', 'const farBelow = 0.5;']],
    tests: ['test/app/privacy/rdp-mixture.test.ts'],
  },
  {
    name: 'charges read at the whole δ',
    file: 'main/host/participant/ceilings.ts',
    replace: [['delta: chargedDelta(contract),', 'delta: (void chargedDelta, contract.privacy.delta),']],
    tests: ['test/main/host/participant/ledger.test.ts'],
  },
  {
    name: 'more units than the batch caps were agreed for',
    file: 'app/training/records.ts',
    replace: [['if (units > nominalUnits)', 'if (units > 1e9 * nominalUnits)']],
    tests: ['test/main/host/participant/ledger.test.ts'],
  },
  {
    name: 'language models count units that are not there',
    file: 'app/training/language/clipped-sum.ts',
    replace: [['if (taken) this.#count', 'if (taken || squares >= 0) this.#count']],
    tests: ['test/app/training/language/clipped-sum.test.ts'],
  },
  {
    name: 'a new name for the same persons has an allowance of its own',
    file: 'app/privacy/lineage.ts',
    replace: [['touches.has(one.id) || one.datasets', 'touches.has(`${one.id}?`) || one.datasets']],
    tests: ['test/main/host/records/dataset-lineage.test.ts'],
  },
  {
    name: 'deleting a dataset forgets what it used',
    file: 'main/host/records/dataset-lineage.ts',
    replace: [
      [
        "if (entry.kind !== 'dataset-imported') continue;",
        "if (entry.kind === 'settings-changed' && entry.body['setting'] === 'data-deleted') versions.length = 0;\n    if (entry.kind !== 'dataset-imported') continue;",
      ],
    ],
    tests: ['test/main/host/records/dataset-lineage.test.ts'],
  },
  {
    name: 'data opened beside a log that was reset',
    file: 'main/host/records/register.ts',
    replace: [['if (own === undefined || toHex(bound) !== own.hash)', 'if (own === undefined)']],
    tests: ['test/main/host/records/dataset-lineage.test.ts'],
  },
  {
    name: 'an old list of persons who object taken back',
    file: 'main/host/records/register.ts',
    replace: [['if (named !== digestOf(plain) && named !== header.previous)', "if (named === '')"]],
    tests: ['test/main/host/records/exclusion-list.test.ts'],
  },
  {
    name: 'a second list of persons who object replaces the first',
    file: 'main/host/records/register.ts',
    replace: [
      ['exclude: (more) => write(lineages, unionOf(persons, more)),', 'exclude: (more) => write(lineages, more),'],
    ],
    tests: ['test/main/host/records/exclusion-list.test.ts'],
  },
  {
    name: 'a new import forgets who objects',
    file: 'main/host/records/register.ts',
    replace: [['joined], persons);', 'joined], noPrints);']],
    tests: ['test/main/host/records/exclusion-list.test.ts'],
  },
  {
    name: 'persons who object sampled all the same',
    file: 'app/training/prints.ts',
    replace: [['objects.get(persons[row]!) === false', 'objects.get(persons[row]!) !== undefined']],
    tests: ['test/app/training/prints.test.ts'],
  },
];

/** The mistake as one change of its file. @throws Error where its text is no longer there exactly once. */
export function changeOf({ file, replace }: Planted): Change {
  const source = readSource(file);
  let changed = source;
  for (const [from, to] of replace) {
    const { at } = single(file, from, to, changed, true);
    changed = changed.slice(0, at) + to + changed.slice(at + from.length);
  }
  return { file, source, at: 0, from: source, to: changed };
}

/** Those with one of these words in their names; "K/N": the K-th of N pieces, for machines that lend an hour in parts. */
export function chosen(wanted: readonly string[]): readonly Planted[] {
  const piece = /^(\d+)\/(\d+)$/.exec(wanted[0] ?? '');
  if (piece === null)
    return plantedBugs.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
  const [which, pieces] = [Number(piece[1]), Number(piece[2])];
  if (!(which >= 1 && which <= pieces)) throw new RangeError('a piece is K/N, K from 1 to N');
  return plantedBugs.filter((_, at) => at % pieces === which - 1);
}

const atOnce = 2;

async function main(): Promise<void> {
  const bugs = chosen(process.argv.slice(2));
  const changes = bugs.map((bug) => ({ bug, change: changeOf(bug) }));
  const sound = new Set(bugs.flatMap(({ tests }) => tests));
  for (const file of sound)
    if (!(await passes(null, file))) throw new Error(`${file} fails without any change; mend that first.`);
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-planted-'));
  const waiting = [...changes.entries()];
  let survivors = 0;
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [number, { bug, change }] = next;
      const own = path.join(folder, String(number));
      mkdirSync(own);
      const noticed = await noticedBy(change, own, bug.tests);
      if (noticed === null) survivors++;
      console.log(`${noticed === null ? 'SURVIVES' : `noticed by ${path.basename(noticed, '.test.ts')}`}: ${bug.name}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: atOnce }, worker));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`${bugs.length} planted one at a time; ${bugs.length - survivors} noticed, ${survivors} survive.`);
  if (survivors > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
