// Several replicas as processes behind a plain balancer that deals out connections in turn and knows nothing else.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { sampleStudy } from '../../app/round/sample-study.ts';
import type { Contract } from '../../../app/study/contract.ts';
import type { SampleStudy } from '../../app/round/sample-study.ts';
import type { ReplicaOptions } from './replica-child.ts';

const child = fileURLToPath(new URL('replica-child.ts', import.meta.url));

/**
 * A vector of any length: what a model makes of the sum is not asked here. Contributions may take longer than the longest
 * of them: 758 MB at 10 Mbit/s are ten minutes of bytes alone.
 */
export const withDimension =
  (dimension: number) =>
  (contract: Contract): Contract => ({
    ...contract,
    sealing: { ...contract.sealing, dimension },
    schedule: {
      ...contract.schedule,
      stageSeconds: { ready: 600, shares: 600, masked: 7200, consistency: 600, unmask: 600 },
    },
  });

export const replicaStudy = (institutions: number, dimension: number): SampleStudy =>
  sampleStudy({ institutions, change: withDimension(dimension) });

export type Balancer = { readonly address: string; readonly ports: (number | null)[]; close(): Promise<void> };

/** Each connection goes to the next port in turn that takes it. */
export async function startBalancer(): Promise<Balancer> {
  const ports: (number | null)[] = [];
  const sockets = new Set<Socket>();
  let turn = 0;
  const hold = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true }, (caller) => {
    hold(caller);
    caller.on('error', () => undefined);
    let left = ports.length;
    const next = (): void => {
      if (left-- <= 0) return void caller.destroy();
      const port = ports[turn++ % ports.length];
      if (port === null || port === undefined) return next();
      const replica = connect(port, '127.0.0.1');
      let joined = false;
      replica.once('connect', () => {
        joined = true;
        hold(replica);
        caller.pipe(replica).pipe(caller);
      });
      replica.on('error', () => (joined ? caller.destroy() : next()));
      replica.on('close', () => joined && caller.destroy());
      caller.on('close', () => replica.destroy());
    };
    next();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ports,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

export type Replicas = {
  readonly address: string;
  /** SIGKILL; resolves when it is gone. */
  kill(at: number): Promise<void>;
  start(at: number): Promise<void>;
  /** Calls back for every chunk that a replica begins to write. */
  onAdding(listener: (at: number, chunk: number) => void): void;
  close(): Promise<void>;
};

export async function startReplicas(count: number, options: ReplicaOptions): Promise<Replicas> {
  const balancer = await startBalancer();
  const children: (ChildProcess | null)[] = [];
  const listeners: ((at: number, chunk: number) => void)[] = [];

  async function start(at: number): Promise<void> {
    const started = spawn(process.execPath, [child, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
    children[at] = started;
    await new Promise<void>((resolve, reject) => {
      started.once('exit', (code) => reject(new Error(`a replica ended with ${code}`)));
      createInterface(started.stdout).on('line', (line) => {
        const [word, value] = line.split(' ');
        if (word === 'adding') return listeners.forEach((listener) => listener(at, Number(value)));
        balancer.ports[at] = Number(new URL(word!).port);
        resolve();
      });
    });
  }

  async function kill(at: number): Promise<void> {
    const dying = children[at];
    if (dying === null || dying === undefined) return;
    children[at] = null;
    const gone = once(dying, 'exit');
    dying.kill('SIGKILL');
    await gone;
    balancer.ports[at] = null;
  }

  const replicas: Replicas = {
    address: balancer.address,
    kill,
    start,
    onAdding: (listener) => void listeners.push(listener),
    async close() {
      await Promise.all(children.map((_, at) => kill(at)));
      await balancer.close();
    },
  };
  try {
    await Promise.all(Array.from({ length: count }, (_, at) => start(at)));
  } catch (error) {
    await replicas.close();
    throw error;
  }
  return replicas;
}
