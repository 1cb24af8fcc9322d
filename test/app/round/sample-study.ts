// The small valid study of app/simulation with this machine's cipher.

import { smallStudy } from '../../../app/simulation/small-study.ts';
import type { SmallStudy, SmallStudyOptions } from '../../../app/simulation/small-study.ts';
import { nodeCipher } from '../../../main/host/machine.ts';

export type SampleStudy = SmallStudy;

export const sampleStudy = (options: SmallStudyOptions): SampleStudy => smallStudy(nodeCipher, options);
