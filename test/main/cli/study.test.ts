// `consilience study` as a lead uses it, in child processes: new → invite → add × 4 → check → sign, and what is refused
// on the way. Enrolments are made as an institution would, from the invitation.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { AccountantName } from '../../../app/privacy/calibrate.ts';
import type { ReviewFigures } from '../../../app/review/check.ts';
import type { Finding } from '../../../app/review/finding.ts';
import type { ScheduleFigures } from '../../../app/review/schedule-figures.ts';
import { signedEnrolmentText } from '../../../app/study/enrolment.ts';
import { openInvitation } from '../../../app/study/invitation.ts';
import type { ContractDraft } from '../../../app/study/contract.ts';
import { openSignedContract, parseDraft } from '../../../app/study/signed-contract.ts';
import { runCommand } from '../../../main/cli/command.ts';
import { studyCommand } from '../../../main/cli/study.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { sampleEnrolment } from '../../app/study/documents.ts';
import { sampleKey } from '../../app/study/sample-study.ts';

const entry = fileURLToPath(new URL('../../../main/cli/index.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'study-'));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'credential'), 'a credential that only this test knows', { mode: 0o600 });

type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

function run(...args: readonly string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [entry, ...args], { encoding: 'utf8', cwd: folder });
  return { code: status, out: stdout, err: stderr };
}

const study = (...args: readonly string[]): Ended => run('study', ...args);

const keys = ['--home', 'lead', '--credential-file', 'credential'];
const written = [
  ['--purpose', 'To predict heart disease from routine measurements.'],
  ['--lawful-basis', 'Public interest in public health.'],
  ['--ethics', 'REC 26/0117'],
  ['--dpia', 'DPIA-2026-41'],
  ['--retention', 'The model for ten years.'],
  ['--organisation', 'Institute of Methods'],
  ['--operator', 'Relay Services'],
].flat();

type Checked = {
  readonly outcome: string;
  readonly findings: readonly Finding[];
  readonly figures: ReviewFigures;
  readonly schedule: ScheduleFigures;
};
type Epsilons = { readonly [name in AccountantName]: number | null };
type Priced = {
  readonly attempts: number;
  readonly delta: number;
  readonly unit: string;
  readonly adjacency: string;
  readonly epsilon: Epsilons;
  readonly refused: { readonly [name: string]: string };
  readonly plan: readonly { readonly attempts: number; readonly epsilon: Epsilons }[];
};
const codesOf = (text: string): string[] => (JSON.parse(text) as Checked).findings.map((one) => one.code);
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

test('a lead goes from an idea to a signed contract', () => {
  const name = ['--name', 'heart-study', '--title', 'Heart disease in four hospitals'];
  const made = study('new', ...name, '--template', 'heart', '--target-epsilon', '2', '--out', 'study.json', ...written);
  assert.equal(made.code, 0, made.err);
  // Nothing overwrites a file that somebody may have signed.
  const again = study('new', ...name, '--out', 'study.json');
  assert.equal(again.code, 1);
  assert.match(again.err, /exists already/);

  const early = study('check', 'study.json', '--json');
  assert.equal(early.code, 1);
  assert.deepEqual(codesOf(early.out), ['roster-too-small']);

  const invited = study('invite', 'study.json', '--out', 'invitation.json', ...keys);
  assert.equal(invited.code, 0, invited.err);
  const { invitation } = openInvitation(nodeCipher, read('invitation.json'), Date.now());
  assert.equal(invitation.study, 'heart-study');
  assert.match(invited.out, new RegExp(invitation.lead.identityKey));

  for (const which of [0, 1, 2, 3])
    writeFileSync(
      join(folder, `enrolment-${which}.json`),
      signedEnrolmentText(sampleEnrolment(which, { study: invitation.study, nominalUnits: 200 + 50 * which })),
    );
  const first = study('add', 'study.json', 'enrolment-0.json', '--json');
  assert.equal(first.code, 0, first.err);
  const rest = study('add', 'study.json', 'enrolment-1.json', 'enrolment-2.json', 'enrolment-3.json');
  assert.equal(rest.code, 0, rest.err);
  const twice = study('add', 'study.json', 'enrolment-2.json', '--json');
  assert.equal(twice.code, 1);
  assert.match(twice.out, /"institution-enrolled"/);

  const shown = study('check', 'study.json');
  assert.equal(shown.code, 0, shown.out);
  assert.match(shown.out, /ε = 2 at δ = 0\.000001 \(per record at one institution, add-or-remove; accountant rdp\)/);
  assert.match(shown.out, /Warning union-below-five/);
  const checked = JSON.parse(study('check', 'study.json', '--json').out) as Checked;
  assert.equal(checked.outcome, 'warn');
  // PLD stands beside it, here and in `account --study`, for the same attempts.
  const [rdp, pld] = [checked.schedule.by.rdp.epsilon!, checked.schedule.by.pld.epsilon!];
  assert.equal(rdp, checked.figures.epsilon.coordinator);
  assert.ok(pld < rdp && pld > 0.8 * rdp);
  assert.match(
    shown.out,
    /by PLD, this fixed schedule of 40 charged attempts costs 1\.[0-9]+; ceilings and consents count RDP/,
  );
  const priced = JSON.parse(run('account', '--study', 'study.json', '--plan', '--json').out) as Priced;
  assert.deepEqual([priced.epsilon.rdp, priced.epsilon.pld, priced.epsilon.gdp], [rdp, pld, null]);
  assert.deepEqual(priced.refused, { gdp: 'sampled-event-unsupported', zcdp: 'sampled-event-unsupported' });
  assert.deepEqual(
    [priced.attempts, priced.unit, priced.adjacency, priced.delta],
    [40, 'record', 'add-or-remove', 1e-6],
  );
  assert.deepEqual(priced.plan.at(-1), { attempts: 40, epsilon: priced.epsilon });
  for (const [at, { epsilon }] of priced.plan.entries())
    if (at > 0) assert.ok(epsilon.pld! > priced.plan[at - 1]!.epsilon.pld!);
  const words = run('account', '--study', 'study.json', '--plan');
  assert.match(words.out, /40 attempts, aborted ones charged too, .* \(per record at one institution, add-or-remove\)/);
  assert.match(words.out, /PLD {2}ε = .* at δ = 0\.000001 \(of this fixed schedule; never priced again/);
  assert.match(words.out, /\n {2}40 +\S+ +\S+ +– +–\n/);
  const mixed = run('account', '--study', 'study.json', '--steps', '4');
  assert.deepEqual([mixed.code, /leave out --steps/.test(mixed.err)], [2, true]);
  assert.equal(checked.figures.institutions, 4);
  assert.equal(checked.figures.dimension, 14);
  assert.ok(checked.figures.epsilon.coordinator! <= 2);

  const keyless = study('sign', 'study.json', '--out', 'signed.json', ...keys, '--json');
  assert.equal(keyless.code, 1);
  assert.match(keyless.out, /"key-missing"/);
  const signed = study(
    'sign',
    'study.json',
    '--out',
    'signed.json',
    ...keys,
    '--coordinator-key',
    sampleKey(2),
    '--json',
  );
  assert.equal(signed.code, 0, signed.out + signed.err);
  const opened = openSignedContract(nodeCipher, read('signed.json'));
  assert.equal(opened.contract.lead.identityKey, invitation.lead.identityKey);
  assert.deepEqual(
    opened.contract.roster.map((one) => one.identityKey),
    [0, 1, 2, 3].map((which) => sampleKey(10 + which)),
  );
  assert.equal((JSON.parse(signed.out) as { contract: string }).contract, Buffer.from(opened.hash).toString('hex'));
  assert.equal(study('check', 'signed.json').code, 0);

  // A signed file with one number changed is refused, whatever the check would have said.
  writeFileSync(join(folder, 'forged.json'), read('signed.json').replace('"rounds":30', '"rounds":31'));
  const forged = study('check', 'forged.json', '--json');
  assert.equal(forged.code, 1);
  assert.match(forged.out, /"contract-signature"/);
  const reopened = study('add', 'signed.json', 'enrolment-0.json', '--json');
  assert.equal(reopened.code, 1);
  assert.match(reopened.out, /"already-signed"/);
});

test('a policy refuses what it forbids, before anything is signed', () => {
  const template = JSON.parse(
    readFileSync(new URL('../../../main/resources/policy-template.json', import.meta.url), 'utf8'),
  ) as Record<string, unknown>;
  writeFileSync(join(folder, 'policy.json'), JSON.stringify({ ...template, mostAttempts: 39 }));
  const refused = study('check', 'study.json', '--policy', 'policy.json', '--json');
  assert.equal(refused.code, 1);
  assert.deepEqual(
    codesOf(refused.out).filter((code) => code.startsWith('policy') || code.startsWith('unknown')),
    ['policy-attempts', 'policy-unknown-institutions', 'unknown-exceed-colluders'],
  );
  const sign = ['sign', 'study.json', '--out', 'never.json', ...keys, '--coordinator-key', sampleKey(2)];
  const unsigned = study(...sign, '--policy', 'policy.json');
  assert.equal(unsigned.code, 1);
  assert.match(unsigned.err, /Nothing was signed/);
  assert.throws(() => read('never.json'), /ENOENT/);
  for (const [content, code] of [
    ['{"format":"consilience/policy/1"}', 'policy-invalid'],
    ['{', 'not-json'],
    [JSON.stringify({ ...template, anything: 1 }), 'policy-invalid'],
  ] as const) {
    writeFileSync(join(folder, 'bad-policy.json'), content);
    const bad = study('check', 'study.json', '--policy', 'bad-policy.json', '--json');
    assert.equal(bad.code, 1);
    assert.equal((JSON.parse(bad.out) as { error: { code: string } }).error.code, code);
  }
  assert.match(study('check', 'study.json', '--policy', 'no-such.json', '--json').out, /"policy-missing"/);
});

test('what the lead has not written yet is refused by invitation and check', () => {
  const made = study('new', '--name', 'unwritten', '--title', 'Unwritten', '--out', 'unwritten.json');
  assert.equal(made.code, 0, made.err);
  const invited = study('invite', 'unwritten.json', '--out', 'unwritten-invitation.json', ...keys, '--json');
  assert.equal(invited.code, 1);
  assert.match(invited.out, /"placeholder-left"/);
  assert.equal(
    codesOf(study('check', 'unwritten.json', '--json').out).filter((code) => code === 'placeholder-left').length,
    7,
  );
});

test('a draft starts from another draft, without its roster, keys and dates', () => {
  const made = study(
    'new',
    '--name',
    'second',
    '--title',
    'Second',
    '--from',
    'study.json',
    '--out',
    'second.json',
    '--days',
    '10',
  );
  assert.equal(made.code, 0, made.err);
  const [from, second] = [parseDraft(read('study.json')), parseDraft(read('second.json'))];
  assert.deepEqual(second.task, from.task);
  assert.equal(second.purpose, from.purpose);
  assert.deepEqual([second.roster, second.lead], [[], { organisation: 'Institute of Methods' }]);
  assert.equal(Date.parse(second.expires) - Date.parse(second.created), 10 * 86_400_000);
});

test('clip and noise that adapt are proposed by options, and calibrated like the rest', () => {
  const make = (name: string, ...args: readonly string[]) => {
    const facts = ['--name', name, '--title', 'T', '--from', 'study.json', '--out', `${name}.json`, '--json'];
    return study('new', ...facts, ...args);
  };
  const written = (name: string) => parseDraft(read(`${name}.json`));
  assert.equal(make('plain').code, 0);
  const plain = written('plain');
  const clipped = make('clipped', '--adaptive-clipping', '0.5', '--clip-rate', '0.3');
  assert.equal(clipped.code, 0, clipped.out + clipped.err);
  assert.deepEqual(written('clipped').training.adaptiveClipping, {
    quantile: 0.5,
    update: 'geometric',
    learningRate: 0.3,
    countWeight: 0.5,
    least: plain.training.clippingNorm / 1000,
    most: plain.training.clippingNorm * 1000,
  });
  // The count is one word more, and its weight a little more noise at the same ε.
  assert.equal(written('clipped').sealing.dimension, plain.sealing.dimension + 1);
  assert.equal(written('clipped').privacy.epsilon, plain.privacy.epsilon);
  assert.equal(written('clipped').privacy.adaptiveNoise, undefined);

  const asked = '--adaptive-clipping 0.7 --clip-update linear --count-weight 1 --clip-ends 0.1,5'.split(' ');
  const falling = '--adaptive-noise 0.8 --noise-levels 2 --quiet-below 0.25 --patience 4'.split(' ');
  const both = make('both', ...asked, ...falling);
  assert.equal(both.code, 0, both.out + both.err);
  const { training, privacy } = written('both');
  assert.deepEqual(training.adaptiveClipping, {
    quantile: 0.7,
    update: 'linear',
    learningRate: 0.2,
    countWeight: 1,
    least: 0.1,
    most: 5,
  });
  assert.deepEqual(privacy.adaptiveNoise, { factor: 0.8, levels: 2, quietBelow: 0.25, patience: 4 });
  // A roster later on, both pass the check; PLD has no fixed schedule where noise adapts.
  const enrolments = [0, 1, 2, 3].map((which) => {
    const enrolment = sampleEnrolment(which, { study: 'both', nominalUnits: 300 });
    writeFileSync(join(folder, `both-${which}.json`), signedEnrolmentText(enrolment));
    return `both-${which}.json`;
  });
  assert.equal(study('add', 'both.json', ...enrolments).code, 0);
  const checked = study('check', 'both.json', '--json');
  assert.equal(checked.code, 0, checked.out);
  const { pld } = (JSON.parse(checked.out) as Checked).schedule.by;
  assert.equal(pld.epsilon === null ? pld.why.code : null, 'schedule-not-fixed');
  assert.match(study('check', 'both.json').out, /no PLD beside it: The noise of this study adapts/);

  // From such a draft, "none" takes it out again, and saying nothing keeps it.
  assert.equal(run('study', 'new', ...fromBoth('kept')).code, 0);
  assert.deepEqual(written('kept').privacy.adaptiveNoise, privacy.adaptiveNoise);
  const none = ['--adaptive-clipping', 'none', '--adaptive-noise', 'none'];
  assert.equal(run('study', 'new', ...fromBoth('fixed'), ...none).code, 0);
  assert.equal(written('fixed').training.adaptiveClipping, undefined);
  assert.equal('adaptiveNoise' in written('fixed').privacy, false);
  assert.equal(written('fixed').sealing.dimension, plain.sealing.dimension);
});

const fromBoth = (name: string): readonly string[] => [
  '--name',
  name,
  '--title=T',
  '--from=both.json',
  `--out=${name}.json`,
];

test('smaller vectors are proposed by options: packed, and a part of the parameters', () => {
  const facts = (from: string, name: string) => ['--name', name, '--title=T', `--from=${from}`, `--out=${name}.json`];
  const written = (name: string) => parseDraft(read(`${name}.json`));
  assert.equal(study('new', ...facts('study.json', 'whole')).code, 0);
  const made = study('new', ...facts('study.json', 'part'), '--packing', 'ring', '--subset', '0.25');
  assert.equal(made.code, 0, made.err);
  const [whole, part] = [written('whole'), written('part')];
  const d = whole.sealing.dimension;
  const { packing, subset, dimension } = part.sealing;
  assert.deepEqual(
    [packing, subset, dimension],
    ['ring', { kind: 'seeded', share: 0.25, parameters: d }, Math.round(d / 4)],
  );
  assert.equal(part.training.server.learningRate, whole.training.server.learningRate / 4);
  assert.equal(part.privacy.epsilon, whole.privacy.epsilon);
  // Kept where nothing is said, and taken out again by "none", the learning rate with it.
  assert.equal(study('new', ...facts('part.json', 'part-kept')).code, 0);
  assert.deepEqual(written('part-kept').sealing, part.sealing);
  assert.equal(written('part-kept').training.server.learningRate, part.training.server.learningRate);
  assert.equal(study('new', ...facts('part.json', 'part-out'), '--packing=none', '--subset=none').code, 0);
  assert.deepEqual(written('part-out').sealing, whole.sealing);
  assert.equal(written('part-out').training.server.learningRate, whole.training.server.learningRate);
});

/** `study new` from the first test's draft, under another name; what it wrote. */
function madeFrom(name: string, ...args: readonly string[]): ContractDraft {
  const made = study('new', '--name', name, '--title=T', '--from=study.json', `--out=${name}.json`, ...args);
  assert.equal(made.code, 0, made.out + made.err);
  return parseDraft(read(`${name}.json`));
}

const sites = Array.from({ length: 12 }, (_, at) => `site-${at}`);
const threeRegions = ['north', 'middle', 'south'].flatMap((region, at) => [
  `--region=${region}=${sites.slice(4 * at, 4 * at + 4).join(',')}`,
  `--relay=${region}=https://${region}.example.org:8441`,
  `--relay-key=${region}=${sampleKey(50 + at)}`,
  `--relay-operator=${region}=Operator ${region}`,
]);

function enrol(name: string, names: readonly string[]): readonly string[] {
  return names.map((site, which) => {
    const enrolment = sampleEnrolment(which, { study: name, name: site, nominalUnits: 300 });
    writeFileSync(join(folder, `${name}-${site}.json`), signedEnrolmentText(enrolment));
    return `${name}-${site}.json`;
  });
}

test('regions and relays are given by name, and every enrolment fills its place', () => {
  const draft = madeFrom('regions', ...threeRegions);
  assert.deepEqual(
    draft.roster.map(({ name }) => name),
    sites,
  );
  assert.deepEqual(
    draft.regions!.relays.map(({ name, members }) => [name, members]),
    [
      ['north', [0, 1, 2, 3]],
      ['middle', [4, 5, 6, 7]],
      ['south', [8, 9, 10, 11]],
    ],
  );
  assert.equal(draft.regions!.opening, 'root');
  // A quorum that bears the loss of a region.
  assert.equal(draft.sealing.threshold, 8);
  // In another order than they were expected in.
  const added = study('add', 'regions.json', ...enrol('regions', sites.toReversed()));
  assert.equal(added.code, 0, added.err);
  const grown = parseDraft(read('regions.json'));
  assert.deepEqual(
    grown.roster.map(({ name }) => name),
    sites,
  );
  assert.ok(grown.roster.every(({ identityKey }) => identityKey !== undefined));
  assert.deepEqual(grown.regions, draft.regions);
  // Two colluders may silence a region of four, which the check says; it finds nothing else in them.
  const codes = codesOf(study('check', 'regions.json', '--json').out);
  assert.deepEqual(
    codes.filter((code) => /region|relay/.test(code)),
    ['region-silenced'],
  );
  // From such a draft regions are left behind with the roster they are about.
  assert.equal(study('new', '--name=after', '--title=T', '--from=regions.json', '--out=after.json').code, 0);
  assert.ok(!('regions' in parseDraft(read('after.json'))));
});

test('regions that open their own sums get thresholds and more noise', () => {
  const [root, open] = [
    madeFrom('opens-root', ...threeRegions, '--colluders=1'),
    madeFrom('opens', ...threeRegions, '--opening=region'),
  ];
  assert.deepEqual(
    open.regions!.relays.map(({ threshold }) => threshold),
    [3, 3, 3],
  );
  assert.equal(open.sealing.colluders, 1);
  assert.ok(open.sealing.noiseVariance > 3 * root.sealing.noiseVariance);
  assert.equal(study('add', 'opens.json', ...enrol('opens', sites)).code, 0);
  const checked = study('check', 'opens.json');
  assert.equal(checked.code, 0, checked.out);
  assert.match(checked.out, /Warning regions-open-cost/);
});

test('turns and a pace are proposed by options, and slow institutions by name', () => {
  const names = `--institutions=${sites.join(',')}`;
  const turns = ['--selection=9', '--slow=site-3,site-1', '--slow-per-round=1', '--pace=8', '--pace-patience=3'];
  const { schedule, sealing } = madeFrom('turns', names, ...turns, '--pace-least=5');
  assert.deepEqual(schedule.selection, { institutions: 9, slow: [1, 3], slowPerRound: 1 });
  assert.deepEqual(schedule.pace, { enough: 8, patience: 3, leastSeconds: 5 });
  // Held against those who are asked.
  assert.equal(sealing.threshold, 7);
  assert.equal(study('add', 'turns.json', ...enrol('turns', sites)).code, 0);
  const checked = study('check', 'turns.json');
  assert.equal(checked.code, 0, checked.out);
  assert.match(checked.out, /Warning selection-amplifies-nothing/);
  const plain = madeFrom('turns-plain', '--pace=4');
  assert.deepEqual(plain.schedule.pace, { enough: 4, patience: 2, leastSeconds: 60 });
  assert.ok(!('selection' in plain.schedule));

  const refused = (code: string, ...args: readonly string[]) => {
    const { out, code: exit } = study(
      'new',
      '--name=no',
      '--title=T',
      '--from=study.json',
      '--out=no.json',
      '--json',
      ...args,
    );
    assert.equal(exit, 1, out);
    assert.match(out, new RegExp(`"${code}".*Nothing was written`));
    assert.throws(() => read('no.json'), /ENOENT/);
  };
  refused('selection-too-few', names, '--selection=13');
  refused('pace-out-of-range', names, '--pace=13');
  const small = ['a', 'b'].flatMap((region, at) => [
    `--region=${region}=${sites.slice(2 * at, 2 * at + 2).join(',')}`,
    `--relay=${region}=https://x.example.org`,
    `--relay-key=${region}=${sampleKey(50 + at)}`,
    `--relay-operator=${region}=Somebody`,
  ]);
  refused('region-threshold-unsafe', ...small, '--opening=region');
});

test('what cannot adapt together is refused by name, and nothing is written', () => {
  const base = JSON.parse(read('study.json')) as Record<string, Record<string, unknown>>;
  const quiet = { ...base['privacy'], noise: 'none', noiseMultiplier: null, epsilon: null };
  writeFileSync(
    join(folder, 'noiseless.json'),
    JSON.stringify({
      ...base,
      privacy: quiet,
      sealing: { ...base['sealing'], noiseVariance: 0, openableBatches: [[0, 1, 2, 3]] },
    }),
  );
  const evaluation = { share: 0.2, splitKey: '5a'.repeat(32), bins: 20, slices: [], leastCount: 20 };
  writeFileSync(join(folder, 'tested.json'), JSON.stringify({ ...base, evaluation }));
  const refusals: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      'noiseless.json',
      ['--adaptive-noise', '0.9'],
      /"adaptive-noise-without-noise".*set the noise to discrete-gaussian/,
    ],
    ['tested.json', ['--adaptive-clipping', '0.5'], /"evaluation-adapts".*leave the evaluation out/],
    ['tested.json', ['--adaptive-noise', '0.5'], /"evaluation-adapts"/],
    ['study.json', ['--adaptive-clipping', '0.5', '--clip-ends', '2,3'], /"adaptive-clip-ends".*Nothing was written/],
  ];
  for (const [from, args, said] of refusals) {
    const facts = ['--name', 'never', '--title', 'T', '--from', from, '--out', 'never-adaptive.json', '--json'];
    const { code, out } = study('new', ...facts, ...args);
    assert.equal(code, 1, out);
    assert.match(out, said);
    assert.throws(() => read('never-adaptive.json'), /ENOENT/);
  }
});

test('mistakes in the command line are exit code 2', async () => {
  const code = (...args: readonly string[]) =>
    runCommand(
      studyCommand,
      args,
      () => {},
      () => {},
    );
  for (const args of [
    [],
    ['publish'],
    ['new'],
    ['check'],
    ['check', 'a', 'b'],
    ['add', 'study.json'],
    ['invite', 'study.json', '--out', 'x.json'],
    ['new', '--name', 'a', '--title', 'A', '--out', 'a.json', '--template', 'nothing'],
    ['new', '--name', 'a', '--title', 'A', '--out', 'a.json', '--template', 'heart', '--from', 'study.json'],
    ['new', '--name', 'a', '--title', 'A', '--out', 'a.json', '--target-epsilon', '0'],
    ...[
      ['--adaptive-clipping', '1'],
      ['--adaptive-clipping', '0.5', '--clip-update', 'fast'],
      ['--adaptive-clipping', '0.5', '--clip-ends', '3,2'],
      ['--adaptive-clipping', '0.5', '--clip-ends', '1,2,3'],
      ['--adaptive-clipping', '0.5', '--count-weight', '2.5'],
      ['--clip-rate', '0.1'],
      ['--adaptive-clipping', 'none', '--clip-rate', '0.1'],
      ['--adaptive-noise', '1'],
      ['--adaptive-noise', '0.9', '--noise-levels', '0'],
      ['--patience', '3'],
      ['--packing', 'zip'],
      ['--subset', '0'],
      ['--subset', '1.5'],
      ['--slow', 'x'],
      ['--selection', '2'],
      ['--selection', '5', '--slow', 'x'],
      ['--institutions', 'x,,y'],
      ['--institutions', 'x,x'],
      ['--pace', 'fast'],
      ['--pace-least', '5'],
      ['--pace', 'none', '--pace-least', '5'],
      ['--relay', 'x=https://x.example.org'],
      ['--region', 'x=a,b'],
      ['--region', 'x', '--region', 'y=c,d'],
      ['--region', 'x=a,b', '--region', 'x=c,d'],
      ['--region', 'x=a,b', '--region', 'y=c,d'],
      ['--region', 'x=a,b', '--region', 'y=c,d', '--opening', 'both'],
      ['--region', 'x=a,b', '--region', 'y=c,d', '--relay', 'z=https://z.example.org'],
    ].map((more) => ['new', '--name', 'a', '--title', 'A', '--out', 'a.json', ...more]),
  ])
    assert.equal(await code(...args), 2, args.join(' '));
  assert.equal(await code('new', '--name', 'Not A Name', '--title', 'A', '--out', join(folder, 'a.json')), 1);
  assert.equal(study('publish').code, 2);
});

test('check names what other programs would allow, and proposes the draft without it', () => {
  const draft = JSON.parse(read('study.json')) as { training: object; privacy: object };
  const foolish = {
    ...draft,
    training: { ...draft.training, shuffle: true },
    privacy: { ...draft.privacy, noiseSeed: 7 },
  };
  writeFileSync(join(folder, 'foolish.json'), JSON.stringify(foolish));
  const checked = study('check', 'foolish.json', '--json');
  assert.equal(checked.code, 1);
  assert.deepEqual(codesOf(checked.out).slice(0, 2), ['shuffled-sampling', 'seeded-noise']);
  const { nearest } = JSON.parse(checked.out) as { nearest: { changes: { where: string }[] } | null };
  assert.deepEqual(
    nearest!.changes.slice(0, 2).map(({ where }) => where),
    ['training.shuffle', 'privacy.noiseSeed'],
  );
  assert.match(study('check', 'foolish.json').out, /REFUSE seeded-noise/);
});
