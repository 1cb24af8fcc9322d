// What is done to rows of numbers, four at a time: norms, softmax, gates and rotary positions, forward and back. Counts are
// multiples of 4 and not 0; addresses are bytes.

import { FunctionCode, multiplyAdd, op } from './assembler.ts';

const { get, set } = op;

/** Below this e^x is 0 here: the smallest normal number of float32 is near. */
const lowest = -87.33;
const highest = 88;

/** e^x of a local, in place, within two units of the last place (Cephes): 2^n times a polynomial of what is left. */
function exponential(code: FunctionCode, x: number): number[] {
  const [below, power, sum] = [code.local('v128'), code.local('v128'), code.local('v128')];
  const coefficients = [
    1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
  ];
  const times = (factor: number): number[] => op.multiply(get(power), op.constant(factor));
  return [
    ...set(below, op.atMost(get(x), op.constant(lowest))),
    ...set(x, op.min(op.max(get(x), op.constant(lowest)), op.constant(highest))),
    ...set(power, op.nearest(op.multiply(get(x), op.constant(Math.LOG2E)))),
    // ln 2 in two parts, so that what is left keeps its bits.
    ...set(x, op.subtract(op.subtract(get(x), times(0.693359375)), times(-2.1219444e-4))),
    ...set(sum, op.constant(coefficients[0]!)),
    ...coefficients.slice(1).flatMap((one) => set(sum, op.add(op.multiply(get(sum), get(x)), op.constant(one)))),
    ...set(sum, op.multiply(get(sum), op.multiply(get(x), get(x)))),
    ...set(sum, op.add(op.add(get(sum), get(x)), op.constant(1))),
    ...set(power, op.shiftLeft(op.addIntegers(op.toIntegers(get(power)), op.integers(127)), 23)),
    // What is not a number stays so.
    ...set(x, op.without(op.multiply(get(sum), get(power)), get(below))),
  ];
}

/** A loop over the vectors of all rows given by address; `count` is the last i32 parameter of `rows + 1`. */
function overRows(rows: number, body: readonly number[]): number[] {
  const steps = Array.from({ length: rows }, (_, row) => set(row, op.addI32(get(row), op.i32(16))));
  return FunctionCode.loop(rows, 4, [...body, ...steps.flat()]);
}

const addresses = (rows: number): ['i32', ...'i32'[]] => Array.from({ length: rows + 1 }, () => 'i32') as ['i32'];
const lanes = (value: number): number[][] => [0, 1, 2, 3].map((lane) => op.lane(get(value), lane));

/** Σ over the row of the product of all of `rows` rows. */
function dotCode(rows: number, fused: boolean): FunctionCode {
  const code = new FunctionCode(addresses(rows), 'f32');
  const sum = code.local('v128');
  const product = Array.from({ length: rows - 1 }, (_, row) => op.load(get(row))).reduce((a, b) => op.multiply(a, b));
  code.emit(overRows(rows, set(sum, multiplyAdd(fused)(product, op.load(get(rows - 1)), get(sum)))));
  const [a, b, c, d] = lanes(sum) as [number[], number[], number[], number[]];
  code.emit(op.addF32(op.addF32(a, b), op.addF32(c, d)));
  return code;
}

function maximumCode(): FunctionCode {
  const code = new FunctionCode(addresses(1), 'f32');
  const most = code.local('v128');
  code.emit(set(most, op.constant(-Infinity)), overRows(1, set(most, op.max(get(most), op.load(get(0))))));
  const [a, b, c, d] = lanes(most) as [number[], number[], number[], number[]];
  code.emit(op.maxF32(op.maxF32(a, b), op.maxF32(c, d)));
  return code;
}

/** x = e^(x − shift) in place; their sum. Parameters x, count, shift. */
function exponentialCode(): FunctionCode {
  const code = new FunctionCode([...addresses(1), 'f32'], 'f32');
  const [x, sum] = [code.local('v128'), code.local('v128')];
  code.emit(
    overRows(1, [
      ...set(x, op.subtract(op.load(get(0)), op.splat(get(2)))),
      ...exponential(code, x),
      ...op.store(get(0), get(x)),
      ...set(sum, op.add(get(sum), get(x))),
    ]),
  );
  const [a, b, c, d] = lanes(sum) as [number[], number[], number[], number[]];
  code.emit(op.addF32(op.addF32(a, b), op.addF32(c, d)));
  return code;
}

/** The first row gets `value` of the others; scalars are parameters after the count. */
function rowCode(rows: number, scalars: number, value: (scalar: (at: number) => number[]) => number[]): FunctionCode {
  const code = new FunctionCode([...addresses(rows), ...Array.from({ length: scalars }, () => 'f32' as const)]);
  code.emit(
    overRows(
      rows,
      op.store(
        get(0),
        value((at) => op.splat(get(rows + 1 + at))),
      ),
    ),
  );
  return code;
}

const row = (at: number): number[] => op.load(get(at));

/** Rows out, gate, up: out = up · gate · σ(gate). */
function gatedCode(): FunctionCode {
  const code = new FunctionCode(addresses(3));
  const x = code.local('v128');
  code.emit(
    overRows(3, [
      ...set(x, op.subtract(op.constant(0), row(1))),
      ...exponential(code, x),
      ...op.store(get(0), op.divide(op.multiply(row(1), row(2)), op.add(get(x), op.constant(1)))),
    ]),
  );
  return code;
}

/** Rows at gate, at up, gate, up, gradient. */
function gatedBackCode(): FunctionCode {
  const code = new FunctionCode(addresses(5));
  const [x, active] = [code.local('v128'), code.local('v128')];
  // σ + silu − silu σ is the slope of silu.
  const slope = op.add(get(x), op.subtract(get(active), op.multiply(get(active), get(x))));
  code.emit(
    overRows(5, [
      ...set(x, op.subtract(op.constant(0), row(2))),
      ...exponential(code, x),
      ...set(x, op.divide(op.constant(1), op.add(get(x), op.constant(1)))),
      ...set(active, op.multiply(row(2), get(x))),
      ...op.store(get(1), op.multiply(row(4), get(active))),
      ...op.store(get(0), op.multiply(op.multiply(row(4), row(3)), slope)),
    ]),
  );
  return code;
}

/** Rows out₁, out₂, x₁, x₂, cos, sin; scalars scale and the sign of the angle. */
function rotateCode(): FunctionCode {
  const code = new FunctionCode([...addresses(6), 'f32', 'f32']);
  const [cos, sin] = [code.local('v128'), code.local('v128')];
  code.emit(
    overRows(6, [
      ...set(cos, op.multiply(row(4), op.splat(get(7)))),
      ...set(sin, op.multiply(op.multiply(row(5), op.splat(get(7))), op.splat(get(8)))),
      ...op.store(get(0), op.subtract(op.multiply(row(2), get(cos)), op.multiply(row(3), get(sin)))),
      ...op.store(get(1), op.add(op.multiply(row(3), get(cos)), op.multiply(row(2), get(sin)))),
    ]),
  );
  return code;
}

export function rowFunctions(fused: boolean) {
  return {
    dot: dotCode(2, fused),
    dot3: dotCode(3, fused),
    maximum: maximumCode(),
    exponential: exponentialCode(),
    gated: gatedCode(),
    gatedBack: gatedBackCode(),
    rotate: rotateCode(),
    /** x · f · w. */
    scaled: rowCode(3, 1, (scalar) => op.multiply(op.multiply(row(1), scalar(0)), row(2))),
    /** x · f in place. */
    multiplied: rowCode(1, 1, (scalar) => op.multiply(row(0), scalar(0))),
    /** g · w · f − x · c, of rows out, g, w, x. */
    normBack: rowCode(4, 2, (scalar) =>
      op.subtract(op.multiply(op.multiply(row(1), row(2)), scalar(0)), op.multiply(row(3), scalar(1))),
    ),
    /** d = w · (d − c), of rows d, w. */
    softmaxBack: rowCode(2, 1, (scalar) => op.multiply(row(1), op.subtract(row(0), scalar(0)))),
    /** out = out + x. */
    added: rowCode(2, 0, () => op.add(row(0), row(1))),
  };
}
