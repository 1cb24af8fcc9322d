// `consilience participant join | preview | consent | run | status | recover | data | exclude | withdraw`: one institution
// without a window. The logic is in main/host/participant; here are only words and options. Design 1, "Command line".

import { readFile } from 'node:fs/promises';
import { InputError } from '../../app/errors.ts';
import { openInvitation } from '../../app/study/invitation.ts';
import type { Policy } from '../../app/study/policy.ts';
import { writeFileAtomically } from '../host/disk/atomic-file.ts';
import { diskError, systemCode } from '../host/disk/disk-error.ts';
import { readMappingFile } from '../host/import/mapping-file.ts';
import { nodeCipher } from '../host/machine.ts';
import type { DatasetFilter } from '../host/participant/ceilings.ts';
import { connectParticipant, fetchContract, sendOnce } from '../host/participant/connection.ts';
import { consentToStudy } from '../host/participant/consent.ts';
import type { Consented } from '../host/participant/consent.ts';
import { invitationPaths, readTextIfThere } from '../host/participant/home.ts';
import { joinStudy } from '../host/participant/join.ts';
import { recoverDevice } from '../host/participant/recover.ts';
import { runParticipant } from '../host/participant/run.ts';
import type { RunOutcome } from '../host/participant/run.ts';
import { readStatus } from '../host/participant/status.ts';
import type { ParticipantStatus } from '../host/participant/status.ts';
import { withdraw } from '../host/participant/withdraw.ts';
import { readPolicyFile } from '../host/policy-file.ts';
import { UsageError, numberOption, requiredOption, stringOption } from './command.ts';
import type { Command, Invocation, OptionValues } from './command.ts';
import { credentialOptions, keyOptions } from './key-options.ts';
import { percent, say } from './output.ts';
import { checkpointSource, checkpointText } from './study-report.ts';
import { data, exclude } from './participant-data.ts';
import { preview } from './participant-preview.ts';

export const participantCommand: Command = {
  name: 'participant',
  summary: 'Takes part in a study for one institution, without a window.',
  usage: [
    'participant join INVITATION --home DIR --name NAME --organisation TEXT --units N [--out FILE]',
    'participant preview --data FILE [--contract FILE] [--mapping FILE] [--rows N] [--out FILE]',
    'participant consent --home DIR --data FILE [--in-place] [--mapping FILE] [--checkpoint DIR] [--contract FILE | --invited NAME] [--policy FILE] [--epsilon E] [--expires TIME]',
    'participant run --home DIR [--study HASH] [--policy FILE]',
    'participant status --home DIR',
    'participant recover --home DIR [--study HASH] [--reason TEXT]',
    'participant data list | delete --dataset NAME  --home DIR',
    'participant exclude --file FILE --home DIR',
    'participant withdraw --home DIR [--study HASH] [--reason TEXT]',
  ],
  example: 'consilience participant run --home /srv/consilience --credential-file /etc/consilience/credential',
  options: {
    home: { type: 'string', value: 'DIR', help: 'Folder of this institution: keys, log, state.' },
    ...credentialOptions,
    policy: { type: 'string', value: 'FILE', help: 'IT’s policy.json.' },
    name: { type: 'string', value: 'NAME', help: 'join: short name of this institution in the roster.' },
    organisation: { type: 'string', value: 'TEXT', help: 'join: name of this institution as people know it.' },
    units: { type: 'string', value: 'N', help: 'join: public, agreed number of records or persons, never counted.' },
    out: { type: 'string', value: 'FILE', help: 'join: a copy of enrolment.json; preview: the proposed mapping.' },
    contract: { type: 'string', value: 'FILE', help: 'consent: the signed contract; else the coordinator is asked.' },
    invited: { type: 'string', value: 'NAME', help: 'consent: the study whose coordinator is asked for its contract.' },
    data: {
      type: 'string',
      value: 'FILE',
      help: 'preview, consent: the records, as CSV, JSON Lines, XLSX or Parquet.',
    },
    'in-place': {
      type: 'boolean',
      help: 'consent: keep no encrypted copy of the records; read the file where it lies, where it must not change.',
    },
    checkpoint: { type: 'string', value: 'DIR', help: 'consent: the checkpoint that a language study adapts.' },
    mapping: { type: 'string', value: 'FILE', help: 'preview, consent: how their columns become the study’s.' },
    rows: { type: 'string', value: 'N', help: 'preview: shows the first N rows as they are.' },
    dataset: { type: 'string', value: 'NAME', help: 'consent, data delete: name of the records ("records").' },
    file: { type: 'string', value: 'FILE', help: 'exclude: persons who object, one identifier in each line.' },
    'excluded-removed': {
      type: 'boolean',
      help: 'consent: no column names persons, and those who object are not in the file.',
    },
    epsilon: { type: 'string', value: 'E', help: 'consent: most this study may cost (the contract’s worst case).' },
    'dataset-epsilon': {
      type: 'string',
      value: 'E',
      help: 'consent: most all studies together may cost these records.',
    },
    'dataset-filter': {
      type: 'string',
      value: 'KIND',
      help: 'consent: rdp (default), or gdp where only unsampled studies will ever use these records; fixed once set.',
    },
    expires: { type: 'string', value: 'TIME', help: 'consent: its end, e.g. 2027-06-30T00:00:00.000Z.' },
    'accept-no-noise': { type: 'boolean', help: 'consent: accept a contract without noise, which nothing bounds.' },
    study: {
      type: 'string',
      value: 'HASH',
      help: 'Which study, by the first digits of its hash, where there are more.',
    },
    reason: { type: 'string', value: 'TEXT', help: 'withdraw, recover: goes into the log and to the coordinator.' },
  },
  async run(invocation) {
    const [action, ...files] = invocation.positionals;
    if (action !== 'join' && action !== 'data' && files.length > 0)
      throw new UsageError(`participant ${action} takes options only.`);
    switch (action) {
      case 'join':
        return join(files, invocation);
      case 'preview':
        return preview(invocation);
      case 'consent':
        return consent(invocation);
      case 'run':
        return run(invocation);
      case 'status':
        return status(invocation);
      case 'recover':
        return recover(invocation);
      case 'withdraw':
        return end(invocation);
      case 'data':
        return data(files, invocation);
      case 'exclude':
        return exclude(invocation);
      default:
        throw new UsageError(
          'participant knows join, preview, consent, run, status, recover, data, exclude and withdraw.',
        );
    }
  },
};

async function join(files: readonly string[], invocation: Invocation): Promise<0 | 1> {
  const { options } = invocation;
  const [path, ...rest] = files;
  if (path === undefined || rest.length > 0) throw new UsageError('Give one invitation file.');
  const nominalUnits = numberOption(options, 'units', { least: 1, most: 1e9, whole: true });
  if (nominalUnits === undefined) throw new UsageError('--units is missing.');
  const joined = await joinStudy({
    home: requiredOption(options, 'home'),
    keys: keyOptions(options),
    invitation: await readText(path),
    name: requiredOption(options, 'name'),
    organisation: requiredOption(options, 'organisation'),
    nominalUnits,
  });
  const copy = stringOption(options, 'out');
  if (copy !== undefined) await writeFileAtomically(copy, joined.enrolment, 0o644);
  const enrolment = copy ?? joined.enrolmentPath;
  const { invitation, leadCode, ownCode } = joined;
  const report = { study: invitation.study, enrolment, lead: invitation.lead.organisation, leadCode, ownCode };
  return say(invocation, report, [
    `The invitation to "${invitation.title}" is signed by ${invitation.lead.organisation}, identity code ${leadCode}.`,
    'Compare that code with the lead by telephone before you consent.',
    `This institution's identity code: ${ownCode}. ${joined.keys}`,
    `Send ${enrolment} to the lead. Nothing is agreed to yet.`,
  ]);
}

function filterOption(options: OptionValues): DatasetFilter | null {
  const given = stringOption(options, 'dataset-filter') ?? null;
  if (given === null || given === 'rdp' || given === 'gdp') return given;
  throw new UsageError('--dataset-filter must be rdp or gdp.');
}

async function consent(invocation: Invocation): Promise<0 | 1> {
  const { options } = invocation;
  const home = requiredOption(options, 'home');
  const mapping = stringOption(options, 'mapping');
  const consented = await consentToStudy({
    home,
    mapping: mapping === undefined ? null : await readMappingFile(mapping),
    keys: keyOptions(options),
    contract: await contractText(home, options),
    policy: await policyOf(options),
    data: { name: stringOption(options, 'dataset') ?? 'records', path: requiredOption(options, 'data') },
    keepCopy: options['in-place'] !== true,
    epsilon: epsilonOption(options, 'epsilon'),
    datasetEpsilon: epsilonOption(options, 'dataset-epsilon'),
    checkpoint: stringOption(options, 'checkpoint') ?? null,
    datasetFilter: filterOption(options),
    acceptNoNoise: options['accept-no-noise'] === true,
    excludedRemoved: options['excluded-removed'] === true,
    expires: stringOption(options, 'expires') ?? null,
    send: sendOnce(
      () => policyOf(options),
      (connection, text) => connection.sendConsent(text),
    ),
  });
  const { study, index, review, dataset, datasetCeiling } = consented;
  const { epsilonCeiling, delta, unit, adjacency, noise, expires } = consented.consent.consent;
  const report = {
    study,
    index,
    outcome: review.outcome,
    findings: review.findings,
    dataset: {
      name: dataset.name,
      count: dataset.count,
      dropped: dataset.dropped,
      columnsDropped: dataset.columnsDropped,
      said: dataset.said,
      mapping: consented.mapping,
      encryptedCopy: consented.copied,
    },
    checkpoint: checkpointSource(consented.task),
    epsilon: { ceiling: epsilonCeiling, delta, unit, adjacency, noise },
    sharesWith: consented.sharesWith,
    datasetCeiling,
    expires,
    untold: consented.untold,
  };
  return say(invocation, report, consentSentences(consented));
}

function consentSentences(consented: Consented): string[] {
  const { study, task, review, dataset, datasetCeiling, sharesWith, consent: signed, untold } = consented;
  const { epsilonCeiling, delta, unit, adjacency, expires } = signed.consent;
  const { from, to } = dataset.count;
  return [
    ...checkpointText(task),
    ...review.findings.map((one) => `Warning ${one.code}: ${one.reason}`),
    ...dataset.said,
    ...(dataset.columnsDropped.length === 0
      ? []
      : [`Columns that the study does not read: ${dataset.columnsDropped.join(', ')}.`]),
    `The dataset "${dataset.name}" holds ${from}–${to} ${unit}s that fit; ${dataset.dropped} rows are left out by the study's rules.`,
    consented.copied
      ? 'An encrypted copy of what the study uses is kept in the home; training reads that alone.'
      : `The file is read where it lies, ${dataset.path}, and must not change.`,
    epsilonCeiling === null
      ? 'The contract adds no noise: nothing bounds what can be learned. That is accepted by this consent.'
      : `This study may cost at most ε = ${epsilonCeiling} at δ = ${delta}, per ${unit} (${adjacency}).`,
    ...(sharesWith.length === 0
      ? []
      : [`They share persons with ${sharesWith.map((name) => `"${name}"`).join(', ')}: one allowance counts for all.`]),
    `Over all studies these records may cost ε = ${datasetCeiling.epsilon ?? 'without bound'} (${datasetCeiling.said}).`,
    `Your institution's consent to ${study} is signed until ${expires}. Next: consilience participant run`,
    ...(untold === null ? [] : [`The coordinator was not told yet, "run" does that: ${untold}`]),
  ];
}

async function run(invocation: Invocation): Promise<0 | 1> {
  const { options, json } = invocation;
  const stop = new AbortController();
  const asked = (): void => stop.abort();
  process.once('SIGTERM', asked).once('SIGINT', asked);
  try {
    const policy = await policyOf(options);
    const outcome = await runParticipant({
      home: requiredOption(options, 'home'),
      keys: keyOptions(options),
      study: stringOption(options, 'study') ?? null,
      policy,
      connect: (stored, index, keystore) => connectParticipant(stored, index, keystore, policy),
      signal: stop.signal,
      onEvent: (event) => invocation.out(json ? `${JSON.stringify(event)}\n` : `${event.time} ${event.text}\n`),
    });
    if (json) invocation.out(`${JSON.stringify({ kind: 'outcome', ...outcome })}\n`);
    else invocation.out(`${outcomeSentences(outcome).join('\n')}\n`);
    return outcome.ledger.verified ? 0 : 1;
  } finally {
    process.off('SIGTERM', asked).off('SIGINT', asked);
  }
}

function outcomeSentences({ outcome, roundsClosed, epsilon, ledger, study }: RunOutcome): string[] {
  const ends: { readonly [outcome: string]: string } = {
    complete: 'The study is complete.',
    'attempts-spent': 'The study ended: all its attempts are used.',
    'too-few-left': 'The study ended: too few institutions are left.',
    withdrawn: 'This institution stopped taking part.',
    stopped: 'Stopped; the study goes on when this is started again.',
  };
  return [
    `${ends[outcome] ?? `The study ended (${outcome}).`} Rounds closed: ${roundsClosed}. Study ${study}.`,
    epsilonSentence(epsilon),
    ledger.verified
      ? `The privacy log is unaltered: ${ledger.entries} entries.`
      : `The privacy log does NOT verify. ${ledger.finding ?? ''}`,
  ];
}

/** ε at the ceiling's one order says little before much is used, so people read the share. */
function epsilonSentence({ share, ceiling, delta, unit, adjacency }: RunOutcome['epsilon']): string {
  if (ceiling === null) return `No noise was added, so no ε bounds what was learned per ${unit}.`;
  const used = share === null ? 'all' : percent(share);
  return `This study uses ${used} of its allowance of ε = ${ceiling} at δ = ${delta}, per ${unit} at this institution (${adjacency}).`;
}

async function status(invocation: Invocation): Promise<0 | 1> {
  const home = requiredOption(invocation.options, 'home');
  const found = await readStatus(home);
  if (found === null)
    throw new InputError('nothing-ran', `Nothing ran in ${home} yet. Use: consilience participant run --home ${home}`);
  const running = found.pid !== null && isAlive(found.pid);
  return say(invocation, { ...found, running }, statusSentences(found, running));
}

function statusSentences(found: ParticipantStatus, running: boolean): string[] {
  const { study, institution, doing, round, stage, rounds, epsilon, forecast, events, updated } = found;
  const where = stage === null ? '' : `, in round ${round} at "${stage}"`;
  return [
    `${institution} in "${study.title}" (${study.hash.slice(0, 12)}): ${doing}${where}. ${running ? 'Running.' : 'Not running.'}`,
    `Rounds closed: ${rounds.closed} of ${rounds.planned}. ${epsilonSentence(epsilon)} Last change ${updated}.`,
    ...(forecast === null || found.outcome !== null ? [] : [forecastSentence(forecast)]),
    ...events.slice(-5).map((event) => `  ${event.time} ${event.text}`),
  ];
}

function forecastSentence({ ceiling, round, rounds, at }: NonNullable<ParticipantStatus['forecast']>): string {
  const whose = ceiling === 'consent' ? 'allowance of this study' : 'allowance of the dataset over all studies';
  if (rounds === 0) return `The ${whose} is reached: no further round is signed for.`;
  const when = at === null ? '' : `, about ${at.slice(0, 10)}`;
  return `At this pace the ${whose} is reached in round ${round}${when}; the study's schedule goes on beyond it.`;
}

async function recover(invocation: Invocation): Promise<0 | 1> {
  const { options } = invocation;
  const home = requiredOption(options, 'home');
  const done = await recoverDevice({
    home,
    keys: keyOptions(options),
    study: stringOption(options, 'study') ?? null,
    reason: stringOption(options, 'reason') ?? null,
    connect: connectParticipant,
  });
  const rounds = done.charged.length === 0 ? 'No round had' : `Rounds ${done.charged.join(', ')} had`;
  return say(invocation, done, [
    `The device replacement is signed and known to the coordinator; this folder goes on after round ${done.round}.`,
    `${rounds} to be charged at the worst case. ${epsilonSentence(done.epsilon)}`,
    `Next: consilience participant run --home ${home}`,
  ]);
}

async function end(invocation: Invocation): Promise<0 | 1> {
  const { options } = invocation;
  const done = await withdraw({
    home: requiredOption(options, 'home'),
    keys: keyOptions(options),
    study: stringOption(options, 'study') ?? null,
    reason: stringOption(options, 'reason') ?? null,
    send: sendOnce(
      () => policyOf(options),
      (connection, text) => connection.sendWithdrawal(text),
    ),
  });
  return say(invocation, done, [
    done.by === 'running'
      ? 'The running participant will stop before its next charge; a contribution that is on its way is seen through.'
      : 'This institution stopped taking part; what was already contributed stays, and so does the amount used.',
    ...(done.untold === null ? [] : [`The coordinator was not told yet: ${done.untold} Run this command again later.`]),
  ]);
}

async function policyOf(options: OptionValues): Promise<Policy | null> {
  const path = stringOption(options, 'policy');
  return path === undefined ? null : readPolicyFile(path, true);
}

const epsilonOption = (options: OptionValues, name: string): number | null =>
  numberOption(options, name, { least: 0, most: 1e6, aboveLeast: true }) ?? null;

async function contractText(home: string, options: OptionValues): Promise<string> {
  const path = stringOption(options, 'contract');
  if (path !== undefined) return readText(path);
  const invited = stringOption(options, 'invited');
  if (invited === undefined) throw new UsageError('Give the signed contract with --contract FILE, or --invited NAME.');
  if (!/^[a-z0-9-]{1,64}$/.test(invited)) throw new UsageError('--invited takes the short name of a study.');
  const text = await readTextIfThere(invitationPaths(home, invited).invitation);
  if (text === null) throw new InputError('not-joined', `No invitation to the study "${invited}" was answered here.`);
  return fetchContract(openInvitation(nodeCipher, text, null).invitation, await policyOf(options));
}

async function readText(path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    if (error instanceof TypeError) throw new InputError('not-text', `${path} is not text in UTF-8.`);
    throw diskError(error, `The file ${path}`);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, but belongs to another account.
    return systemCode(error) === 'EPERM';
  }
}
