// `consilience doctor`: what works on this machine, what does not, and how to mend it. It changes nothing but a probe in
// the keyring and one in --home, both removed at once. Exit code 1 where something fails that a run needs. Design 1.

import { backendChecks } from '../host/doctor/backends.ts';
import type { Check, Level } from '../host/doctor/check.ts';
import { homeChecks } from '../host/doctor/home.ts';
import { machineChecks } from '../host/doctor/machine.ts';
import { coordinatorCheck, policyCheck } from '../host/doctor/network.ts';
import { stringOption, UsageError } from './command.ts';
import type { Command } from './command.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'Says what works on this machine, what does not, and how to mend it.',
  usage: ['doctor [--home DIR] [--policy FILE] [--coordinator URL [--ca FILE]] [--json]'],
  example: 'consilience doctor',
  options: {
    home: {
      type: 'string',
      value: 'DIR',
      help: 'An institution’s folder: modes, keys, ledger, disk. Nothing is unlocked.',
    },
    policy: { type: 'string', value: 'FILE', help: 'IT’s policy file.' },
    coordinator: { type: 'string', value: 'URL', help: 'Address of a coordinator to reach.' },
    ca: { type: 'string', value: 'FILE', help: 'PEM of the private authority that vouches for the coordinator.' },
  },
  async run({ positionals, options, json, out }) {
    if (positionals.length > 0) throw new UsageError('doctor takes options only.');
    const home = stringOption(options, 'home');
    const policy = stringOption(options, 'policy');
    const authority = stringOption(options, 'ca');
    const address = addressOf(stringOption(options, 'coordinator'));
    if (authority !== undefined && address === null) throw new UsageError('--ca belongs to --coordinator.');
    const checks = [
      ...(await machineChecks()),
      ...(await backendChecks()),
      ...(home === undefined ? [] : await homeChecks(home)),
      ...(policy === undefined ? [] : [await policyCheck(policy)]),
      ...(address === null ? [] : [await coordinatorCheck(address, authority ?? null)]),
    ];
    const failed = checks.filter(({ level }) => level === 'fail').length;
    const warned = checks.filter(({ level }) => level === 'warn').length;
    if (json) out(`${JSON.stringify({ ok: failed === 0, failed, warned, checks })}\n`);
    else out(`${checks.map(inWords).join('\n')}\n\n${verdict(failed, warned)}\n`);
    return failed === 0 ? 0 : 1;
  },
};

function addressOf(text: string | undefined): URL | null {
  if (text === undefined) return null;
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new UsageError('--coordinator takes an address such as https://relay.example.org:8443');
  return url;
}

const marks: { readonly [level in Level]: string } = { pass: 'ok  ', warn: 'warn', fail: 'FAIL' };

function inWords({ name, level, found, meaning, repair }: Check): string {
  const lines = [`${marks[level]}  ${name.padEnd(21)} ${found}`];
  if (level !== 'pass') lines.push(`      ${''.padEnd(21)} ${meaning}`);
  if (repair !== null) lines.push(`      ${''.padEnd(21)} → ${repair}`);
  return lines.join('\n');
}

function verdict(failed: number, warned: number): string {
  if (failed > 0)
    return `${failed} ${failed === 1 ? 'check fails' : 'checks fail'}: mend that before a study runs here.`;
  if (warned > 0)
    return `A study can run here. ${warned} ${warned === 1 ? 'thing works' : 'things work'} another way than usual.`;
  return 'A study can run here.';
}
