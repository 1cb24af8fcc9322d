// The process in which probe.ts tries one backend: its name as argument, its trial as one line of JSON. It reads no file
// of the institution. It ends by process.exit, because Dawn keeps a process alive (node-webgpu#18).

import { tryHere } from './backend.ts';
import type { Trial } from './backend.ts';
import { backendNames, candidates, softwareWebGpu } from './candidates.ts';

const [asked, option] = process.argv.slice(2);
const name = backendNames.find((known) => known === asked);
if (name === undefined) throw new RangeError('probe-process: the first argument is the name of a backend');
const candidate = name === 'webgpu' && option === '--software' ? softwareWebGpu : candidates[name];
const missing = candidate.look?.() ?? null;
const trial: Trial = missing === null ? await tryHere(candidate, candidates.cpu) : { state: 'absent', reason: missing };
process.stdout.write(`${JSON.stringify(trial)}\n`, () => process.exit(0));
