// A host that starts its trainer, prints the trainer's process id once it works, and then works on until killed.

import { initialParameters } from '../../../app/training/model.ts';
import { Trainer } from '../../../main/trainer/client.ts';
import { studyContract } from './synthetic.ts';

const contract = await studyContract('heart-local');
const trainer = new Trainer();
let told = false;
await trainer.run(
  {
    kind: 'round',
    contract: { ...contract, training: { ...contract.training, localSteps: 10_000 } },
    index: 0,
    parameters: initialParameters(contract.task),
    recordsFile: process.argv[2]!,
    excluded: null,
  },
  {
    onProgress: () => {
      if (!told) process.stdout.write(`${trainer.pid}\n`);
      told = true;
    },
  },
);
