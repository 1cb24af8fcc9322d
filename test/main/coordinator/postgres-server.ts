// A PostgreSQL of the test's own: initdb in a temporary folder, a free port on loopback, gone afterwards. PostgreSQL
// refuses to run as root, so root starts it as another account. Nothing here is durable: what is tested is that a killed
// coordinator loses nothing, not that PostgreSQL keeps what it promised.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { freePort } from '../free-port.ts';

export type PostgresServer = {
  /** Creates a database, empty or a copy of one that nobody uses. @returns its address. */
  create(name: string, template?: string): Promise<string>;
  /** Ends every session, as a restart of the server would. */
  dropSessions(): Promise<void>;
  stop(): Promise<void>;
};

const account = 'consilience';
const waitMs = 60_000;

const output = (command: string, ...args: string[]): string | null => {
  const done = spawnSync(command, args, { encoding: 'utf8' });
  return done.status === 0 ? done.stdout.trim() : null;
};

/** Debian keeps the server's programs off the path. */
function binaries(): string | null {
  const folders = [output('pg_config', '--bindir'), ...[18, 17, 16, 15].map((n) => `/usr/lib/postgresql/${n}/bin`)];
  return folders.find((folder) => folder !== null && existsSync(path.join(folder, 'initdb'))) ?? null;
}

/** Whom to run as; null where that is this account; undefined where root finds no other. */
function runAs(): { readonly uid: number; readonly gid: number } | null | undefined {
  if (process.getuid?.() !== 0) return null;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = [output('id', '-u', name), output('id', '-g', name)];
    if (uid !== null && gid !== null) return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

/** Why no server can be started here; null where it can. Where one was installed for this, a skipped suite is a failure. */
export function postgresMissing(): string | null {
  const reason = whyNot();
  if (reason !== null && process.env['REQUIRE_POSTGRES'] === '1') throw new Error(reason);
  return reason;
}

function whyNot(): string | null {
  if (process.platform === 'win32') return 'PostgreSQL is not started by tests on Windows';
  if (binaries() === null) return 'the server programs of PostgreSQL (initdb, postgres) are not installed';
  if (runAs() === undefined) return 'root finds no other account to run PostgreSQL as';
  return null;
}

export async function startPostgres(): Promise<PostgresServer> {
  const bin = binaries()!;
  const as: { readonly uid?: number; readonly gid?: number } = runAs() ?? {};
  const folder = mkdtempSync(path.join(tmpdir(), 'consilience-postgres-'));
  if (as.uid !== undefined) chownSync(folder, as.uid, as.gid!);
  const data = path.join(folder, 'data');
  const env = { ...process.env, LC_ALL: 'C' };
  const words = ['-D', data, '-U', account, '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'];
  const made = spawnSync(path.join(bin, 'initdb'), words, { ...as, env, cwd: folder, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: '32MB',
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
  };
  const given = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawn(path.join(bin, 'postgres'), ['-D', data, ...given], { ...as, env, cwd: folder, stdio: 'ignore' });
  const ended = once(child, 'exit');
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const addressOf = (name: string): string => `postgres://${account}@127.0.0.1:${port}/${name}`;
  const ask = async (statement: string): Promise<void> => {
    const client = new Client({ connectionString: addressOf('postgres') });
    client.on('error', () => undefined);
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  for (const until = Date.now() + waitMs; ;)
    try {
      await ask('SELECT 1');
      break;
    } catch (error) {
      if (Date.now() > until || child.exitCode !== null) throw error;
      await delay(50);
    }
  return {
    async create(name, template) {
      await ask(`CREATE DATABASE "${name}"${template === undefined ? '' : ` TEMPLATE "${template}"`}`);
      return addressOf(name);
    },
    dropSessions: () =>
      ask(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`,
      ),
    async stop() {
      child.kill('SIGINT');
      await ended;
      process.off('exit', kill);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
