// A safetensors file read tensor by tensor: header first, every bound checked against the file's size, then only the bytes
// of the tensor that is asked for. So a checkpoint larger than memory's free half can be brought to a device.

import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../../../app/errors.ts';
import { decodeNumbers } from '../../../app/training/number-formats.ts';
import { readSafetensorsHeader, safetensorsHeaderLength } from '../../../app/training/safetensors.ts';
import type { Tensor, TensorPlace } from '../../../app/training/safetensors.ts';
import { diskError } from '../disk/disk-error.ts';

export type SafetensorsFile = {
  readonly places: readonly TensorPlace[];
  readonly metadata: { readonly [key: string]: string };
  read(place: TensorPlace): Promise<Tensor>;
  close(): Promise<void>;
};

/** @throws InputError `safetensors-malformed`; UnavailableError where the file cannot be read. */
export async function openSafetensorsFile(path: string): Promise<SafetensorsFile> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw diskError(error, `The file ${path}`);
  });
  try {
    const { size } = await file.stat();
    const headerLength = safetensorsHeaderLength(await bytesAt(file, path, 0, Math.min(8, size)), size);
    const start = 8 + headerLength;
    const header = readSafetensorsHeader(await bytesAt(file, path, 8, headerLength), size - start);
    return {
      ...header,
      async read({ format, shape, from, to }) {
        return { shape, values: decodeNumbers(await bytesAt(file, path, start + from, to - from), format) };
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** One read call takes 2 GiB at most, and may give less than it was asked for. */
const mostPerRead = 2 ** 30;

async function bytesAt(file: FileHandle, path: string, from: number, length: number): Promise<Uint8Array> {
  const out = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file
      .read(out, done, Math.min(mostPerRead, length - done), from + done)
      .catch((error: unknown) => {
        throw diskError(error, `The file ${path}`);
      });
    if (bytesRead === 0)
      throw new InputError('safetensors-malformed', `The model file ${path} became shorter while it was read.`);
    done += bytesRead;
  }
  return out;
}
