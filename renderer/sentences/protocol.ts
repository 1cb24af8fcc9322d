// What is said by its code alone: checks of the protocol whose detail helps only whoever mends it, defects, and documents
// of the study lead. {code} stands in the sentence, so that IT can name it. Form of the sentences: sentence.ts.

export type Said = { readonly en: string; readonly de: string; readonly fr: string };

const protocol: Said = {
  en: 'Something that came from the relay service or another institution does not follow the protocol ({code}). This training round is left; nothing unsealed was sent.',
  de: 'Etwas vom Vermittlungsdienst oder von einer anderen Einrichtung folgt nicht dem Protokoll ({code}). Diese Trainingsrunde wird verlassen; nichts Unversiegeltes wurde gesendet.',
  fr: 'Quelque chose venu du service relais ou d’un autre établissement ne suit pas le protocole ({code}). Ce tour est abandonné ; rien de non scellé n’a été envoyé.',
};
const relay: Said = {
  en: 'The relay service did not take what was sent ({code}). Nothing was lost; if it stays so, ask IT.',
  de: 'Der Vermittlungsdienst nahm nicht an, was gesendet wurde ({code}). Nichts ist verloren; bleibt es so, fragen Sie die IT.',
  fr: 'Le service relais n’a pas accepté ce qui a été envoyé ({code}). Rien n’est perdu ; si cela persiste, demandez à l’informatique.',
};
const defect: Said = {
  en: 'A check inside the program failed ({code}). Nothing was sent. Please report this.',
  de: 'Eine Prüfung im Programm schlug fehl ({code}). Nichts wurde gesendet. Bitte melden Sie das.',
  fr: 'Une vérification interne a échoué ({code}). Rien n’a été envoyé. Merci de le signaler.',
};
const training: Said = {
  en: 'Training stopped ({code}). The program starts it again; nothing was sent.',
  de: 'Das Training brach ab ({code}). Das Programm beginnt es erneut; nichts wurde gesendet.',
  fr: 'L’entraînement s’est arrêté ({code}). Le programme le relance ; rien n’a été envoyé.',
};
const lead: Said = {
  en: 'Something in a document of the study lead is not right ({code}). Ask the lead; nothing was changed here.',
  de: 'In einem Dokument der Studienleitung stimmt etwas nicht ({code}). Fragen Sie sie; hier wurde nichts geändert.',
  fr: 'Quelque chose ne va pas dans un document de la direction de l’étude ({code}). Demandez-lui ; rien n’a été changé ici.',
};
const accounting: Said = {
  en: 'The amount of a training round cannot be counted ({code}). Nothing was sent. Please report this.',
  de: 'Der Betrag einer Trainingsrunde lässt sich nicht zählen ({code}). Nichts wurde gesendet. Bitte melden Sie das.',
  fr: 'Le montant d’un tour ne peut être compté ({code}). Rien n’a été envoyé. Merci de le signaler.',
};

const under = (said: Said, codes: string): [string, Said][] =>
  codes
    .trim()
    .split(/\s+/)
    .map((code) => [code, said]);

export const saidByCode: ReadonlyMap<string, Said> = new Map([
  ...under(
    protocol,
    `reveal-missing nonce-differs ring-differs too-few-neighbours
     regions-overlap region-sum-differs relay-unknown relay-signature region-foreign-member vouch-differs
     region-not-vouched region-chunk-off-root regions-incomplete sum-missing region-sum-twice through-relay
     region-threshold-missing region-below-floor
     unknown-key closed-not-shown old-round sum-off-hash last-sum-differs statement-differs both-shares
     share-out-of-range mask-key-unusable members-not-ascending box-frame box-key-unusable merkle-path-length
     message-malformed wrong-stage round-not-wiped already-signed complaint-off-root survivors-out-of-order
     sum-not-proven sets-not-nested u1-differs u2-differs boxes-missing boxes-incomplete boxes-off-root
     keys-not-distinct signer-outside-u3 no-such-complaint seeds-incomplete seed-wrong sum-differs vector-off-root
     coordinator-signature list-order list-signature contract-differs config-differs model-differs closing-ready
     weak-key self-missing cohort-below-floor sum-not-confirmed own-root-changed batch-not-whole too-few-signatures
     round-too-far box-missing box-off-root complaint-not-mine reveal-missing nonce-differs
     ring-differs too-few-neighbours not-asked coordinator-equivocated not-canonical not-json`,
  ),
  ...under(
    relay,
    `certificate-other-study certificate-unknown certificate-expired certificate-signature request-differs
     request-signature request-replayed request-body-differs not-announced study-not-over replacement-behind`,
  ),
  ...under(
    defect,
    `ledger-write-stalled keystore-closed import-stopped dimension-differs local-rate-missing update-not-clipped
     update-scale-missing ceiling-malformed charge-above-worst charge-unknown budget-out-of-order noise-thread
     trainer-answer no-backend random-short model-state-unreadable model-not-pinned not-in-sum survivor-and-dropout
     state-incomplete not-opening import-malformed check-missed-a-rule`,
  ),
  ...under(training, 'training-timeout trainer-stopped'),
  ...under(
    lead,
    `unknown-institution key-missing key-differs enrolment-other-study institution-enrolled roster-full
     colluders-below-one quorum-above-roster quorum-too-small too-few-honest colluders-too-many
     noise-multiplier-missing epsilon-unknown noise-variance-too-large scale-too-coarse ring-too-small
     lead-key-differs coordinator-key-differs coordinator-key-other-study coordinator-key-out-of-order
     coordinator-key-unusable coordinator-key-not-by-lead coordinator-key-unconfirmed coordinator-key-old-signature`,
  ),
  ...under(
    accounting,
    `privacy-event event-not-chargeable settlement-unknown already-settled settlement-larger
     sampled-noise-unsupported approximate-block-unsupported person-in-too-many-institutions adjacency-differs
     sampled-zero-out-unsupported mixture-needs-add-or-remove fixed-size-needs-replace-one
     sampled-replace-one-unsupported institution-needs-zero-out institution-sampling-unsupported
     institution-with-persons record-needs-add-or-remove person-needs-add-or-remove skellam-unsupported
     not-gaussian sampled-event-unsupported`,
  ),
]);
