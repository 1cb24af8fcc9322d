// The shell's words as systems and Chromium hand them over: in any order, with others among them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shellArguments as shell } from '../../../main/desktop/shell-arguments.ts';
import { shellArguments as fromCommand } from '../../../main/cli/app-desktop.ts';

const none = { home: null, demo: false, hidden: false, role: 'steward', hostOptions: [], opened: null } as const;

test('no words, or Chromium’s own, are the usual start', () => {
  assert.deepEqual(shell([], '/home/it'), none);
  assert.deepEqual(
    shell(['--no-sandbox', '--disable-gpu', '--remote-debugging-port=0', '/app/shell'], '/home/it'),
    none,
  );
});

test('paths are meant from where the person stands; what the host reads is passed on', () => {
  const words = ['--interval=1', '--policy=policy.json', '--home=here', '--credential-file=/etc/secret', '--rounds=3'];
  const { home, hostOptions } = shell(words, '/home/it');
  assert.equal(home, '/home/it/here');
  assert.deepEqual(hostOptions, [
    '--policy=/home/it/policy.json',
    '--credential-file=/etc/secret',
    '--rounds=3',
    '--interval=1',
  ]);
  assert.deepEqual(shell(['--home=/a/b=c'], '/home/it').home, '/a/b=c');
});

test('a demonstration, a start in the tray, a role; an unknown role is the usual one', () => {
  const demo = shell(['--hidden', '--demo', '--role=auditor'], '/home/it');
  assert.deepEqual([demo.demo, demo.hidden, demo.role, demo.hostOptions], [true, true, 'auditor', ['--demo']]);
  assert.equal(shell(['--role=root'], '/home/it').role, 'steward');
});

test('what is to be opened: a link, a file; never an option that ends like one', () => {
  const link = 'consilience://invitation/abc';
  assert.deepEqual(shell(['--allow-file-access', link], '/home/it').opened, { link });
  assert.deepEqual(shell(['mail.consilience'], '/downloads').opened, { file: '/downloads/mail.consilience' });
  assert.deepEqual(shell(['--home=/x.consilience'], '/home/it').opened, null);
  assert.deepEqual(shell(['-x.consilience', 'file.txt', 'https://example.org'], '/home/it').opened, null);
});

test('what `consilience app` passes on is what the shell reads', () => {
  const options = { home: '/h', policy: '/p', rounds: '4', role: 'auditor', demo: true, loopback: true, port: '9000' };
  const words = fromCommand(options);
  assert.ok(words.every((word) => !word.includes('port') && !word.includes('loopback')));
  const { home, demo, role, hostOptions } = shell(words, '/home/it');
  assert.deepEqual(
    { home, demo, role, hostOptions },
    { home: '/h', demo: true, role: 'auditor', hostOptions: ['--demo', '--policy=/p', '--rounds=4'] },
  );
});
