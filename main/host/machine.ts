// The ports Clock, Random and Cipher on plain Node: node:crypto throughout. Bulk Ed25519/X25519 are native (design 3);
// strictness rules are applied by app/encoding/signature.ts before anything comes here. A native throw on a malformed
// or small-order key means the same as an all-zero output: null or false.

import {
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { littleEndianHost } from '../../app/encoding/bytes.ts';
import { requireBytes } from '../../app/errors.ts';
import type { Cipher, Clock, Machine, Random } from '../../app/ports.ts';
import { addStreams } from './sealing/stream-adder.ts';

// PKCS #8 and SubjectPublicKeyInfo prefixes of RFC 8410 keys.
const pkcs8Prefix = { Ed25519: '302e020100300506032b657004220420', X25519: '302e020100300506032b656e04220420' };
const spkiPrefix = { Ed25519: '302a300506032b6570032100', X25519: '302a300506032b656e032100' };
type Curve = keyof typeof spkiPrefix;

function privateKeyObject(curve: Curve, raw: Uint8Array): KeyObject {
  requireBytes('privateKey', raw, 32);
  const der = Buffer.concat([Buffer.from(pkcs8Prefix[curve], 'hex'), raw]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  return key;
}

function publicKeyObject(curve: Curve, raw: Uint8Array): KeyObject {
  requireBytes('publicKey', raw, 32);
  const der = Buffer.concat([Buffer.from(spkiPrefix[curve], 'hex'), raw]);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32));
}

const zeroBlock = new Uint8Array(16);

export const nodeCipher: Cipher = {
  sha256(...parts) {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return new Uint8Array(hash.digest());
  },
  hmacSha256(key, ...parts) {
    const mac = createHmac('sha256', key);
    for (const part of parts) mac.update(part);
    return new Uint8Array(mac.digest());
  },
  aes256Ctr(key, data) {
    requireBytes('key', key, 32);
    const stream = createCipheriv('aes-256-ctr', key, zeroBlock);
    const piece = 1 << 20;
    for (let at = 0; at < data.length; at += piece) {
      const part = data.subarray(at, at + piece);
      part.set(stream.update(part));
    }
  },
  // Elsewhere the pure core adds the streams one by one.
  ...(littleEndianHost ? { addStreams } : {}),
  x25519(privateKey, publicKey) {
    try {
      const shared = diffieHellman({
        privateKey: privateKeyObject('X25519', privateKey),
        publicKey: publicKeyObject('X25519', publicKey),
      });
      return shared.every((byte) => byte === 0) ? null : new Uint8Array(shared);
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error;
      return null;
    }
  },
  x25519PublicKey: (privateKey) => rawPublicKey(privateKeyObject('X25519', privateKey)),
  ed25519PublicKey: (seed) => rawPublicKey(privateKeyObject('Ed25519', seed)),
  ed25519Sign: (seed, message) => new Uint8Array(sign(null, message, privateKeyObject('Ed25519', seed))),
  ed25519Verify(publicKey, message, signature) {
    try {
      return verify(null, message, publicKeyObject('Ed25519', publicKey), signature);
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) throw error;
      return false;
    }
  },
};

export const systemRandom: Random = { bytes: (length) => new Uint8Array(randomBytes(length)) };

export const systemClock: Clock = { now: () => Date.now() };

export const nodeMachine: Machine = { clock: systemClock, random: systemRandom, cipher: nodeCipher };
