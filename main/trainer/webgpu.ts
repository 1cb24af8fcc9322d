// WebGPU in plain Node: Dawn from the npm package `webgpu`, and tfjs's backend on it. Any vendor's graphics card. An
// adapter in software is refused unless asked for (tests): it computes rightly and far slower than wasm. Results are read
// by `await data()`, never `dataSync()`. Design 5, "Backends".

import { existsSync } from 'node:fs';
import { setBackend } from '@tensorflow/tfjs-core';
import { NotHere } from './backend.ts';

type AdapterInfo = { readonly vendor: string; readonly architecture: string; readonly description: string };
type Adapter = { readonly info: AdapterInfo & { readonly isFallbackAdapter?: boolean } };
type Gpu = { requestAdapter(options: { readonly powerPreference: string }): Promise<Adapter | null> };

/** Rasterisers on the processor that call themselves graphics cards. */
const inSoftware = /swiftshader|llvmpipe|lavapipe|basic render/i;

/** Linux: without a device file or a driver named in the environment there is no card. Elsewhere only Dawn knows. */
export function missingCard(): string | null {
  if (process.platform !== 'linux') return null;
  const named = process.env['VK_ICD_FILENAMES'] ?? process.env['VK_DRIVER_FILES'];
  const devices = ['/dev/dri', '/dev/nvidiactl', '/dev/dxg'];
  return named !== undefined || devices.some((path) => existsSync(path)) ? null : 'no graphics card was found';
}

/**
 * Makes WebGPU the current backend; returns the adapter's own name.
 * @throws NotHere without package, driver or card; Error where the adapter computes in software
 */
export async function startWebGpu({ software }: { readonly software: boolean }): Promise<string> {
  const { create, globals } = await import('webgpu').catch(() => {
    throw new NotHere('the package webgpu is not installed or has no binary for this system');
  });
  Object.assign(globalThis, globals);
  const gpu = create([]) as unknown as Gpu;
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) throw new NotHere('no graphics card with a driver was found');
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture].filter((part) => part !== '').join(' ') || 'unnamed adapter';
  if (!software && (isFallbackAdapter === true || inSoftware.test(`${name} ${vendor} ${architecture}`)))
    throw new Error(`${name} computes in software`);
  await import('@tensorflow/tfjs-backend-webgpu');
  if (!(await setBackend('webgpu'))) throw new Error(`${name} gave no device`);
  return name;
}
