// The form of the tables of what the host says. Each line: as the host says it, with its parameters in braces; then in
// English as a steward reads it ('' means: as the host says it), in German and in French, with the same parameters.

export type Sentence = readonly [host: string, english: string, german: string, french: string];
export type Sentences = readonly Sentence[];
