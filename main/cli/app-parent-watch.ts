// Loaded in front of a tied child (app-tied-child.ts): when the parent's pipe closes, the child is told to stop in good
// order. The pipe alone keeps nothing alive.

import { Socket } from 'node:net';

process.stdin.once('close', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.resume();
if (process.stdin instanceof Socket) process.stdin.unref();
