// `consilience model export | predict | personalise | inspect | generate`: a finished study's model out of a run folder or an
// institution's home, with its card; an exported model on the rows of a file; and a language model's checkpoint looked at
// and tried out, on this machine.

import type { Task } from '../../app/study/task.ts';
import type { Metrics } from '../../app/training/evaluate.ts';
import type { LanguageMetrics } from '../../app/training/language/evaluate.ts';
import { writeFileAtomically } from '../host/disk/atomic-file.ts';
import { withHomeRun } from '../host/model/home-model.ts';
import { predictionInWords, shownEpsilon } from '../host/model/card.ts';
import type { ModelCard } from '../host/model/card.ts';
import { readMappingFile } from '../host/import/mapping-file.ts';
import { exportModel, openModelFolder } from '../host/model/folder.ts';
import { personaliseModel } from '../host/model/personal-model.ts';
import { readModelRun } from '../host/model/run.ts';
import type { ModelRun } from '../host/model/run.ts';
import { predictFile } from '../host/model/prediction.ts';
import type { PredictedRow, Prediction } from '../host/model/prediction.ts';
import { requiredOption, stringOption, UsageError } from './command.ts';
import type { Command, Invocation } from './command.ts';
import { credentialOptions, keyOptions } from './key-options.ts';
import { generated, inspected, languageOptions } from './model-language.ts';
import { say } from './output.ts';

const optionsOf: { readonly [action: string]: readonly string[] } = {
  export: ['run', 'home', 'study', 'credential-file', 'not-released', 'out'],
  predict: ['data', 'checkpoint', 'mapping', 'out', 'id', 'without-label'],
  personalise: ['data', 'checkpoint', 'mapping', 'out'],
  inspect: ['text', 'adapter'],
  generate: ['prompt', 'adapter', 'tokens', 'temperature', 'among'],
};

export const modelCommand: Command = {
  name: 'model',
  summary: 'Takes a trained model away, with its card, and uses it.',
  usage: [
    'model export --run DIR --out DIR [--not-released]',
    'model export --home DIR [--study HASH] [--credential-file FILE] --out DIR',
    'model predict MODEL_DIR --data FILE [--checkpoint DIR] [--mapping FILE] [--id COLUMN] [--without-label] [--out FILE]',
    'model personalise MODEL_DIR --checkpoint DIR --data FILE [--mapping FILE] --out DIR',
    'model inspect CHECKPOINT_DIR [--text TEXT] [--adapter DIR]',
    'model generate CHECKPOINT_DIR --prompt TEXT [--adapter DIR] [--tokens N] [--temperature T [--among N]]',
  ],
  example: 'consilience model predict ./model --data patients.csv',
  options: {
    run: { type: 'string', value: 'DIR', help: 'Run folder that simulate (--out) or demo left.' },
    home: { type: 'string', value: 'DIR', help: 'Home of an institution that took part.' },
    study: { type: 'string', value: 'HASH', help: 'Which study of the home, where there are several.' },
    ...credentialOptions,
    'not-released': { type: 'boolean', help: 'For your own use only; the card says so. Needed for a seeded run.' },
    data: {
      type: 'string',
      value: 'FILE',
      help: 'Rows to predict, or to fit a head to, as CSV, JSON Lines, XLSX or Parquet.',
    },
    mapping: { type: 'string', value: 'FILE', help: 'How their columns become the study’s.' },
    checkpoint: { type: 'string', value: 'DIR', help: 'predict, personalise: the checkpoint that the model adapts.' },
    id: { type: 'string', value: 'COLUMN', help: 'Copies this column beside each prediction.' },
    'without-label': {
      type: 'boolean',
      help: 'Ignores the label column; a file without a header line does not have it.',
    },
    ...languageOptions,
    out: {
      type: 'string',
      value: 'PATH',
      help: 'export, personalise: new folder for the model. predict: CSV file to write.',
    },
  },
  async run(invocation) {
    const [action, ...rest] = invocation.positionals;
    const known = action === undefined ? undefined : optionsOf[action];
    if (known === undefined)
      throw new UsageError('Say which: model export, predict, personalise, inspect or generate.');
    const stray = Object.keys(modelCommand.options).find(
      (name) => invocation.options[name] !== undefined && !known.includes(name),
    );
    if (stray !== undefined) throw new UsageError(`model ${action} does not take --${stray}.`);
    if (action === 'inspect') return inspected(rest, invocation);
    if (action === 'generate') return generated(rest, invocation);
    if (action === 'personalise') return personalised(rest, invocation);
    return action === 'export' ? exported(rest, invocation) : predicted(rest, invocation);
  },
};

async function exported(rest: readonly string[], { options, json, out }: Invocation): Promise<0> {
  if (rest.length > 0) throw new UsageError('model export takes options only.');
  const folder = requiredOption(options, 'out');
  const run = stringOption(options, 'run');
  const home = stringOption(options, 'home');
  if ((run === undefined) === (home === undefined)) throw new UsageError('Give either --run DIR or --home DIR.');
  if (run !== undefined && (options['study'] !== undefined || options['credential-file'] !== undefined))
    throw new UsageError('--study and --credential-file belong to --home.');
  const save = (source: ModelRun): Promise<ModelCard> =>
    exportModel(source, folder, { notReleased: options['not-released'] === true });
  const card =
    run === undefined
      ? await withHomeRun(home!, stringOption(options, 'study') ?? null, keyOptions(options), save)
      : await save(await readModelRun(run));
  if (json) {
    const { released, warning, study, model, privacy, files } = card;
    out(`${JSON.stringify({ out: folder, released, warning, study, model, privacy, files })}\n`);
    return 0;
  }
  const { epsilon, delta, unit, hypothetical } = card.privacy;
  const bound =
    epsilon.coordinator === null
      ? 'No ε: nothing bounds what it tells.'
      : `ε = ${shownEpsilon(epsilon.coordinator)} at δ = ${delta} per ${unit}${hypothetical ? ', hypothetical' : ''}.`;
  const lines = [
    ...(card.warning === null ? [] : [card.warning]),
    `The model of "${card.study.title}" is in ${folder}: model.safetensors, task.json, contract.json, card.md, card.json.`,
    `It predicts ${card.predicts}. ${bound}`,
    `Use it: consilience model ${useOf(card, folder)}`,
    '',
  ];
  out(lines.join('\n'));
  return 0;
}

/** A language model is used beside the checkpoint that it adapts. */
function useOf({ model, measure }: ModelCard, folder: string): string {
  if (measure === 'perplexity') return `generate CHECKPOINT_DIR --adapter ${folder} --prompt TEXT`;
  return `predict ${folder} --data FILE${model.kind.startsWith('LoRA') ? ' --checkpoint CHECKPOINT_DIR' : ''}`;
}

async function predicted(rest: readonly string[], { options, json, out, warn }: Invocation): Promise<0> {
  const [folder, ...others] = rest;
  if (folder === undefined || others.length > 0) throw new UsageError('Say which model: model predict MODEL_DIR …');
  const path = requiredOption(options, 'data');
  const file = stringOption(options, 'out');
  const { card, task, parameters } = await openModelFolder(folder);
  const mapping = stringOption(options, 'mapping');
  const prediction = await predictFile({
    path,
    mapping: mapping === undefined ? null : await readMappingFile(mapping),
    task,
    parameters,
    checkpoint: stringOption(options, 'checkpoint') ?? null,
    idColumn: stringOption(options, 'id') ?? null,
    withoutLabel: options['without-label'] === true,
  });
  if (file !== undefined) await writeFileAtomically(file, csvText(task, prediction.rows));
  if (json) {
    const { rows, leftOut, metrics } = prediction;
    const report = {
      contractHash: card.study.contractHash,
      warning: card.warning,
      predicts: card.predicts,
      rows: rows.length,
      leftOut,
      metrics,
      ...(file === undefined ? { predictions: rows } : { out: file }),
    };
    out(`${JSON.stringify(report)}\n`);
    return 0;
  }
  if (card.warning !== null) warn(`${card.warning}\n`);
  if (file === undefined) out(csvText(task, prediction.rows));
  // The rows alone go to standard output, so that they can be piped.
  (file === undefined ? warn : out)(summaryText(task, prediction, file));
  return 0;
}

async function personalised(rest: readonly string[], invocation: Invocation): Promise<0> {
  const { options } = invocation;
  const [model, ...others] = rest;
  if (model === undefined || others.length > 0) throw new UsageError('Say which model: model personalise MODEL_DIR …');
  const out = requiredOption(options, 'out');
  const mapping = stringOption(options, 'mapping');
  const done = await personaliseModel({
    model,
    data: requiredOption(options, 'data'),
    mapping: mapping === undefined ? null : await readMappingFile(mapping),
    checkpoint: stringOption(options, 'checkpoint') ?? null,
    out,
  });
  const { fitted, tested, accuracy } = done;
  say(invocation, { ...done, out }, [
    `The model with a head of your own, fitted to ${fitted} rows, is in ${out}. It must not leave this institution.`,
    accuracy === null
      ? 'There were too few rows to hold some out, so nothing was measured.'
      : `On ${tested} rows that the fit did not see: accuracy ${accuracy.shared.toFixed(3)} with the shared head, ${accuracy.own.toFixed(3)} with yours.`,
  ]);
  return 0;
}

function csvText(task: Task, rows: readonly PredictedRow[]): string {
  const { label } = task.table;
  const withId = rows.some(({ id }) => id !== null);
  const names =
    label.kind === 'binary'
      ? ['probability']
      : label.kind === 'classes'
        ? label.classes.map((name) => `probability of ${name}`)
        : [];
  const head = ['line', ...(withId ? ['id'] : []), ...names, 'predicted'];
  const lines = rows.map(({ line, id, probabilities, predicted }) => [
    String(line),
    ...(withId ? [id ?? ''] : []),
    ...probabilities.map((value) => value.toFixed(6)),
    typeof predicted === 'number' && label.kind === 'number' ? predicted.toPrecision(7) : String(predicted),
  ]);
  return `${[head, ...lines].map((cells) => cells.map(csvCell).join(',')).join('\n')}\n`;
}

const csvCell = (cell: string): string => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

function summaryText(task: Task, { rows, leftOut, metrics }: Prediction, file: string | undefined): string {
  const lines = [
    `${rows.length} rows predicted${file === undefined ? '' : ` into ${file}`}: ${predictionInWords(task.table.label)}.`,
  ];
  if (leftOut.length > 0) {
    const shown = leftOut.slice(0, 5).map(({ line, column }) => `line ${line} ("${column}" is missing)`);
    const more = leftOut.length > shown.length ? ` and ${leftOut.length - shown.length} more` : '';
    lines.push(`Without a prediction: ${shown.join(', ')}${more}.`);
  }
  lines.push(metrics === null ? 'The label was not read, so nothing was measured.' : metricsInWords(metrics), '');
  return lines.join('\n');
}

function metricsInWords(metrics: Metrics | LanguageMetrics): string {
  if (metrics.kind === 'causal-lm') return `Perplexity on the texts in the file: ${metrics.perplexity.toFixed(2)}.`;
  if (metrics.kind === 'text-classification')
    return `Against the labels in the file: accuracy ${metrics.accuracy.toFixed(3)}, macro F1 ${metrics.macroF1.toFixed(3)}.`;
  if (metrics.kind === 'regression')
    return `Against the labels in the file: mean absolute error ${metrics.meanAbsoluteError.toPrecision(4)}, root mean squared error ${metrics.rootMeanSquaredError.toPrecision(4)}.`;
  const auc = metrics.auc === null ? '' : `, AUC ${metrics.auc.toFixed(3)}`;
  return `Against the labels in the file: accuracy ${metrics.accuracy.toFixed(3)}${auc}.`;
}
