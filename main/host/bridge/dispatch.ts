// From a request to a reply, in one order: name → parse → role → handler → output. Nothing that fails in it reaches the
// window but a code and a sentence. Loops over the contract, so that no handler can be forgotten. Design 2, "Bridge".

import { ConsilienceError } from '../../../app/errors.ts';
import { bridgeCalls } from '../../../app/bridge.ts';
import type { CallName, Handlers, Reply, Role, Session } from '../../../app/bridge.ts';

export type Dispatch = (session: Session, name: string, input: unknown) => Promise<Reply<unknown>>;

type Route = {
  readonly roles: readonly Role[];
  readonly input: (typeof bridgeCalls)[CallName]['input'];
  readonly output: (typeof bridgeCalls)[CallName]['output'];
  readonly handle: (input: never, session: Session) => Promise<unknown>;
};

/** @param onDefect hears of errors that are no sentence for a person; they hold no record content by the house's rule. */
export function dispatcher(handlers: Handlers, onDefect: (name: string, error: unknown) => void): Dispatch {
  const routes = new Map<string, Route>();
  for (const name of Object.keys(bridgeCalls) as CallName[])
    routes.set(name, { ...bridgeCalls[name], handle: handlers[name] });

  return async (session, name, input) => {
    const route = routes.get(name);
    if (route === undefined) return refused('unknown-call', 'The window asked for something this program does not do.');
    const parsed = route.input.safeParse(input);
    if (!parsed.success) {
      const where = parsed.error.issues[0]!.path.map(String).join('.').slice(0, 80);
      return refused(
        'input-invalid',
        `${where === '' ? 'What was given' : `"${where}"`} is not usable: ${parsed.error.issues[0]!.message}. Nothing was done.`,
      );
    }
    if (!route.roles.includes(session.role))
      return refused(
        'role-not-allowed',
        `This needs the role ${route.roles.join(' or ')}; you are here as ${session.role}. Nothing was done.`,
      );
    try {
      const value = route.output.safeParse(await route.handle(parsed.data as never, session));
      if (value.success) return { ok: true, value: value.data };
      onDefect(name, new TypeError(`the output of ${name} does not follow its schema: ${value.error.message}`));
      return refused('output-invalid', 'The program’s answer was not whole, so it is not shown. Please report this.');
    } catch (error) {
      if (error instanceof ConsilienceError) return refused(error.code, error.message);
      onDefect(name, error);
      return refused('defect', 'Something went wrong inside the program. Nothing was sent. Please report this.');
    }
  };
}

const refused = (code: string, message: string): Reply<never> => ({
  ok: false,
  error: { code, message: message.slice(0, 4000) },
});
