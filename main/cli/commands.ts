// The subcommands of `consilience`, each loaded on demand, so that `account` does not wait for TensorFlow.

import type { Command } from './command.ts';

export const commands: { readonly [name: string]: () => Promise<Command> } = {
  app: async () => (await import('./app.ts')).appCommand,
  host: async () => (await import('./host.ts')).hostCommand,
  account: async () => (await import('./account.ts')).accountCommand,
  study: async () => (await import('./study.ts')).studyCommand,
  demo: async () => (await import('./demo.ts')).demoCommand,
  simulate: async () => (await import('./simulate.ts')).simulateCommand,
  coordinator: async () => (await import('./coordinator.ts')).coordinatorCommand,
  relay: async () => (await import('./relay.ts')).relayCommand,
  participant: async () => (await import('./participant.ts')).participantCommand,
  ledger: async () => (await import('./ledger.ts')).ledgerCommand,
  model: async () => (await import('./model.ts')).modelCommand,
  accelerator: async () => (await import('./accelerator.ts')).acceleratorCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
};
