// What the shell remembers of a person's wishes: where the window stood, the theme, starting at sign-in. Nothing about
// studies. A damaged file is replaced by the usual choices. Issue 6, item 4.

import Store from 'electron-store';
import { z } from 'zod';

const boundsSchema = z.strictObject({
  x: z.number().int(),
  y: z.number().int(),
  width: z.number().int().min(400).max(20_000),
  height: z.number().int().min(300).max(20_000),
});
export const themes = ['system', 'light', 'dark'] as const;

const schemas = {
  bounds: boundsSchema.nullable(),
  theme: z.enum(themes),
  startAtLogin: z.boolean(),
  /** Whether the person was told once that closing the window does not end the studies. */
  toldOfTray: z.boolean(),
};

export type Preferences = { readonly [Name in keyof typeof schemas]: z.infer<(typeof schemas)[Name]> };
export type Bounds = z.infer<typeof boundsSchema>;

const usual: Preferences = { bounds: null, theme: 'system', startAtLogin: false, toldOfTray: false };

export type PreferenceStore = {
  get<Name extends keyof Preferences>(name: Name): Preferences[Name];
  set<Name extends keyof Preferences>(name: Name, value: Preferences[Name]): void;
};

/** In the shell's own folder, preferences.json. */
export function openPreferences(): PreferenceStore {
  const store = new Store<{ [name: string]: unknown }>({ name: 'preferences', clearInvalidConfig: true });
  return {
    get(name) {
      const parsed = schemas[name].safeParse(store.get(name));
      return (parsed.success ? parsed.data : usual[name]) as Preferences[typeof name];
    },
    set: (name, value) => store.set(name, value),
  };
}
