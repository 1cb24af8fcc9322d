#!/usr/bin/env node
// `consilience`: finds the subcommand and runs it. Spec: design 1, "Command line".

import { commands } from './commands.ts';

const major = Number(process.versions.node.split('.')[0]);
if (!(major >= 24)) {
  process.stderr.write(
    `consilience needs Node 24 or newer; this is Node ${process.versions.node}. Run it as "npm run -s consilience -- …", which brings its own.\n`,
  );
  process.exit(2);
}

async function main(args: readonly string[]): Promise<number> {
  const { runCommand } = await import('./command.ts');
  const [name, ...rest] = args;
  const load = name === undefined ? undefined : Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined) return runCommand(await load(), rest, out, warn);
  if (name !== undefined && rest.includes('--json')) {
    const message = `There is no command "${name.slice(0, 40)}".`;
    process.stdout.write(`${JSON.stringify({ error: { code: 'usage', message } })}\n`);
    return 2;
  }
  const asked = name === undefined || name === 'help' || name === '--help' || name === '-h';
  const stream = asked ? process.stdout : process.stderr;
  if (!asked) stream.write(`consilience: there is no command "${name.slice(0, 40)}".\n\n`);
  const lines = [];
  for (const loadOne of Object.values(commands)) {
    const command = await loadOne();
    lines.push(`  ${command.name.padEnd(13)}${command.summary}`);
  }
  stream.write(
    `Consilience: institutions train one model together and keep their records at home.\n\nCommands:\n${lines.join('\n')}\n\nEach has --help with an example, and --json. In a checkout, "npm run -s consilience --" stands for "consilience".\n`,
  );
  return asked ? 0 : 2;
}

const out = (text: string): boolean => process.stdout.write(text);
const warn = (text: string): boolean => process.stderr.write(text);

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { tellUnexpected } = await import('./command.ts');
  tellUnexpected(error, process.argv.slice(2), out, warn);
  process.exitCode = 1;
}
