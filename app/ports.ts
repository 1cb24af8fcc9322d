// The only things the pure core asks of a machine. Synchronous, except Store and Transport. Design 2, "the natural way
// of the data". Implementations: main/host/machine.ts (Node), app/simulation (seeded, not private), tests.

export type Clock = {
  /** Milliseconds since 1970-01-01 UTC. May jump; never used for privacy, only for deadlines, expiry and records. */
  now(): number;
};

export type Random = {
  /** Cryptographically secure bytes (or, in app/simulation only, a seeded AES-CTR stream labelled "not private"). */
  bytes(length: number): Uint8Array;
};

/**
 * Primitives, bit for bit as their standards say. Callers check keys and signatures first (encoding/signature.ts):
 * implementations may be laxer than the protocol.
 */
export type Cipher = {
  /** SHA-256 (FIPS 180-4) of the concatenated parts: 32 bytes. */
  sha256(...parts: readonly Uint8Array[]): Uint8Array;
  /** HMAC-SHA-256 (RFC 2104) of the concatenated parts: 32 bytes. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /** XORs the AES-256-CTR stream (NIST SP 800-38A; zero initial block, big-endian counter from block 0) into `data`
   * in place, starting at the stream's first byte. */
  aes256Ctr(key: Uint8Array, data: Uint8Array): void;
  /**
   * Where the machine has a faster way than one `aes256Ctr` after another: adds the AES-256-CTR streams of the keys `add`
   * to `words` mod 2^32 in place and takes those of `subtract` away, each read as little-endian words from its word
   * `firstWord` (a multiple of 4) on. At most 2^20 words from the streams' start.
   */
  readonly addStreams?: (
    words: Uint32Array,
    add: readonly Uint8Array[],
    subtract: readonly Uint8Array[],
    firstWord: number,
  ) => void;
  /** X25519 (RFC 7748), both 32 bytes; null where the output is all zero or the key cannot be used. */
  x25519(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null;
  x25519PublicKey(privateKey: Uint8Array): Uint8Array;
  /** Ed25519 (RFC 8032) from the 32-byte seed: public key 32 bytes, signature 64 bytes. */
  ed25519PublicKey(seed: Uint8Array): Uint8Array;
  ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
};

/** Signs with a key that the holder never hands out. `domain` is one of the strings in encoding/signature.ts. */
export type Signer = {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
};

/** What a round needs of the machine at once. */
export type Machine = { readonly clock: Clock; readonly random: Random; readonly cipher: Cipher };

/** Durable key-value records of one party. `write` returns only when all changes are on disk together, or none. */
export type Store = {
  read(key: string): Promise<Uint8Array | null>;
  write(changes: readonly { readonly key: string; readonly value: Uint8Array | null }[]): Promise<void>;
};

/** Carries bytes to the coordinator and back. Throws UnavailableError when it cannot be reached. */
export type Transport = {
  request(method: 'GET' | 'POST' | 'PUT', path: string, body: Uint8Array | null): Promise<Uint8Array>;
};
