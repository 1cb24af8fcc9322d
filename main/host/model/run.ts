// The run folder: what a simulation or an institution's home leaves of a finished study, for `model export`. run.json is
// canonical and names the SHA-256 of parameters.f32 (float32, little-endian). Nothing here is secret; no record is in it.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { fromUtf8, toHex } from '../../../app/encoding/bytes.ts';
import { canonicalJson, parseCanonical } from '../../../app/encoding/canonical-json.ts';
import { InputError } from '../../../app/errors.ts';
import { contractSchema } from '../../../app/study/contract.ts';
import type { Contract } from '../../../app/study/contract.ts';
import { adjacencyOf } from '../../../app/study/consent.ts';
import { hex32, wholeFrom } from '../../../app/study/fields.ts';
import { parseDocument } from '../../../app/study/parse.ts';
import { contractHash } from '../../../app/study/signed-contract.ts';
import { parameterCount } from '../../../app/training/model.ts';
import { floatBytes } from '../../../app/training/server-optimiser.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { diskError } from '../disk/disk-error.ts';
import { readFolderPart } from '../disk/folder-part.ts';
import { nodeCipher } from '../machine.ts';

/** One number (accuracy; root mean squared error for regression) or several by name; null where one does not apply. */
const measure = z.union([z.number(), z.record(z.string(), z.number().nullable())]);
const side = z.strictObject({ perInstitution: z.record(z.string(), measure), mean: measure });
const bound = z.number().min(0).nullable();

export const modelPrivacySchema = z.strictObject({
  unit: z.enum(['record', 'person', 'institution']),
  adjacency: z.enum(['add-or-remove', 'replace-one', 'zero-out']),
  delta: z.number().gt(0).lt(1),
  /** Null: no bound. */
  epsilon: z.strictObject({ coordinator: bound, outsiders: bound }),
  accountant: z.string().min(1).max(50),
  noiseMultiplier: z.number().gt(0).nullable(),
  /** "discrete-gaussian", "none" or "seeded, not private". */
  noise: z.string().min(1).max(100),
});

export const modelMetricsSchema = z.strictObject({ federated: side, ownSite: side.nullable() });

const runSchema = z.strictObject({
  format: z.literal('consilience/model-run/1'),
  contract: contractSchema,
  contractHash: hex32,
  /** SHA-256 of parameters.f32. */
  parameters: hex32,
  /** H(model) after the last closed round, pinned by every institution. */
  model: hex32,
  rounds: wholeFrom(0, 100_000),
  metrics: modelMetricsSchema.nullable(),
  privacy: modelPrivacySchema,
  seeded: z.boolean(),
});

/** `unit` and `adjacency` must be the contract's. */
export type ModelPrivacy = {
  readonly unit: string;
  readonly adjacency: string;
  readonly delta: number;
  readonly epsilon: { readonly coordinator: number | null; readonly outsiders: number | null };
  readonly accountant: string;
  readonly noiseMultiplier: number | null;
  readonly noise: string;
};
type Measure = number | { readonly [name: string]: number | null };
type Side = { readonly perInstitution: { readonly [name: string]: Measure }; readonly mean: Measure };
export type ModelMetrics = { readonly federated: Side; readonly ownSite: Side | null };

export type ModelRun = {
  readonly contract: Contract;
  /** Lower-case hex. */
  readonly contractHash: string;
  /** Parameters to release, as app/training/model.ts lays them out. */
  readonly released: Float32Array;
  readonly model: string;
  readonly rounds: number;
  readonly metrics: ModelMetrics | null;
  readonly privacy: ModelPrivacy;
  /** True: randomness came from a seed, so nothing in it is private. */
  readonly seeded: boolean;
};

export const runFileName = 'run.json';
export const parametersFileName = 'parameters.f32';

/**
 * Writes the folder, making it where it is missing. The parameters land before the file that names them.
 * @throws InputError `run-inconsistent`; UnavailableError `disk-full` or `disk-failed`.
 */
export async function writeModelRun(folder: string, run: ModelRun): Promise<void> {
  requireConsistent(run);
  const bytes = floatBytes(run.released);
  const { unit, adjacency, delta, epsilon, accountant, noiseMultiplier, noise } = run.privacy;
  const document = {
    format: 'consilience/model-run/1',
    contract: run.contract,
    contractHash: run.contractHash,
    parameters: toHex(nodeCipher.sha256(bytes)),
    model: run.model,
    rounds: run.rounds,
    metrics: run.metrics,
    privacy: { unit, adjacency, delta, epsilon, accountant, noiseMultiplier, noise },
    seeded: run.seeded,
  };
  runSchema.parse(document);
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw diskError(error, `The folder ${folder}`);
  }
  await writeFileAtomically(join(folder, parametersFileName), bytes, 0o644);
  await writeFileAtomically(join(folder, runFileName), `${canonicalJson(document)}\n`, 0o644);
}

/**
 * @throws InputError `run-missing`, `not-json`, `not-canonical`, `run-invalid`, `run-parameters-differ`,
 * `run-inconsistent`; UnavailableError where the disk fails.
 */
export async function readModelRun(folder: string): Promise<ModelRun> {
  const text = fromUtf8(await readPart(folder, runFileName)).replace(/\r?\n$/, '');
  const {
    format: _,
    parameters,
    ...facts
  } = parseDocument(runSchema, parseCanonical(text), {
    code: 'run-invalid',
    what: `file ${runFileName}`,
  });
  const bytes = await readPart(folder, parametersFileName);
  if (toHex(nodeCipher.sha256(bytes)) !== parameters || bytes.length % 4 !== 0)
    throw new InputError(
      'run-parameters-differ',
      `${parametersFileName} in ${folder} is not the file that ${runFileName} names: it was altered or belongs to another run. Run the study again or put both back from one copy.`,
    );
  const run: ModelRun = { ...facts, released: floatsOf(bytes) };
  requireConsistent(run);
  return run;
}

function floatsOf(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(4 * index, true));
}

/** What a card will say must follow from the contract it names. */
export function requireConsistent(run: ModelRun): void {
  const { contract, privacy } = run;
  const wrong = (what: string): InputError =>
    new InputError('run-inconsistent', `The run contradicts its study terms: ${what}. It cannot be used.`);
  if (toHex(contractHash(nodeCipher, contract)) !== run.contractHash) throw wrong('they have another hash');
  const count = parameterCount(contract.task);
  if (run.released.length !== count)
    throw wrong(`the model has ${run.released.length} parameters where ${count} are agreed`);
  if (!run.released.every(Number.isFinite)) throw wrong('a parameter is not a finite number');
  if (privacy.unit !== contract.training.unit) throw wrong('the unit protected is another');
  if (privacy.adjacency !== adjacencyOf(contract)) throw wrong('the neighbouring relation is another');
  if (privacy.delta !== contract.privacy.delta) throw wrong('δ is another');
  const noiseless = contract.privacy.noise === 'none';
  if (noiseless && (privacy.epsilon.coordinator !== null || privacy.epsilon.outsiders !== null))
    throw wrong('without noise there is no ε');
  if (!noiseless && privacy.epsilon.coordinator === null) throw wrong('there is noise, but no ε is given');
}

const readPart = (folder: string, name: string): Promise<Uint8Array> =>
  readFolderPart(folder, name, {
    code: 'run-missing',
    noSuch: 'run folder',
    advice: 'Give the folder that simulate or demo wrote.',
  });
