// A finished model on rows of a file: the contract's own encoder, then the plain forward pass. Every predicted row keeps
// its line number; rows that the contract's rules drop get no prediction and are listed. Nothing leaves the machine.

import { InputError } from '../../../app/errors.ts';
import type { Tokenise } from '../../../app/training/encoder.ts';
import { evaluate } from '../../../app/training/evaluate.ts';
import type { Metrics } from '../../../app/training/evaluate.ts';
import { evaluateLanguage, textScores } from '../../../app/training/language/evaluate.ts';
import type { LanguageMetrics } from '../../../app/training/language/evaluate.ts';
import { plainMapping } from '../../../app/training/mapping.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { architectureOf } from '../../../app/training/model.ts';
import { predict } from '../../../app/training/predict.ts';
import { softmax } from '../../../app/training/softmax.ts';
import { requireAccepted, TableEncoder } from '../../../app/training/records.ts';
import type { EncodedTable, RowProblem } from '../../../app/training/records.ts';
import { RowMapper, sourceName } from '../../../app/training/row-mapper.ts';
import { isLanguageTask, labelColumn } from '../../../app/training/types.ts';
import type { Feature, LanguageTask, Table, TrainingTask } from '../../../app/training/types.ts';
import { chooseBackend } from '../../trainer/candidates.ts';
import { openLanguage } from '../../trainer/language.ts';
import { requireTaskCheckpoint } from '../checkpoint/task-checkpoint.ts';
import { neededColumns, sourceOptions } from '../import/read-table.ts';
import { openTable } from '../import/table-source.ts';

export type PredictedRow = {
  readonly line: number;
  /** The cell of the column named by `idColumn`; null where none was named. */
  readonly id: string | null;
  /** Binary: probability that the label rule holds. Classes: one for each. Regression: empty. */
  readonly probabilities: readonly number[];
  /** 0 or 1, the class's name, or the number in the label's own units. */
  readonly predicted: number | string;
};

export type Prediction = {
  readonly rows: readonly PredictedRow[];
  /** Rows without a value that the contract needs: no prediction. */
  readonly leftOut: readonly RowProblem[];
  /** On these rows, by this machine alone; null where the file has no label. */
  readonly metrics: Metrics | LanguageMetrics | null;
};

export type PredictionOptions = {
  readonly path: string;
  readonly task: TrainingTask;
  readonly parameters: Float32Array;
  /** Column that is copied beside each prediction. */
  readonly idColumn: string | null;
  /** True: a label column is ignored; a file without a header has none. */
  readonly withoutLabel: boolean;
  /** How the file's columns become the contract's; null or absent: they are. */
  readonly mapping?: Mapping | null;
  /** Folder of the checkpoint that the model adapts; null or absent for tables. */
  readonly checkpoint?: string | null;
};

/** @throws InputError `rows-refused` and those of the encoder: with line numbers, never with values. */
export async function predictFile(options: PredictionOptions): Promise<Prediction> {
  const { task, parameters } = options;
  if (isLanguageTask(task)) return predictTexts(task, options);
  await requireTaskCheckpoint(task, options.checkpoint ?? null);
  const architecture = architectureOf(task);
  const { encoded, lines, leftOut, labelled } = await readForPrediction(options);
  const records = requireAccepted(encoded);
  const outputs = predict(architecture, parameters, records.features, records.rows);
  const width = outputs.length / records.rows;
  const rows = Array.from({ length: records.rows }, (_, row): PredictedRow => {
    const own = Array.from(outputs.subarray(row * width, (row + 1) * width));
    return { line: lines[row]!, id: records.persons?.[row] ?? null, ...outcomeOf(task.table.label, own) };
  });
  return { rows, leftOut, metrics: labelled ? evaluate(task, architecture, parameters, records) : null };
}

/** @throws InputError `prediction-is-text` for causal-lm; those of openLanguage. */
async function predictTexts(task: LanguageTask, options: PredictionOptions): Promise<Prediction> {
  if (task.kind === 'causal-lm')
    throw new InputError(
      'prediction-is-text',
      'This model continues texts and predicts no column. Use: consilience model generate CHECKPOINT_DIR --adapter MODEL_DIR --prompt TEXT',
    );
  await requireTaskCheckpoint(task, options.checkpoint ?? null);
  await chooseBackend();
  const language = await openLanguage(task, options.checkpoint ?? null);
  try {
    const { encoded, lines, leftOut, labelled } = await readForPrediction(options, language.tokenise);
    const records = requireAccepted(encoded);
    const rows = (await textScores(language, options.parameters, records)).map((scores, row): PredictedRow => ({
      line: lines[row]!,
      id: records.persons?.[row] ?? null,
      ...outcomeOf(task.table.label, [...softmax(scores)]),
    }));
    return { rows, leftOut, metrics: labelled ? await evaluateLanguage(language, options.parameters, records) : null };
  } finally {
    language.model.dispose();
  }
}

function outcomeOf(
  label: Table['label'],
  outputs: readonly number[],
): Pick<PredictedRow, 'probabilities' | 'predicted'> {
  switch (label.kind) {
    case 'binary':
      return { probabilities: outputs, predicted: outputs[0]! > 0.5 ? 1 : 0 };
    case 'classes': {
      let best = 0;
      for (const [place, value] of outputs.entries()) if (value > outputs[best]!) best = place;
      return { probabilities: outputs, predicted: label.classes[best]! };
    }
    case 'none':
      throw new RangeError('label must be one that is predicted');
    case 'number':
      return { probabilities: [], predicted: label.least + ((outputs[0]! + 1) / 2) * (label.most - label.least) };
  }
}

type ReadTable = {
  readonly encoded: EncodedTable;
  /** Line of each encoded row. */
  readonly lines: readonly number[];
  readonly leftOut: readonly RowProblem[];
  readonly labelled: boolean;
};

async function readForPrediction(options: PredictionOptions, tokenise: Tokenise | null = null): Promise<ReadTable> {
  const { path, task, idColumn, withoutLabel, mapping } = options;
  const learned = labelColumn(task.table) ?? '';
  const names = withoutLabel ? (task.table.columnNames?.filter((name) => name !== learned) ?? null) : null;
  // Rows to be dropped are refused first, so that their lines are known; `leftOut` tells the two apart again.
  const table: Table = {
    ...task.table,
    ...(names === null ? {} : { columnNames: names }),
    features: task.table.features.map(refusing),
    personColumn: idColumn,
  };
  const droppable = new Set(
    task.table.features.filter(({ whenMissing }) => whenMissing.rule === 'drop-row').map(({ column }) => column),
  );
  const rules = mapping ?? plainMapping;
  const source = await openTable(path, sourceOptions(table, rules, neededColumns(table, false)));
  const lines: number[] = [];
  let encoded: EncodedTable;
  let labelled = false;
  try {
    const wanted = sourceName(rules, learned).trim();
    labelled = !withoutLabel && source.names.some((name) => name.trim() === wanted);
    const mapper = new RowMapper(table, rules, source.names, labelled);
    const encoder = new TableEncoder(mapper.table, { labels: labelled, tokenise });
    for await (const row of source.rows(mapper.wanted)) {
      if (lines.length === 0 && labelled && table.columnNames !== null && row.cells.length === source.names.length - 1)
        throw new InputError(
          'label-unclear',
          `The file has no header and one column less than the study's ${source.names.length}. If it is the label "${learned}" that is not there, say so with --without-label.`,
        );
      encoder.line(mapper.row(row));
      lines.push(row.line);
    }
    encoded = encoder.finish();
  } finally {
    await source.close();
  }
  const drops = ({ column, problem }: RowProblem): boolean => problem === 'missing' && droppable.has(column);
  const leftOut = encoded.problems.filter(drops);
  const refused = encoded.problems.filter((problem) => !drops(problem));
  const gone = new Set(encoded.problems.map(({ line }) => line));
  return {
    encoded: { ...encoded, problems: refused, dropped: new Set(leftOut.map(({ line }) => line)).size },
    lines: lines.filter((line) => !gone.has(line)),
    leftOut,
    labelled,
  };
}

function refusing(feature: Feature): Feature {
  return feature.whenMissing.rule === 'drop-row' ? { ...feature, whenMissing: { rule: 'refuse' } } : feature;
}
