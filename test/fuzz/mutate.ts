// Inputs for decoders: valid encodings changed by a seeded stream, byte by byte and by their structure. A failing input
// is replayed by its seed and number.

/** xorshift128 by Marsaglia: for choosing inputs only. */
export type Dice = (sides: number) => number;

export function dice(seed: number): Dice {
  let [x, y, z, w] = [seed ^ 0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x85a308d3];
  return (sides) => {
    const t = x ^ (x << 11);
    [x, y, z] = [y, z, w];
    w = (w ^ (w >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return w % sides;
  };
}

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'utf8'));

export function mutateBytes(roll: Dice, seed: Uint8Array, other: Uint8Array): Uint8Array {
  let bytes = Uint8Array.from(seed);
  for (let times = 1 + roll(3); times > 0; times--) {
    const at = roll(bytes.length + 1);
    const length = roll(9) === 0 ? roll(64) : roll(5);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + length))];
    switch (roll(7)) {
      case 0:
        if (bytes.length > 0) bytes[roll(bytes.length)]! ^= 1 << roll(8);
        break;
      case 1:
        if (bytes.length > 0) bytes[roll(bytes.length)] = [0, 0xff, 0x7f, 0x80, 0x22, 0x2c, 0x5c, 0x7d][roll(8)]!;
        break;
      case 2:
        bytes = Uint8Array.from([...before, ...after]);
        break;
      case 3:
        bytes = Uint8Array.from([...before, ...Array.from({ length }, () => roll(256)), ...bytes.subarray(at)]);
        break;
      case 4:
        bytes = bytes.slice(0, at);
        break;
      case 5: {
        const from = roll(other.length + 1);
        bytes = Uint8Array.from([...before, ...other.subarray(from, from + roll(200)), ...after]);
        break;
      }
      default:
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(Math.max(0, at - length))]);
    }
  }
  return bytes;
}

const strange: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  0.5,
  2 ** 53,
  -(2 ** 53) - 1,
  1e308,
  5e-324,
  '',
  '\0',
  '\ud800',
  '\u202e',
  'constructor',
  '__proto__',
  'ff'.repeat(32),
  'FF'.repeat(32),
  'x'.repeat(3000),
  '2026-02-30T00:00:00.000Z',
  '275760-09-13T00:00:00.001Z',
  [],
  {},
  [[]],
  { length: 1e9 },
  { toString: null },
  { __proto__: null, constructor: { prototype: 1 } },
];

/** One place in the value holds something else, is missing, is twice there or stands elsewhere. */
export function mutateJson(roll: Dice, value: unknown): unknown {
  const copy = structuredClone(value);
  const places: { readonly holder: Record<string, unknown>; readonly key: string }[] = [];
  const walk = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return;
    for (const key of Object.keys(node)) {
      places.push({ holder: node as Record<string, unknown>, key });
      walk((node as Record<string, unknown>)[key]);
    }
  };
  walk(copy);
  if (places.length === 0) return strange[roll(strange.length)];
  for (let times = 1 + roll(2); times > 0; times--) {
    const { holder, key } = places[roll(places.length)]!;
    const from = places[roll(places.length)]!;
    switch (roll(6)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else delete holder[key];
        break;
      case 1:
        if (Array.isArray(holder)) holder.push(structuredClone(holder[Number(key)]));
        else holder[`${key}x`] = 1;
        break;
      case 2:
        holder[key] = structuredClone(from.holder[from.key]);
        break;
      case 3: {
        const old = holder[key];
        if (typeof old === 'number') holder[key] = [old + 1, old - 1, -old, old * 2 ** 32, old + 0.5][roll(5)];
        else if (typeof old === 'string') holder[key] = [old.slice(1), `${old}0`, old.toUpperCase(), ''][roll(4)];
        else holder[key] = strange[roll(strange.length)];
        break;
      }
      default:
        holder[key] = strange[roll(strange.length)];
    }
  }
  return copy;
}

/** What no JSON writer makes: numbers beyond doubles, repeated members, depth, odd spellings. */
export function mutateText(roll: Dice, text: string): Uint8Array {
  const at = text.indexOf(':', roll(text.length + 1));
  const cut = at < 0 ? text.length : at + 1;
  const insert = (what: string): Uint8Array =>
    bytesOf(text.slice(0, cut) + what + text.slice(cut).replace(/^(?:[0-9.e+-]+|"[^"]*"|null|true|false)/, ''));
  switch (roll(8)) {
    case 0:
      return insert('1e400');
    case 1:
      return insert('-0');
    case 2:
      return insert('9007199254740993');
    case 3:
      return insert('"\\ud800"');
    case 4:
      return insert('['.repeat(1 + roll(20_000)));
    case 5:
      return bytesOf(text.replace(/^\{/, '{"__proto__":{"a":1},'));
    case 6:
      return bytesOf(text.replace(/^\{("[^"]*":)/, '{$1 0,$1'));
    default: {
      const depth = 1 + roll(20_000);
      return insert('['.repeat(depth) + ']'.repeat(depth));
    }
  }
}
