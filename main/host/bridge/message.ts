// What a host tells the process that started it with a channel, once: that windows may attach, or why there is no host.

import { z } from 'zod';

export const hostMessageSchema = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('ready') }),
  z.strictObject({
    state: z.literal('refused'),
    error: z.strictObject({ code: z.string().max(100), message: z.string().max(4000) }),
  }),
]);

export type HostMessage = z.infer<typeof hostMessageSchema>;
