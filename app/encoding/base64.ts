// Base64 with padding (RFC 4648 section 4), for signature lines and PEM: `app` has no atob. Decoding is strict: one text
// for one sequence of bytes.

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export function toBase64(bytes: Uint8Array): string {
  let out = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const group = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    out += alphabet[group >> 18]! + alphabet[(group >> 12) & 63]!;
    out += (left > 1 ? alphabet[(group >> 6) & 63]! : '=') + (left > 2 ? alphabet[group & 63]! : '=');
  }
  return out;
}

/** Null unless `text` is exactly what `toBase64` would write. */
export function fromBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0) return null;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const out = new Uint8Array((text.length / 4) * 3);
  for (let at = 0; at < text.length; at += 4) {
    let group = 0;
    for (let k = 0; k < 4; k++) {
      const character = text[at + k]!;
      const value = character === '=' && at + k >= text.length - padding ? 0 : alphabet.indexOf(character);
      if (value < 0) return null;
      group = (group << 6) | value;
    }
    out.set([group >> 16, (group >> 8) & 255, group & 255], (at / 4) * 3);
  }
  const bytes = out.slice(0, out.length - padding);
  return toBase64(bytes) === text ? bytes : null;
}
