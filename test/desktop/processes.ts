// The app's processes as the system lists them: shells, pages, hosts, trainers. Linux.

import { readFileSync, readdirSync } from 'node:fs';

/** Hosts whose command line names a home below `home`, and whose program lies below `program`. */
export const hostsOf = (home: string, program = ''): number[] =>
  processes().flatMap(({ pid, words }) => {
    const own = words[2] === 'host' && words[0]!.startsWith(program);
    return own && words.some((word) => word.startsWith(`--home=${home}`)) ? [pid] : [];
  });

/** Main processes of the app. */
export const shellsOf = (executable: string, word = ''): number[] =>
  processes().flatMap(({ pid, words }) =>
    words[0] === executable && words.every((one) => !one.startsWith('--type=')) && words.includes(word) ? [pid] : [],
  );

/** The home of the demonstration that was started by itself; null where none was. */
export function demonstrationHome(program: string): string | null {
  const host = processes().find(
    ({ words }) => words[2] === 'host' && words.includes('--demo') && words[0]!.startsWith(program),
  );
  return host?.words.find((word) => word.startsWith('--home='))?.slice('--home='.length) ?? null;
}

/** Pages of the shell that is process `shell`, whose ancestor it is. */
export function pagesOf(executable: string, shell: number): number[] {
  const all = processes();
  const below = (pid: number): boolean => {
    const parent = all.find((one) => one.pid === pid)?.parent;
    return parent !== undefined && parent > 1 && (parent === shell || below(parent));
  };
  return all.flatMap(({ pid, words }) =>
    words[0] === executable && words.includes('--type=renderer') && below(pid) ? [pid] : [],
  );
}

/** Training processes that the host of a home started. */
export function trainersOf(home: string): number[] {
  const hosts = hostsOf(home);
  return processes().flatMap(({ pid, parent, words }) =>
    hosts.includes(parent) && words.some((word) => word.endsWith('/host/process.js')) ? [pid] : [],
  );
}

type Process = { readonly pid: number; readonly parent: number; readonly words: readonly string[] };

function processes(): Process[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      // Chromium writes its own words anew, with blanks between them.
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split(/[\0 ]/);
      // After the name in brackets: state, parent.
      const parent = Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1]);
      return [{ pid: Number(name), parent, words }];
    } catch {
      return [];
    }
  });
}
