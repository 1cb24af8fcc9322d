// An adapter's folder in PEFT layout: adapter_config.json and adapter_model.safetensors, written so that the Python world
// loads it unchanged, and read whoever wrote it.

import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fromUtf8, utf8 } from '../../../app/encoding/bytes.ts';
import { InputError } from '../../../app/errors.ts';
import { adapterOnDevice } from '../../../app/training/language/adapter.ts';
import type { AdapterLayout, AdapterOnDevice } from '../../../app/training/language/adapter.ts';
import type { LanguageConfiguration } from '../../../app/training/language/configuration.ts';
import { fromPeft, toPeft } from '../../../app/training/language/peft.ts';
import { readSafetensors, writeSafetensors } from '../../../app/training/safetensors.ts';
import { writeFileAtomically } from '../disk/atomic-file.ts';
import { diskError } from '../disk/disk-error.ts';
import { readFolderPart } from '../disk/folder-part.ts';

const [configName, weightsName] = ['adapter_config.json', 'adapter_model.safetensors'] as const;
export const adapterNames = [configName, weightsName] as const;

export type OpenedAdapter = {
  readonly layout: AdapterLayout;
  readonly parameters: Float32Array;
  onDevice(): AdapterOnDevice;
};

/** Far above any adapter; a larger file is none. */
const largestAdapter = 2 ** 31;

/** @throws InputError `adapter-missing`, `adapter-unusable`, `safetensors-malformed`; UnavailableError. */
export async function openAdapter(folder: string, configuration: LanguageConfiguration): Promise<OpenedAdapter> {
  const missing = {
    code: 'adapter-missing',
    noSuch: 'adapter in PEFT layout',
    advice: `Give the folder that holds ${configName} and ${weightsName}.`,
  };
  let config: unknown;
  try {
    config = JSON.parse(fromUtf8(await readFolderPart(folder, configName, missing)));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    throw new InputError('adapter-unusable', `${configName} in ${folder} is not JSON. Get the adapter again.`);
  }
  const size = await stat(join(folder, weightsName)).then(
    (found) => found.size,
    () => 0,
  );
  if (size > largestAdapter)
    throw new InputError('adapter-unusable', `${weightsName} in ${folder} is too large for an adapter.`);
  const { tensors } = readSafetensors(await readFolderPart(folder, weightsName, missing));
  const { layout, parameters } = fromPeft(configuration, config, tensors);
  return { layout, parameters, onDevice: () => adapterOnDevice(layout, parameters, null) };
}

/** Both files of an adapter in PEFT layout, by name. */
export function adapterFiles(
  configuration: LanguageConfiguration,
  layout: AdapterLayout,
  parameters: Float32Array,
): { readonly [name: string]: Uint8Array } {
  const { tensors, config } = toPeft(configuration, layout, parameters);
  return {
    [weightsName]: writeSafetensors(tensors, { format: 'pt' }),
    [configName]: utf8(`${JSON.stringify(config, null, 2)}\n`),
  };
}

/** Writes both files into the folder, which is made where it is missing. @throws UnavailableError. */
export async function writeAdapter(
  folder: string,
  configuration: LanguageConfiguration,
  layout: AdapterLayout,
  parameters: Float32Array,
): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw diskError(error, `The folder ${folder}`);
  });
  for (const [name, bytes] of Object.entries(adapterFiles(configuration, layout, parameters)))
    await writeFileAtomically(join(folder, name), bytes, 0o644);
}
