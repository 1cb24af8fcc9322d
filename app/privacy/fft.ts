// The discrete Fourier transform of real sequences whose length is a power of two, for composing privacy losses. A real
// sequence of length N is transformed as a complex one of length N/2. Cooley and Tukey 1965; nothing here knows of privacy.

const { cos, PI, sin } = Math;

type Tables = { readonly cosines: Float64Array; readonly sines: Float64Array; readonly reversed: Uint32Array };

const remembered = new Map<number, Tables>();

/** e^{−2πik/n} for k < n/2, and where bit reversal sends each of the n places. */
function tables(n: number): Tables {
  const known = remembered.get(n);
  if (known !== undefined) return known;
  const cosines = new Float64Array(n / 2);
  const sines = new Float64Array(n / 2);
  for (let k = 0; k < n / 2; k++) {
    cosines[k] = cos((2 * PI * k) / n);
    sines[k] = -sin((2 * PI * k) / n);
  }
  const reversed = new Uint32Array(n);
  for (let i = 1; i < n; i++) reversed[i] = (reversed[i >> 1]! >> 1) | (i & 1 ? n >> 1 : 0);
  const made = { cosines, sines, reversed };
  // Two lengths serve one composition; more would only hold memory.
  if (remembered.size >= 4) remembered.delete(remembered.keys().next().value!);
  remembered.set(n, made);
  return made;
}

/** In place: (re, im) becomes its transform Σ x_j e^{−2πijk/n}. */
function transform(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  const { cosines, sines, reversed } = tables(n);
  for (let i = 0; i < n; i++) {
    const j = reversed[i]!;
    if (j > i) {
      const [a, b] = [re[i]!, im[i]!];
      re[i] = re[j]!;
      im[i] = im[j]!;
      re[j] = a;
      im[j] = b;
    }
  }
  for (let half = 1; half < n; half *= 2) {
    const stride = n / (2 * half);
    for (let start = 0; start < n; start += 2 * half) {
      for (let k = 0, at = start; k < half; k++, at++) {
        const [c, s] = [cosines[k * stride]!, sines[k * stride]!];
        const other = at + half;
        const a = re[other]! * c - im[other]! * s;
        const b = re[other]! * s + im[other]! * c;
        re[other] = re[at]! - a;
        im[other] = im[at]! - b;
        re[at] = re[at]! + a;
        im[at] = im[at]! + b;
      }
    }
  }
}

/** The first n/2 + 1 values of a real sequence's transform; the rest are their conjugates. */
export type Spectrum = { readonly re: Float64Array; readonly im: Float64Array };

/**
 * @param values n real numbers, n ≥ 4 a power of two.
 * @throws RangeError naming `values`.
 */
export function spectrumOf(values: Float64Array): Spectrum {
  const n = values.length;
  if (n < 4 || (n & (n - 1)) !== 0) throw new RangeError('values must have a power of two of at least 4 members');
  const m = n / 2;
  const evens = new Float64Array(m);
  const odds = new Float64Array(m);
  for (let i = 0; i < m; i++) {
    evens[i] = values[2 * i]!;
    odds[i] = values[2 * i + 1]!;
  }
  transform(evens, odds);
  const { cosines, sines } = tables(n);
  const re = new Float64Array(m + 1);
  const im = new Float64Array(m + 1);
  for (let k = 0; k < m; k++) {
    const back = k === 0 ? 0 : m - k;
    const evenRe = (evens[k]! + evens[back]!) / 2;
    const evenIm = (odds[k]! - odds[back]!) / 2;
    const oddRe = (odds[k]! + odds[back]!) / 2;
    const oddIm = (evens[back]! - evens[k]!) / 2;
    const [c, s] = [cosines[k]!, sines[k]!];
    re[k] = evenRe + oddRe * c - oddIm * s;
    im[k] = evenIm + oddRe * s + oddIm * c;
  }
  re[m] = evens[0]! - odds[0]!;
  return { re, im };
}

/** The real sequence that has this transform. */
export function sequenceOf({ re, im }: Spectrum): Float64Array {
  const m = re.length - 1;
  const n = 2 * m;
  const { cosines, sines } = tables(n);
  // The inverse transform is the conjugate of the transform of conjugates, hence the signs.
  const evens = new Float64Array(m);
  const odds = new Float64Array(m);
  for (let k = 0; k < m; k++) {
    const evenRe = (re[k]! + re[m - k]!) / 2;
    const evenIm = (im[k]! - im[m - k]!) / 2;
    const differenceRe = (re[k]! - re[m - k]!) / 2;
    const differenceIm = (im[k]! + im[m - k]!) / 2;
    const [c, s] = [cosines[k]!, -sines[k]!];
    const oddRe = differenceRe * c - differenceIm * s;
    const oddIm = differenceRe * s + differenceIm * c;
    evens[k] = evenRe - oddIm;
    odds[k] = -(evenIm + oddRe);
  }
  transform(evens, odds);
  const values = new Float64Array(n);
  for (let i = 0; i < m; i++) {
    values[2 * i] = evens[i]! / m;
    values[2 * i + 1] = -odds[i]! / m;
  }
  return values;
}

/** (re, im) times the `power`-th power of `factor`, in place; power ≥ 1. By squaring, so it is exact to power·2^−52. */
export function multiplyByPower(product: Spectrum, factor: Spectrum, power: number): void {
  for (let k = 0; k < factor.re.length; k++) {
    let [baseRe, baseIm] = [factor.re[k]!, factor.im[k]!];
    let [re, im] = [product.re[k]!, product.im[k]!];
    for (let left = power; ;) {
      if (left % 2 === 1) {
        const next = re * baseRe - im * baseIm;
        im = re * baseIm + im * baseRe;
        re = next;
      }
      left = Math.floor(left / 2);
      if (left === 0) break;
      const next = baseRe * baseRe - baseIm * baseIm;
      baseIm *= 2 * baseRe;
      baseRe = next;
    }
    product.re[k] = re;
    product.im[k] = im;
  }
}
