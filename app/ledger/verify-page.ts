// verify.html of an export: one page without network that checks ledger.jsonl and checkpoint in an auditor's browser, for
// whoever has neither openssl nor sha256sum. The same checks as VERIFY.md, with WebCrypto; where a browser has no Ed25519
// the page says so and points to VERIFY.md. test/browser/verify-page.test.ts opens it in Chromium.

const script = String.raw`
'use strict';
const zeros = '0'.repeat(64);
const origin = 'consilience-ledger/1/';
const bytesOf = (text) => new TextEncoder().encode(text);
const hexOf = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
const fromHex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
const concat = (...parts) => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

/* RFC 8785: members sorted by UTF-16 code units, no white space; numbers and strings as JSON.stringify writes them. */
function canonical(value) {
  if (Array.isArray(value)) return '[' + value.map(canonical).join(',') + ']';
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return '{' + Object.keys(value).sort().map((key) => JSON.stringify(key) + ':' + canonical(value[key])).join(',') + '}';
}

function entryOf(text) {
  try {
    const entry = JSON.parse(text);
    return canonical(entry) === text ? entry : null;
  } catch (error) {
    return null;
  }
}

/* Every entry in order; the first bad one is named and what comes after it is not looked at. */
async function checkChain(bytes, size) {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let [previous, number, from, atSize] = [zeros, 0, 0, size === 0 ? zeros : null];
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
    const line = bytes.subarray(from, end);
    from = end + 1;
    number += 1;
    let text = '';
    try {
      text = decoder.decode(line);
    } catch (error) {
      return { bad: 'Entry ' + number + ' was altered: its line is not text.' };
    }
    const entry = entryOf(text);
    if (entry === null) return { bad: 'Entry ' + number + ' was altered: its line is not canonical JSON.' };
    if (entry.seq !== number) return { bad: 'In place of entry ' + number + ' stands one with the number ' + Number(entry.seq) + '.' };
    if (entry.previous !== previous)
      return { bad: 'Entry ' + number + ' does not follow from the one before it: one of the two was altered.' };
    previous = hexOf(await sha256(line));
    if (number === size) atSize = previous;
  }
  if (from !== bytes.length) return { bad: 'The last line, after entry ' + number + ', is cut off.' };
  return { count: number, atSize };
}

function readCheckpoint(text) {
  const parts = /^consilience-ledger\/1\/([0-9a-f]{64})\n(0|[1-9][0-9]{0,15})\n([0-9a-f]{64})\n(\S+)\n\n— (\S+) ([A-Za-z0-9+/=]+)\n$/.exec(text);
  if (parts === null) return null;
  const stamp = Uint8Array.from(atob(parts[6]), (character) => character.charCodeAt(0));
  return { key: parts[1], size: Number(parts[2]), last: parts[3], time: parts[4], origin: parts[5], stamp, signed: text.slice(0, text.indexOf('\n\n') + 1) };
}

/* true, false, or null where this browser cannot tell. */
async function checkSignature(checkpoint) {
  const key = fromHex(checkpoint.key);
  const name = origin + checkpoint.key;
  const id = await sha256(concat(bytesOf(name + '\n'), Uint8Array.of(255), bytesOf('consilience/checkpoint'), key));
  if (checkpoint.origin !== name || checkpoint.stamp.length !== 68) return false;
  if (hexOf(checkpoint.stamp.slice(0, 4)) !== hexOf(id.slice(0, 4))) return false;
  let imported;
  try {
    imported = await crypto.subtle.importKey('raw', key, { name: 'Ed25519' }, false, ['verify']);
  } catch (error) {
    if (error.name === 'NotSupportedError') return null;
    return false;
  }
  const message = concat(bytesOf('consilience/checkpoint'), Uint8Array.of(0), bytesOf(checkpoint.signed));
  return crypto.subtle.verify({ name: 'Ed25519' }, imported, checkpoint.stamp.slice(4), message);
}

const say = (state, text) => {
  const item = document.createElement('li');
  item.className = state;
  item.textContent = (state === 'ok' ? 'ok: ' : state === 'bad' ? 'WRONG: ' : 'not checked: ') + text;
  document.getElementById('findings').append(item);
  return state !== 'bad';
};

async function check() {
  const verdict = document.getElementById('verdict');
  document.getElementById('findings').replaceChildren();
  verdict.textContent = 'Checking …';
  verdict.className = '';
  const chosen = new Map(Array.from(document.getElementById('files').files, (file) => [file.name, file]));
  const end = (state, text) => {
    verdict.className = state;
    verdict.textContent = text;
  };
  if (!chosen.has('ledger.jsonl') || !chosen.has('checkpoint'))
    return end('bad', 'Choose both files of this folder: ledger.jsonl and checkpoint.');
  if (globalThis.crypto === undefined || crypto.subtle === undefined)
    return end('bad', 'This browser computes no hashes for a page opened this way. Use VERIFY.md, or another browser.');
  const checkpoint = readCheckpoint(await chosen.get('checkpoint').text());
  if (checkpoint === null) {
    say('bad', 'The checkpoint is not in the form that a ledger writes.');
    return end('bad', 'The log does NOT verify.');
  }
  const chain = await checkChain(new Uint8Array(await chosen.get('ledger.jsonl').arrayBuffer()), checkpoint.size);
  let good = chain.bad === undefined ? say('ok', chain.count + ' entries, each linked to the one before it.') : say('bad', chain.bad);
  if (good)
    good =
      chain.atSize === checkpoint.last
        ? say('ok', 'Entry ' + checkpoint.size + ' is the one that the checkpoint of ' + checkpoint.time + ' names.')
        : say('bad', chain.atSize === null
            ? 'The checkpoint names entry ' + checkpoint.size + ', but only ' + chain.count + ' are there: the end was cut off.'
            : 'Entry ' + checkpoint.size + ' is not the one that the checkpoint names: the log was rewritten.');
  const signature = await checkSignature(checkpoint);
  if (signature === true) say('ok', 'The checkpoint is signed with the key ' + checkpoint.key + '.');
  if (signature === false) good = say('bad', 'The signature of the checkpoint does not hold.');
  if (signature === null)
    say('open', 'This browser has no Ed25519, so the signature was not checked. Use step 3 of VERIFY.md, or a newer browser.');
  const expected = document.getElementById('key').value.replaceAll(/\s/g, '').toLowerCase();
  if (expected === '') say('open', 'Whose key it is: compare it with what the institution or the contract says.');
  else if (expected !== checkpoint.key) good = say('bad', 'It is another key than the one that you expect.');
  else say('ok', 'It is the key that you expect.');
  if (!good) return end('bad', 'The log does NOT verify.');
  if (signature === null) return end('open', 'The entries are linked; the signature was not checked.');
  const after = chain.count - checkpoint.size;
  return end('ok', after === 0 ? 'The log is unaltered.' : 'The log is unaltered up to entry ' + checkpoint.size + '; the ' + after + ' after it are linked but not signed yet.');
}

document.getElementById('check').addEventListener('click', () => {
  check().catch((error) => {
    document.getElementById('verdict').className = 'bad';
    document.getElementById('verdict').textContent = 'The check itself failed (' + error.name + '). Use VERIFY.md.';
  });
});
`;

/** The file's whole text. Its own policy forbids it every connection. */
export const verifyPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Verify this privacy log</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff }
#verdict { font-weight: 600 } .ok { color: #10642f } .bad { color: #a4161a } .open { color: #7a4b00 }
label { display: block; margin: 1rem 0 } li { overflow-wrap: anywhere } input[type=text] { width: 100%; font: inherit }
</style>
</head>
<body>
<h1>Verify this privacy log</h1>
<p>This page sends nothing anywhere and works without a network. It checks that no entry of the log was altered, removed,
added or reordered since the checkpoint was signed. <code>report.md</code> says in words what the log holds.</p>
<label>The files <code>ledger.jsonl</code> and <code>checkpoint</code> of this folder (choose both at once)
<input type="file" id="files" multiple></label>
<label>The institution’s key, if you know it from elsewhere (64 digits)
<input type="text" id="key" autocomplete="off" spellcheck="false"></label>
<button id="check" type="button">Check</button>
<p id="verdict" role="status"></p>
<ul id="findings"></ul>
<script>${script}</script>
</body>
</html>
`;
