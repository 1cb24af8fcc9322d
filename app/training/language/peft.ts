// Adapters in the layout of the PEFT library (0.21): which tensors adapter_model.safetensors holds under which names, and
// what adapter_config.json says. PEFT stores B as [out, rank]; here it is [rank, out]. A head is a module that PEFT saves
// whole: `classifier` of BERT, `score` of Llama and GPT-2.

import { InputError } from '../../errors.ts';
import type { Tensor } from '../safetensors.ts';
import { adapterLayout, drawnDowns } from './adapter.ts';
import type { AdapterLayout, AdapterSpec } from './adapter.ts';
import type { LanguageConfiguration } from './configuration.ts';
import { allGroups } from './modules.ts';

const tensorName = (path: string, part: 'lora_A' | 'lora_B'): string => `base_model.model.${path}.${part}.weight`;

const headName = (configuration: LanguageConfiguration): string =>
  configuration.family === 'bert' ? 'classifier' : 'score';

function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column]!;
  return out;
}

/** Tensors and configuration of an adapter, ready to be written. */
export function toPeft(
  configuration: LanguageConfiguration,
  layout: AdapterLayout,
  parameters: Float32Array,
): { readonly tensors: ReadonlyMap<string, Tensor>; readonly config: { readonly [name: string]: unknown } } {
  const { spec, head } = layout;
  const { rank } = spec;
  const tensors = new Map<string, Tensor>();
  const modules = [...drawnDowns(layout)];
  for (const { module, values } of modules) {
    const { path, inputs, outputs, down, up } = module;
    const ownDown = down === null ? values : parameters.slice(down, down + rank * inputs);
    tensors.set(tensorName(path, 'lora_A'), { shape: [rank, inputs], values: ownDown });
    const ownUp = turned(parameters.slice(up, up + rank * outputs), rank, outputs);
    tensors.set(tensorName(path, 'lora_B'), { shape: [outputs, rank], values: ownUp });
  }
  if (head !== null) {
    const { classes, width, kernel, bias } = head;
    const name = `base_model.model.${headName(configuration)}`;
    tensors.set(`${name}.weight`, {
      shape: [classes, width],
      values: parameters.slice(kernel, kernel + classes * width),
    });
    if (bias !== null)
      tensors.set(`${name}.bias`, { shape: [classes], values: parameters.slice(bias, bias + classes) });
  }
  return {
    tensors,
    config: {
      peft_type: 'LORA',
      task_type: head === null ? (configuration.family === 'bert' ? 'FEATURE_EXTRACTION' : 'CAUSAL_LM') : 'SEQ_CLS',
      base_model_name_or_path: '',
      inference_mode: true,
      r: rank,
      lora_alpha: spec.alpha,
      lora_dropout: 0,
      bias: 'none',
      // Whole paths where a name would also mean maps outside the blocks (BERT's pooler is a "dense" too).
      target_modules:
        configuration.family === 'bert' ? modules.map(({ module }) => module.path) : [...new Set(spec.targets)],
      modules_to_save: head === null ? null : [headName(configuration)],
      fan_in_fan_out: configuration.family === 'gpt2',
      init_lora_weights: true,
      use_rslora: false,
      use_dora: false,
    },
  };
}

type Json = { readonly [name: string]: unknown };

function unusable(why: string): InputError {
  return new InputError('adapter-unusable', `The adapter cannot be used: ${why}.`);
}

/**
 * An adapter that PEFT or this program wrote, for a model of this configuration.
 * @throws InputError `adapter-unusable` for a kind of adapter, a setting or a tensor that is not built here.
 */
export function fromPeft(
  configuration: LanguageConfiguration,
  config: unknown,
  tensors: ReadonlyMap<string, Tensor>,
): { readonly layout: AdapterLayout; readonly parameters: Float32Array } {
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw unusable('adapter_config.json is no object');
  const json = config as Json;
  const { rank, alpha } = settingsOf(json);
  const linear = allGroups(configuration).flat();
  const adapted = linear.filter(({ path }) => tensors.has(tensorName(path, 'lora_A')));
  if (adapted.length === 0) throw unusable('it adapts no map of this model');
  const targets = [...new Set(adapted.map(({ target }) => target))];
  const name = `base_model.model.${headName(configuration)}`;
  const kernel = tensors.get(`${name}.weight`);
  const spec: AdapterSpec = { kind: 'lora', rank, alpha, targets, freezeA: false, seed: 0 };
  const layout = adapterLayout(configuration, spec, kernel === undefined ? null : (kernel.shape[0] ?? 0));
  const parameters = new Float32Array(layout.parameters);
  const used = new Set<string>();
  const take = (tensor: string, shape: readonly number[]): Float32Array => {
    const found = tensors.get(tensor);
    if (found === undefined) throw unusable(`it has no tensor ${tensor}`);
    if (found.shape.join() !== shape.join())
      throw unusable(`${tensor} has the shape [${found.shape.join(', ')}], not [${shape.join(', ')}]`);
    used.add(tensor);
    return found.values;
  };
  for (const group of layout.groups)
    for (const { path, inputs, outputs, down, up } of group?.modules ?? []) {
      parameters.set(take(tensorName(path, 'lora_A'), [rank, inputs]), down!);
      parameters.set(turned(take(tensorName(path, 'lora_B'), [outputs, rank]), outputs, rank), up);
    }
  if (layout.head !== null) {
    const { classes, width, kernel: at, bias } = layout.head;
    parameters.set(take(`${name}.weight`, [classes, width]), at);
    if (bias !== null) parameters.set(take(`${name}.bias`, [classes]), bias);
  }
  const stray = [...tensors.keys()].find((tensor) => !used.has(tensor));
  if (stray !== undefined) throw unusable(`its tensor ${stray.slice(0, 120)} belongs to no map that is built here`);
  return { layout, parameters };
}

function settingsOf(json: Json): { readonly rank: number; readonly alpha: number } {
  const { r: rank, lora_alpha: alpha } = json;
  if (json['peft_type'] !== 'LORA') throw unusable('its type is not LORA');
  if (typeof rank !== 'number' || !Number.isSafeInteger(rank) || rank < 1 || rank > 65_536)
    throw unusable('its rank is no whole number from 1 to 65536');
  if (typeof alpha !== 'number' || !(alpha > 0 && alpha < 1e9)) throw unusable('its alpha is no number above 0');
  for (const flag of ['use_dora', 'use_rslora', 'use_qalora', 'lora_bias'])
    if (json[flag] === true) throw unusable(`it uses "${flag}", which is not built here`);
  if (json['bias'] !== undefined && json['bias'] !== 'none')
    throw unusable('it trains biases, which is not built here');
  for (const pattern of ['rank_pattern', 'alpha_pattern']) {
    const value = json[pattern];
    if (typeof value === 'object' && value !== null && Object.keys(value).length > 0)
      throw unusable(`its ranks or alphas differ between maps ("${pattern}"), which is not built here`);
  }
  return { rank, alpha };
}
