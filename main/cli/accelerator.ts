// `consilience accelerator install | status | remove`: TensorFlow's own library for training on this machine, from a Python
// wheel that IT brings. Nothing needs it; where it is, models train faster. Design 5, "Backends".

import { acceleratorState, installAccelerator, removeAccelerator } from '../host/accelerator/install.ts';
import type { AcceleratorState } from '../host/accelerator/install.ts';
import { stringOption, requiredOption, UsageError } from './command.ts';
import type { Command, Invocation } from './command.ts';

export const acceleratorCommand: Command = {
  name: 'accelerator',
  summary: 'Makes training faster with TensorFlow’s own library, from a wheel that IT brings.',
  usage: [
    'accelerator install --wheel FILE [--sha256 HEX] [--package FILE] [--json]',
    'accelerator status [--json]',
    'accelerator remove [--json]',
  ],
  example: 'consilience accelerator install --wheel tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl',
  options: {
    wheel: { type: 'string', value: 'FILE', help: 'A Python wheel of tensorflow or tensorflow-cpu for Linux.' },
    sha256: { type: 'string', value: 'HEX', help: 'The wheel’s SHA-256 as you know it; any other is refused.' },
    package: {
      type: 'string',
      value: 'FILE',
      help: 'The archive of @tensorflow/tfjs-node-gpu 4.22.0, where npm cannot fetch it.',
    },
  },
  async run(invocation) {
    const [action, ...rest] = invocation.positionals;
    if (action === undefined || rest.length > 0) throw new UsageError('Say which: accelerator install|status|remove.');
    if (action === 'install') return install(invocation);
    if (action === 'status') return status(invocation);
    if (action === 'remove') return remove(invocation);
    throw new UsageError('accelerator knows install, status and remove.');
  },
};

async function install({ options, json, out }: Invocation): Promise<0 | 1> {
  const sha256 = stringOption(options, 'sha256') ?? null;
  if (sha256 !== null && !/^[0-9a-f]{64}$/i.test(sha256)) throw new UsageError('--sha256 takes 64 hex digits.');
  const state = await installAccelerator({
    wheel: requiredOption(options, 'wheel'),
    sha256,
    packageArchive: stringOption(options, 'package') ?? null,
    now: () => new Date(),
    say: (step) => (json ? undefined : out(`${step}\n`)),
  });
  return tell(state, json, out);
}

async function status({ json, out }: Invocation): Promise<0 | 1> {
  return tell(await acceleratorState(), json, out);
}

async function remove({ json, out }: Invocation): Promise<0> {
  const removed = await removeAccelerator();
  if (json) out(`${JSON.stringify({ removed })}\n`);
  else out(removed === null ? 'No accelerator is installed.\n' : `Removed ${removed}.\n`);
  return 0;
}

function tell(
  { folder, manifest, changed, backends }: AcceleratorState,
  json: boolean,
  out: (text: string) => void,
): 0 | 1 {
  const works = changed === null && Object.values(backends).some(({ state }) => state === 'works');
  const { wheel, binding } = manifest;
  if (json)
    out(`${JSON.stringify({ works, folder, installed: manifest.installed, wheel, binding, changed, backends })}\n`);
  else {
    out(`${wheel.name} ${wheel.version} in ${folder}\nwheel ${wheel.file}, SHA-256 ${wheel.sha256}\n`);
    out(`binding ${binding.package} ${binding.version}, built by ${binding.compiler}\n`);
    if (changed !== null) out(`The file ${changed} is not the one that was installed. Install it again.\n`);
    for (const [name, trial] of Object.entries(backends))
      out(
        trial.state === 'works'
          ? `${name}: works, ${trial.speed.gigaflops.toPrecision(3)} GFLOP/s\n`
          : `${name}: ${trial.state === 'absent' ? 'not here' : 'refused'} (${trial.reason})\n`,
      );
  }
  return works ? 0 : 1;
}
