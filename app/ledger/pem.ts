// Public keys as OpenSSL reads them, for whoever verifies an export without this program.

import { toBase64 } from '../encoding/base64.ts';

/** The public key as OpenSSL reads it: SubjectPublicKeyInfo (RFC 8410) in PEM (RFC 7468). `key` is 32 bytes. */
export function ed25519Pem(key: Uint8Array): string {
  const prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
  return `-----BEGIN PUBLIC KEY-----\n${toBase64(Uint8Array.of(...prefix, ...key))}\n-----END PUBLIC KEY-----\n`;
}
