// The window's page inside the operating system's own sandbox: by an account that is not root, without the switch that the
// other tests need as root. Linux tells of each process what it may do. Issue 6, item 4.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { hostsOf, pagesOf } from './processes.ts';
import { until } from './desk.ts';
import type { Desk } from './desk.ts';

/** nobody. */
const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
const namespaces = spawnSync('unshare', ['--user', '--pid', '--fork', 'true'], account).status === 0;

export function systemSandbox(desk: () => Desk, skip: string | false): void {
  const without = skip === false && !namespaces ? 'this system lets no account make a sandbox' : skip;
  test(
    'the page runs in the system’s sandbox: no other process, no call but those of a page',
    { skip: without },
    async (t) => {
      const { folder, packages, environment } = desk();
      const own = path.join(folder, 'nobody');
      mkdirSync(own);
      if (account.uid !== undefined) {
        chmodSync(folder, 0o711);
        chownSync(own, account.uid, account.gid);
      }
      const home = path.join(own, 'home');
      const child = spawn(packages.tested, ['--disable-gpu', `--home=${home}`], {
        ...account,
        env: { ...environment, HOME: own, TMPDIR: own, XDG_CONFIG_HOME: path.join(own, 'config') },
        stdio: 'ignore',
      });
      t.after(() => child.kill('SIGKILL'));
      await until('a page', () => pagesOf(packages.tested, child.pid!).length > 0);
      const [page] = pagesOf(packages.tested, child.pid!);
      const status = readFileSync(`/proc/${page}/status`, 'utf8');
      // 2: a filter of system calls (proc(5)). Several numbers: one in each nested space of processes.
      assert.match(status, /^Seccomp:\t2$/m);
      assert.match(status, /^NSpid:\t\d+\t\d+/m);
      assert.notEqual(readlinkSync(`/proc/${page}/ns/user`), readlinkSync('/proc/self/ns/user'));
      await until('a host', () => hostsOf(home).length === 1);
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      await until('the host ended', () => hostsOf(home).length === 0);
    },
  );
}
