// A tokenizer.json of whole words, w0 w1 …, with a begin token 0, for models that tests make up.

export function wordTokenizer(vocabulary: number, begin = true): object {
  const vocab = Object.fromEntries(Array.from({ length: vocabulary }, (_, id) => [id === 0 ? '<s>' : `w${id}`, id]));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      { id: 0, content: '<s>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    ],
    normalizer: null,
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: begin
      ? {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
          pair: [],
          special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
        }
      : null,
    decoder: null,
    model: { type: 'WordLevel', vocab, unk_token: 'w1' },
  };
}
