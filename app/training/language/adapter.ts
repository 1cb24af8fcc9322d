// Low-rank adapters (Hu et al. 2021): beside a frozen map W, y = xW + s·(xAᵀ)B with s = alpha / rank. The trained numbers
// are one flat float32 vector, the model that a study seals: for each block and group, all A's [rank, in] (unless frozen),
// then all B's [rank, out]; last the classification head, [classes, width] and a bias for BERT. Design 5.

import { concat, dispose, tensor2d, tidy, transpose, zeros } from '@tensorflow/tfjs-core';
import type { Rank, Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { InputError, requireInteger } from '../../errors.ts';
import { splitMix64 } from '../split-mix.ts';
import type { LanguageConfiguration } from './configuration.ts';
import { allGroups, possibleTargets } from './modules.ts';
import type { LinearGroup, LinearModule } from './modules.ts';

export type AdapterSpec = {
  readonly kind: 'lora';
  readonly rank: number;
  readonly alpha: number;
  /** Names of linear maps, such as `q_proj`, wherever they stand. */
  readonly targets: readonly string[];
  /** A stays as drawn from the seed: half the traffic, and noise on B alone. */
  readonly freezeA: boolean;
  readonly seed: number;
};

/** Where the parts of one adapted map stand in the flat vector; `down` is null where A is frozen. */
export type AdaptedModule = LinearModule & {
  /** Place of the map in its group. */
  readonly place: number;
  /** Offset of A, [rank, in] row-major. */
  readonly down: number | null;
  /** Offset of B, [rank, out] row-major. */
  readonly up: number;
};

export type AdaptedGroup = {
  readonly inputs: number;
  /** Outputs of all maps of the group, adapted or not. */
  readonly outputs: readonly number[];
  readonly modules: readonly AdaptedModule[];
};

export type HeadLayout = {
  readonly classes: number;
  readonly width: number;
  /** Offset of [classes, width]. */
  readonly kernel: number;
  /** Offset of [classes]; null: the head has no bias (Llama, GPT-2). */
  readonly bias: number | null;
};

export type AdapterLayout = {
  readonly spec: AdapterSpec;
  /** Four a block, in forward order; null where nothing of a group is adapted. */
  readonly groups: readonly (AdaptedGroup | null)[];
  readonly head: HeadLayout | null;
  /** Numbers in the flat vector. */
  readonly parameters: number;
};

/**
 * @param classes of a shared classification head; null: none
 * @throws InputError `target-unknown` for a target that the model does not have.
 */
export function adapterLayout(
  configuration: LanguageConfiguration,
  spec: AdapterSpec,
  classes: number | null = null,
): AdapterLayout {
  requireInteger('rank', spec.rank, 1);
  const possible = possibleTargets(configuration);
  const unknown = spec.targets.find((target) => !possible.includes(target));
  if (unknown !== undefined)
    throw new InputError(
      'target-unknown',
      `The adapter's target "${unknown}" is no linear map of this model. It has ${possible.join(', ')}.`,
    );
  let at = 0;
  const placed = (size: number): number => {
    at += size;
    return at - size;
  };
  const groups = allGroups(configuration).map((group): AdaptedGroup | null => {
    const chosen = group
      .map((module, place) => ({ ...module, place }))
      .filter(({ target }) => spec.targets.includes(target));
    if (chosen.length === 0) return null;
    const downs = chosen.map(({ inputs }) => (spec.freezeA ? null : placed(spec.rank * inputs)));
    const modules = chosen.map((module, i) => ({ ...module, down: downs[i]!, up: placed(spec.rank * module.outputs) }));
    return { inputs: group[0]!.inputs, outputs: outputsOf(group), modules };
  });
  const { width, family } = configuration;
  const head =
    classes === null
      ? null
      : {
          classes,
          width,
          kernel: placed(classes * width),
          bias: family === 'bert' ? placed(classes) : null,
        };
  return { spec, groups, head, parameters: at };
}

const outputsOf = (group: LinearGroup): number[] => group.map(({ outputs }) => outputs);

/** A uniform in ±1/√in from the public seed (PEFT's choice), B and head zero: the model starts as its checkpoint. */
export function initialAdapter(layout: AdapterLayout): Float32Array {
  const out = new Float32Array(layout.parameters);
  if (!layout.spec.freezeA) for (const { module, values } of drawnDowns(layout)) out.set(values, module.down!);
  return out;
}

/** A of every adapted map as drawn from the seed, whether it then trains or not; in flat order. */
export function* drawnDowns({
  groups,
  spec,
}: AdapterLayout): Generator<{ readonly module: AdaptedModule; readonly values: Float32Array }> {
  const next = splitMix64(spec.seed);
  for (const group of groups)
    for (const module of group?.modules ?? []) {
      const limit = 1 / Math.sqrt(module.inputs);
      const values = new Float32Array(spec.rank * module.inputs);
      for (let i = 0; i < values.length; i++) values[i] = limit * (2 * next() - 1);
      yield { module, values };
    }
}

/** Names and shapes of the parts of the flat vector. */
export function adapterTensors({ groups, head, spec }: AdapterLayout) {
  const tensors = groups.flatMap((group) =>
    (group?.modules ?? []).flatMap(({ path, inputs, outputs, down, up }) => [
      ...(down === null ? [] : [{ name: `${path}.down`, shape: [spec.rank, inputs], offset: down }]),
      { name: `${path}.up`, shape: [spec.rank, outputs], offset: up },
    ]),
  );
  if (head === null) return tensors;
  const { classes, width, kernel, bias } = head;
  tensors.push({ name: 'head.kernel', shape: [classes, width], offset: kernel });
  if (bias !== null) tensors.push({ name: 'head.bias', shape: [classes], offset: bias });
  return tensors;
}

/** One group's adapter, fused: R is rank times its adapted maps. */
export type GroupAdapter = {
  readonly layout: AdaptedGroup;
  readonly rank: number;
  readonly scale: number;
  /** [R, in]. */
  readonly down: Tensor2D;
  /** [R, Σ out], zero outside each map's own block. */
  readonly up: Tensor2D;
};

export type AdapterOnDevice = {
  readonly layout: AdapterLayout;
  readonly groups: readonly (GroupAdapter | null)[];
  /** [width, classes], its transpose, and [1, classes] (zeros where the head has no bias). */
  readonly head: { readonly kernel: Tensor2D; readonly transposed: Tensor2D; readonly bias: Tensor2D } | null;
  dispose(): void;
};

/** @param downs frozen A's by `drawnDowns` order, kept by the caller between steps; needed where A is frozen */
export function adapterOnDevice(
  layout: AdapterLayout,
  parameters: Float32Array,
  downs: readonly Float32Array[] | null,
): AdapterOnDevice {
  if (parameters.length !== layout.parameters)
    throw new RangeError(`parameters must be ${layout.parameters} numbers, not ${parameters.length}`);
  const { rank, alpha, freezeA } = layout.spec;
  if (freezeA && downs === null) throw new TypeError('downs must be given where A is frozen');
  let drawn = 0;
  const groups = layout.groups.map((group) => {
    if (group === null) return null;
    return tidy(() => {
      const parts = group.modules.map(({ down, inputs }) => {
        const values = down === null ? downs![drawn]! : parameters.slice(down, down + rank * inputs);
        drawn++;
        return tensor2d(values, [rank, inputs]);
      });
      const down = parts.length === 1 ? parts[0]! : concat(parts, 0);
      const rows = group.modules.map((module) => {
        const own = tensor2d(parameters.slice(module.up, module.up + rank * module.outputs), [rank, module.outputs]);
        const cells = group.outputs.map((outputs, place) =>
          place === module.place ? own : zeros<Rank.R2>([rank, outputs]),
        );
        return cells.length === 1 ? cells[0]! : concat(cells, 1);
      });
      const up = rows.length === 1 ? rows[0]! : concat(rows, 0);
      return { down, up };
    });
  });
  const head = layout.head === null ? null : headOnDevice(layout.head, parameters);
  return {
    layout,
    groups: groups.map((tensors, i) =>
      tensors === null ? null : { layout: layout.groups[i]!, rank, scale: alpha / rank, ...tensors },
    ),
    head,
    dispose: () => {
      dispose(groups.flatMap((group): Tensor[] => (group === null ? [] : Object.values(group))));
      if (head !== null) dispose([head.kernel, head.transposed, head.bias]);
    },
  };
}

function headOnDevice({ classes, width, kernel, bias }: HeadLayout, parameters: Float32Array) {
  const transposed = tensor2d(parameters.slice(kernel, kernel + classes * width), [classes, width]);
  const own = bias === null ? new Float32Array(classes) : parameters.slice(bias, bias + classes);
  return { transposed, kernel: transpose(transposed), bias: tensor2d(own, [1, classes]) };
}

/** The frozen A's, drawn once. */
export function frozenDowns(layout: AdapterLayout): Float32Array[] | null {
  return layout.spec.freezeA ? [...drawnDowns(layout)].map(({ values }) => values) : null;
}
