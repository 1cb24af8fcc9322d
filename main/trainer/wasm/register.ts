// The fused kernels of app/training/language/fused.ts for tfjs-wasm, registered where the backend starts.

import { backend as currentBackend, getKernel, registerKernel } from '@tensorflow/tfjs-core';
import type { KernelConfig, TensorInfo } from '@tensorflow/tfjs-core';
import { fusedKernels } from '../../../app/training/language/fused.ts';
import type {
  AdapterGradientsAttributes,
  FusedAttentionShape,
  ProductsAttributes,
  TokenLossAttributes,
} from '../../../app/training/language/fused.ts';
import { Attention, weightStride } from './attention.ts';
import { kernelModule } from './kernel-module.ts';
import type { HostModule } from './kernel-module.ts';
import { Products } from './products.ts';
import { RowKernels } from './rows.ts';

/** What is used of tfjs-wasm's backend. */
type WasmBackend = {
  readonly wasm: HostModule;
  readonly dataIdMap: { get(id: object): { readonly memoryOffset: number } };
  makeOutput(shape: readonly number[], dtype: 'float32'): TensorInfo;
};

type Inputs = { readonly [name: string]: TensorInfo };

/** Once a thread; the wasm backend is the current one. @throws Error where tfjs-wasm is laid out otherwise than expected. */
export function registerFusedKernels(): void {
  if (getKernel(fusedKernels.products, 'wasm') !== undefined) return;
  const backend = currentBackend() as unknown as WasmBackend;
  const module = kernelModule(backend.wasm);
  const products = new Products(module);
  const attention = new Attention(module, products);
  const rows = new RowKernels(module, products);
  const addressOf = ({ dataId }: TensorInfo): number => backend.dataIdMap.get(dataId).memoryOffset;
  const output = (...shape: readonly number[]): TensorInfo => {
    const made = backend.makeOutput(shape, 'float32');
    if (addressOf(made) === 0) throw new RangeError('WebAssembly has no memory left');
    return made;
  };
  const kernel = (
    kernelName: string,
    compute: (inputs: Inputs, attributes: never) => TensorInfo | TensorInfo[],
  ): void =>
    registerKernel({
      kernelName,
      backendName: 'wasm',
      kernelFunc: ({ inputs, attrs }) => compute(inputs as Inputs, attrs as never),
    } satisfies KernelConfig);
  const placeOf = (info: TensorInfo) => ({ at: addressOf(info), ld: 4 * info.shape[1]! });
  const rotationOf = ({ cos, sin }: Inputs) =>
    cos === undefined || sin === undefined ? null : { cos: addressOf(cos), sin: addressOf(sin) };

  kernel(fusedKernels.products, (inputs, { turned, scales }: ProductsAttributes) => {
    const [m, n] = [inputs['left0']!.shape[0]!, inputs['right0']!.shape[turned[0]! ? 0 : 1]!];
    const out = output(m, n);
    const { bias } = inputs;
    if (bias !== undefined) rows.repeat(addressOf(bias), addressOf(out), m, n);
    for (const [i, one] of turned.entries()) {
      const left = inputs[`left${i}`]!;
      products.multiply({
        a: placeOf(left),
        b: placeOf(inputs[`right${i}`]!),
        turned: one,
        c: placeOf(out),
        m,
        k: left.shape[1]!,
        n,
        alpha: scales[i]!,
        adds: i > 0 || bias !== undefined,
      });
    }
    return out;
  });
  kernel(fusedKernels.rmsNorm, ({ x, weight }, { epsilon }: { readonly epsilon: number }) => {
    const [out, factor] = [output(...x!.shape), output(x!.shape[0]!)];
    const [m, n] = x!.shape as [number, number];
    rows.rmsNorm(m, n, epsilon, addressOf(x!), addressOf(weight!), addressOf(out), addressOf(factor));
    return [out, factor];
  });
  kernel(fusedKernels.rmsNormBack, ({ gradient, x, weight, factor }) => {
    const out = output(...x!.shape);
    const [m, n] = x!.shape as [number, number];
    const [g, values, w, f] = [gradient!, x!, weight!, factor!].map(addressOf) as [number, number, number, number];
    rows.rmsNormBack(m, n, g, values, w, f, addressOf(out));
    return out;
  });
  kernel(fusedKernels.gatedUnit, ({ x }) => {
    const [m, n] = [x!.shape[0]!, x!.shape[1]! / 2];
    const out = output(m, n);
    rows.gated(m, n, addressOf(x!), addressOf(out));
    return out;
  });
  kernel(fusedKernels.gatedUnitBack, ({ x, gradient }) => {
    const [m, n] = gradient!.shape as [number, number];
    const out = output(m, 2 * n);
    rows.gatedBack(m, n, addressOf(x!), addressOf(gradient!), addressOf(out));
    return out;
  });
  kernel(fusedKernels.attention, (inputs, shape: FusedAttentionShape) => {
    const { sequences, length, heads, headWidth } = shape;
    const out = output(sequences * length, heads * headWidth);
    const weights = output(sequences * heads, length, weightStride(length));
    attention.forward(shape, addressOf(inputs['qkv']!), rotationOf(inputs), addressOf(out), addressOf(weights));
    return [out, weights];
  });
  kernel(fusedKernels.attentionBack, (inputs, shape: FusedAttentionShape) => {
    const out = output(...inputs['qkv']!.shape);
    const [qkv, weights, gradient] = [inputs['qkv']!, inputs['weights']!, inputs['gradient']!].map(addressOf);
    attention.back(shape, qkv!, rotationOf(inputs), weights!, gradient!, addressOf(out));
    return out;
  });
  kernel(fusedKernels.tokenLossBack, ({ hidden, head }, attributes: TokenLossAttributes) => {
    const out = output(...hidden!.shape);
    rows.tokenLossBack(attributes, head!.shape[0]!, hidden!.shape[1]!, placeOf(hidden!), placeOf(head!), placeOf(out));
    return out;
  });
  kernel(fusedKernels.adapterGradients, (inputs, attributes: AdapterGradientsAttributes) => {
    const { sequences, rank, freezeA, widths } = attributes;
    const [values, low, lowGradient, outputGradient] = ['inputs', 'low', 'lowGradient', 'outputGradient'].map(
      (name) => inputs[name]!,
    ) as [TensorInfo, TensorInfo, TensorInfo, TensorInfo];
    const downs = freezeA ? 0 : low.shape[1]! * values.shape[1]!;
    const numbers = downs + rank * widths.reduce((total, width) => total + width, 0);
    const out = output(sequences, numbers);
    rows.adapterGradients(attributes, values.shape[0]! / sequences, {
      inputs: placeOf(values),
      low: placeOf(low),
      lowGradient: placeOf(lowGradient),
      outputGradient: placeOf(outputGradient),
      out: placeOf(out),
      width: values.shape[1]!,
      ranks: low.shape[1]!,
    });
    return out;
  });
}
