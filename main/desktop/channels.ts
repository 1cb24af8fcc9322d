// The names of the few messages between the shell and its window; preload and relay share them. Requests and replies are
// those of app/bridge.ts, each one JSON text.

export const channels = {
  call: 'bridge:call',
  event: 'bridge:event',
  connection: 'bridge:connection',
  invitation: 'bridge:invitation',
  demonstrate: 'bridge:demonstrate',
} as const;
