// `consilience coordinator rotate-key`: one statement, signed in turn by the lead (which begins it), by the old key where it
// is not lost, and by the new one, whose home then serves under it. Spec: app/study/coordinator-key.ts.

import { dirname, join } from 'node:path';
import { toHex, utf8 } from '../../app/encoding/bytes.ts';
import { canonicalJson, parseCanonical } from '../../app/encoding/canonical-json.ts';
import { InputError, RefusalError } from '../../app/errors.ts';
import { studyParameters, acceptKeyChange } from '../../app/round/parameters.ts';
import {
  checkKeyChange,
  confirmKeyChange,
  openKeyChange,
  signKeyChange,
  signedKeyChangeText,
} from '../../app/study/coordinator-key.ts';
import type { SignedKeyChange } from '../../app/study/coordinator-key.ts';
import type { Contract } from '../../app/study/contract.ts';
import { openSignedContract } from '../../app/study/signed-contract.ts';
import { writeFileAtomically } from '../host/disk/atomic-file.ts';
import type { Keystore } from '../host/keys/keystore.ts';
import { nodeCipher, systemClock } from '../host/machine.ts';
import { makeFolder, readTextIfThere } from '../host/participant/home.ts';
import { numberOption, requiredOption, stringOption } from './command.ts';
import type { Invocation } from './command.ts';
import { readNamedText } from './server-place.ts';

/** Where the changes of a study's key lie in a coordinator's home. */
export const keyChangesPath = (home: string, study: string): string =>
  join(home, 'studies', study, 'coordinator-keys.json');

/** The changes of a home, as it keeps them; null where there are none. */
export const keyChangesText = (home: string, study: string): Promise<string | null> =>
  readTextIfThere(keyChangesPath(home, study));

/** Oldest first; none where the file is not there. @throws InputError `not-json`, `coordinator-key-invalid`. */
export async function readKeyChanges(home: string, study: string): Promise<SignedKeyChange[]> {
  const text = await keyChangesText(home, study);
  return text === null ? [] : openKeyChanges(text);
}

/** @throws InputError `not-json`, `not-canonical`, `coordinator-key-invalid`. */
export function openKeyChanges(text: string): SignedKeyChange[] {
  const list = parseCanonical(text.trimEnd());
  if (!Array.isArray(list)) throw new InputError('coordinator-key-invalid', 'The file of key changes is damaged.');
  return list.map((one: unknown) => openKeyChange(one));
}

/** @throws RefusalError `coordinator-key-differs` where a home does not hold the key in force. */
export function requireKeyInForce(keystore: Keystore, contract: Contract, changes: readonly SignedKeyChange[]): void {
  const inForce = changes.at(-1)?.change.next ?? contract.coordinator.key;
  if (toHex(keystore.identity.publicKey) !== inForce)
    throw new RefusalError(
      'coordinator-key-differs',
      'The study terms name another coordinator’s key. Use the home folder whose "coordinator key" stands in them.',
    );
}

/** @throws RefusalError of every check; nothing is written then. */
export async function rotateKey(keystore: Keystore, home: string, invocation: Invocation): Promise<0> {
  const { options, json, out: say } = invocation;
  const { contract, hash } = openSignedContract(
    nodeCipher,
    await readNamedText('study', requiredOption(options, 'study')),
  );
  const study = toHex(hash);
  const out = requiredOption(options, 'out');
  const parameters = studyParameters(nodeCipher, contract);
  const known = await readKeyChanges(home, study);
  for (const change of known) acceptKeyChange(nodeCipher, parameters, change);
  const statement = stringOption(options, 'statement');
  const document =
    statement === undefined
      ? signKeyChange(contract, keystore.identity, {
          format: 'consilience/coordinator-key/1',
          contract: study,
          fromRound: numberOption(options, 'from-round', { least: 1, most: 0xffff_ffff, whole: true }) ?? missing(),
          old: stringOption(options, 'old-key') ?? contract.coordinator.key,
          next: requiredOption(options, 'next-key'),
          given: new Date(systemClock.now()).toISOString(),
        })
      : confirmKeyChange(openKeyChange(await readNamedText('statement', statement)), keystore.identity);
  const serves = toHex(keystore.identity.publicKey) === document.change.next;
  if (serves) {
    checkKeyChange(nodeCipher, contract, study, parameters.keyChanges, document);
    const path = keyChangesPath(home, study);
    await makeFolder(dirname(path));
    await writeFileAtomically(path, utf8(`${canonicalJson([...known, document])}\n`));
  }
  await writeFileAtomically(out, utf8(signedKeyChangeText(document)));
  const { fromRound, next } = document.change;
  say(
    json
      ? `${JSON.stringify({ out, fromRound, next, serves })}\n`
      : serves
        ? `Signed. From round ${fromRound} on this home signs the coordinator’s lists; start it as before.\n`
        : `Signed and written to ${out}. ${document.next === null ? 'The home of the new key signs last.' : ''}\n`,
  );
  return 0;
}

function missing(): never {
  throw new InputError(
    'from-round-missing',
    'Say from which round on: --from-round N, above every round opened so far.',
  );
}
