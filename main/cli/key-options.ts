// How every command turns --credential-file into where its keys' lock comes from. Design 1, "Command line".

import type { KeySourceOptions } from '../host/keys/key-source.ts';
import { stringOption } from './command.ts';
import type { OptionValues } from './command.ts';

export const credentialOptions = {
  'credential-file': {
    type: 'string',
    value: 'FILE',
    help: 'File that unlocks the keys; else the OS keyring or a prompt.',
  },
} as const;

/** An explicitly named credential file is what the person wants used, so the keyring is not asked first. */
export function keyOptions(options: OptionValues): KeySourceOptions {
  const credentialFile = stringOption(options, 'credential-file');
  return credentialFile === undefined ? {} : { credentialFile, keyring: false };
}
