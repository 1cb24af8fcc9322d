// The app as a person starts it: `consilience app --loopback --no-open`, in a process of its own, until it is told to end.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

export type AppProcess = {
  /** One-time. */
  readonly address: string;
  readonly home: string;
  /** Whether it joined a host that ran already. */
  readonly attached: boolean;
  /** Ends it in good order. @returns its exit code. */
  end(): Promise<number | null>;
};

export async function startApp(...options: readonly string[]): Promise<AppProcess> {
  const args = ['main/cli/index.ts', 'app', '--loopback', '--no-open', '--json', ...options];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let complained = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complained += text));
  while (!said.includes('\n')) {
    if (child.exitCode !== null) throw new Error(`the app ended with ${child.exitCode}: ${complained}${said}`);
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  }
  const { address, home, attached } = JSON.parse(said) as Pick<AppProcess, 'address' | 'home' | 'attached'>;
  return {
    address,
    home,
    attached,
    async end() {
      if (child.exitCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      return child.exitCode;
    },
  };
}
