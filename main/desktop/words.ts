// The shell's own words: menu, tray and the few boxes that are no part of the page. Those of the screens stand in renderer/ui.

import { app } from 'electron';

const english = {
  program: 'Program',
  open: 'Open Consilience',
  demonstration: 'Try a demonstration study',
  startAtLogin: 'Start when I sign in',
  close: 'Close the window (studies go on)',
  quit: 'Quit (studies rest until the next start)',
  edit: 'Edit',
  undo: 'Undo',
  redo: 'Redo',
  cut: 'Cut',
  copy: 'Copy',
  paste: 'Paste',
  selectAll: 'Select all',
  view: 'View',
  themeSystem: 'As the system',
  themeLight: 'Light',
  themeDark: 'Dark',
  larger: 'Larger',
  smaller: 'Smaller',
  usualSize: 'Usual size',
  connected: 'Studies run in the background.',
  starting: 'The program is starting.',
  gone: 'The program stopped and is started again.',
  down: 'The program does not run.',
  tryAgain: 'Try again',
  later: 'Later',
  trayTitle: 'Studies go on',
  trayNote: 'The window is closed, the program runs on. Open or quit it from its sign in the tray.',
  notOpened: 'The invitation was not opened.',
  pageBack: 'The window’s page stopped unexpectedly and was loaded again. Nothing was lost; studies go on.',
  pageGone: 'The window’s page stopped several times. Nothing was lost; studies go on.',
};

export type ShellWords = { readonly [Key in keyof typeof english]: string };

const german: ShellWords = {
  program: 'Programm',
  open: 'Consilience öffnen',
  demonstration: 'Eine Vorführstudie ausprobieren',
  startAtLogin: 'Beim Anmelden starten',
  close: 'Fenster schließen (Studien laufen weiter)',
  quit: 'Beenden (Studien ruhen bis zum nächsten Start)',
  edit: 'Bearbeiten',
  undo: 'Rückgängig',
  redo: 'Wiederholen',
  cut: 'Ausschneiden',
  copy: 'Kopieren',
  paste: 'Einfügen',
  selectAll: 'Alles auswählen',
  view: 'Ansicht',
  themeSystem: 'Wie das System',
  themeLight: 'Hell',
  themeDark: 'Dunkel',
  larger: 'Größer',
  smaller: 'Kleiner',
  usualSize: 'Normale Größe',
  connected: 'Studien laufen im Hintergrund.',
  starting: 'Das Programm startet.',
  gone: 'Das Programm wurde unterbrochen und startet wieder.',
  down: 'Das Programm läuft nicht.',
  tryAgain: 'Noch einmal versuchen',
  later: 'Später',
  trayTitle: 'Studien laufen weiter',
  trayNote:
    'Das Fenster ist zu, das Programm läuft weiter. Öffnen oder beenden Sie es über sein Zeichen in der Leiste.',
  notOpened: 'Die Einladung wurde nicht geöffnet.',
  pageBack:
    'Die Seite des Fensters brach unerwartet ab und wurde neu geladen. Es ging nichts verloren; Studien laufen weiter.',
  pageGone: 'Die Seite des Fensters brach mehrmals ab. Es ging nichts verloren; Studien laufen weiter.',
};

const french: ShellWords = {
  program: 'Programme',
  open: 'Ouvrir Consilience',
  demonstration: 'Essayer une étude de démonstration',
  startAtLogin: 'Démarrer à l’ouverture de session',
  close: 'Fermer la fenêtre (les études continuent)',
  quit: 'Quitter (les études attendent le prochain démarrage)',
  edit: 'Édition',
  undo: 'Annuler',
  redo: 'Rétablir',
  cut: 'Couper',
  copy: 'Copier',
  paste: 'Coller',
  selectAll: 'Tout sélectionner',
  view: 'Affichage',
  themeSystem: 'Comme le système',
  themeLight: 'Clair',
  themeDark: 'Sombre',
  larger: 'Plus grand',
  smaller: 'Plus petit',
  usualSize: 'Taille normale',
  connected: 'Les études tournent en arrière-plan.',
  starting: 'Le programme démarre.',
  gone: 'Le programme s’est arrêté et redémarre.',
  down: 'Le programme ne tourne pas.',
  tryAgain: 'Réessayer',
  later: 'Plus tard',
  trayTitle: 'Les études continuent',
  trayNote: 'La fenêtre est fermée, le programme continue. Ouvrez-le ou quittez-le depuis son icône dans la barre.',
  notOpened: 'L’invitation n’a pas été ouverte.',
  pageBack:
    'La page de la fenêtre s’est arrêtée de façon inattendue et a été rechargée. Rien n’est perdu ; les études continuent.',
  pageGone: 'La page de la fenêtre s’est arrêtée plusieurs fois. Rien n’est perdu ; les études continuent.',
};

/** In the system's language; after Electron is ready. */
export function shellWords(): ShellWords {
  const language = app.getLocale().slice(0, 2);
  return language === 'de' ? german : language === 'fr' ? french : english;
}
