#!/usr/bin/env node
// `consilience`: finds the subcommand and runs it. Commands are loaded on demand, so that `account` does not wait for
// TensorFlow. Spec: design 1, "Command line".

import type { Command } from './command.ts';

const major = Number(process.versions.node.split('.')[0]);
if (!(major >= 24)) {
  process.stderr.write(
    `consilience needs Node 24 or newer; this is Node ${process.versions.node}. Run it as "npm run -s consilience -- …", which brings its own.\n`,
  );
  process.exit(2);
}

const commands: { readonly [name: string]: () => Promise<Command> } = {
  app: async () => (await import('./app.ts')).appCommand,
  host: async () => (await import('./host.ts')).hostCommand,
  account: async () => (await import('./account.ts')).accountCommand,
  study: async () => (await import('./study.ts')).studyCommand,
  demo: async () => (await import('./demo.ts')).demoCommand,
  simulate: async () => (await import('./simulate.ts')).simulateCommand,
  coordinator: async () => (await import('./coordinator.ts')).coordinatorCommand,
  participant: async () => (await import('./participant.ts')).participantCommand,
  ledger: async () => (await import('./ledger.ts')).ledgerCommand,
  model: async () => (await import('./model.ts')).modelCommand,
  accelerator: async () => (await import('./accelerator.ts')).acceleratorCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
};

async function main(args: readonly string[]): Promise<number> {
  const { runCommand } = await import('./command.ts');
  const [name, ...rest] = args;
  const load = name === undefined ? undefined : Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined)
    return runCommand(
      await load(),
      rest,
      (text) => process.stdout.write(text),
      (text) => process.stderr.write(text),
    );
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

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const detail = error instanceof Error ? error.name : 'error';
  process.stderr.write(
    `consilience: an unexpected ${detail} ended the command. Nothing was sent. Please report it.\n${error instanceof Error ? (error.stack ?? '') : ''}\n`,
  );
  process.exitCode = 1;
}
