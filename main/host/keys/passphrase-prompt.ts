// Asks for a passphrase on the terminal without showing it.

import { RefusalError } from '../../../app/errors.ts';

export type Prompt = (question: string) => Promise<string>;

/** @throws RefusalError `no-key-source` without a terminal; `prompt-cancelled` on Ctrl-C or Ctrl-D. */
export const promptForPassphrase: Prompt = (question) => {
  const { stdin, stderr } = process;
  if (!stdin.isTTY)
    return Promise.reject(
      new RefusalError(
        'no-key-source',
        'There is nothing to lock the keys with: no OS keyring, no credential file, and no terminal to ask for a passphrase. Make a credential file, (umask 077; openssl rand -base64 32 > FILE), and name it with --credential-file or CONSILIENCE_CREDENTIAL_FILE.',
      ),
    );
  return new Promise((resolve, reject) => {
    let answer = '';
    const end = (finish: () => void): void => {
      stdin.off('data', read);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      finish();
    };
    const read = (text: string): void => {
      for (const character of text) {
        if (character === '\r' || character === '\n') return end(() => resolve(answer));
        if (character === '\u0003' || character === '\u0004')
          return end(() => reject(new RefusalError('prompt-cancelled', 'No passphrase was given; nothing was done.')));
        if (character === '\u007f' || character === '\b') answer = [...answer].slice(0, -1).join('');
        else answer += character;
      }
    };
    // Before the question is shown, or the terminal would echo what a quick hand types.
    stdin.setRawMode(true);
    stderr.write(question);
    stdin.setEncoding('utf8');
    stdin.on('data', read);
    stdin.resume();
  });
};
