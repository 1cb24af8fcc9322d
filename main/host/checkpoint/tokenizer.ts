// Text → token ids by a checkpoint's tokenizer.json (@huggingface/tokenizers), cut into pieces of a public length. Every
// piece gets the special tokens that the tokenizer puts around a text, so each can stand alone before the model.

import { Tokenizer } from '@huggingface/tokenizers';
import { InputError } from '../../../app/errors.ts';

export type TextTokenizer = {
  /** Kind of the model in tokenizer.json, such as "BPE". */
  readonly kind: string;
  readonly vocabulary: number;
  /** Special tokens before and after a text. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Ids of a text, special tokens included unless `plain`. */
  encode(text: string, options?: { readonly plain?: boolean }): number[];
  decode(ids: readonly number[]): string;
  /** At most `pieces` pieces of at most `length` tokens; what is left over is cut off. At least one piece. */
  pieces(text: string, length: number, pieces: number): number[][];
};

/** @param vocabulary of the model: no id may lie beyond it @throws InputError `tokenizer-unusable`. */
export function openTokenizer(json: unknown, settings: unknown, vocabulary: number): TextTokenizer {
  const unusable = (why: string): InputError =>
    new InputError('tokenizer-unusable', `The model's tokenizer.json cannot be used: ${why}.`);
  if (typeof json !== 'object' || json === null || typeof settings !== 'object' || settings === null)
    throw unusable('it is no JSON object');
  let tokenizer: Tokenizer;
  let size: number;
  try {
    tokenizer = new Tokenizer(json, settings);
    size = tokenizer.get_vocab(true).size;
  } catch {
    throw unusable('its parts are not of a known kind');
  }
  const encode = (text: string, { plain = false }: { readonly plain?: boolean } = {}): number[] => {
    const { ids }: { readonly ids: number[] } = tokenizer.encode(text, { add_special_tokens: !plain });
    if (ids.some((id) => !Number.isSafeInteger(id) || id < 0 || id >= vocabulary))
      throw unusable(`it gives a token beyond the model's vocabulary of ${vocabulary}`);
    return ids;
  };
  const { before, after } = surroundings(
    (text, special) => tokenizer.encode(text, { add_special_tokens: special }).ids,
  );
  const { model } = json as { readonly model?: { readonly type?: unknown } };
  return {
    kind: typeof model?.type === 'string' ? model.type : 'unnamed',
    vocabulary: size,
    before,
    after,
    encode,
    decode: (ids) => tokenizer.decode([...ids], { skip_special_tokens: true }),
    pieces(text, length, pieces) {
      const room = length - before.length - after.length;
      if (!Number.isSafeInteger(room) || room < 1)
        throw new RangeError(`length must leave room for a token beside ${before.length + after.length} special ones`);
      const ids = encode(text, { plain: true });
      const count = Math.min(pieces, Math.max(1, Math.ceil(ids.length / room)));
      return Array.from({ length: count }, (_, i) => [...before, ...ids.slice(i * room, (i + 1) * room), ...after]);
    },
  };
}

/** What stands around a text, read off a probe; whether the probe's own tokens are known does not matter. */
function surroundings(idsOf: (text: string, special: boolean) => readonly number[]): {
  readonly before: readonly number[];
  readonly after: readonly number[];
} {
  const [plain, full] = [idsOf('a', false), idsOf('a', true)];
  for (let start = 0; start + plain.length <= full.length; start++)
    if (plain.every((id, i) => full[start + i] === id))
      return { before: full.slice(0, start), after: full.slice(start + plain.length) };
  throw new InputError(
    'tokenizer-unusable',
    'The model’s tokenizer.json cannot be used: its special tokens do not stand around the text.',
  );
}
