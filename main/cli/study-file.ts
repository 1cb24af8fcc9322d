// Study files as commands read them: a draft that a lead still writes, or signed terms. Design 1, "Command line".

import { readFile } from 'node:fs/promises';
import { InputError } from '../../app/errors.ts';
import { foreignMembers } from '../../app/review/foreign-members.ts';
import type { Foreign } from '../../app/review/foreign-members.ts';
import type { ContractDraft } from '../../app/study/contract.ts';
import { openSignedContract, parseDraft } from '../../app/study/signed-contract.ts';
import { diskError } from '../host/disk/disk-error.ts';
import { nodeCipher } from '../host/machine.ts';

/** @throws InputError `already-signed`, `not-text`, or as parseDraft. */
export async function readDraft(path: string): Promise<ContractDraft> {
  const text = await readText(path);
  if (isSigned(text))
    throw new InputError('already-signed', `${path} is signed already; changes go into the draft, to be signed anew.`);
  return parseDraft(text);
}

/** A signed contract is what its schema says; in a draft what other programs would allow is named, and left out. */
export async function readToCheck(
  path: string,
): Promise<{ readonly contract: ContractDraft; readonly foreign: Foreign }> {
  const text = await readText(path);
  if (isSigned(text)) {
    const { contract } = openSignedContract(nodeCipher, text);
    return { contract, foreign: { findings: [], members: [], rest: contract } };
  }
  let draft: unknown;
  try {
    draft = JSON.parse(text);
  } catch {
    throw new InputError('not-json', 'The study draft is not JSON text.');
  }
  const foreign = foreignMembers(draft);
  return { contract: parseDraft(foreign.rest), foreign };
}

function isSigned(text: string): boolean {
  return text.startsWith('{"contract":');
}

export async function readText(path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    if (error instanceof TypeError) throw new InputError('not-text', `${path} is not text in UTF-8.`);
    throw diskError(error, path);
  }
}
