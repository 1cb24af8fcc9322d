// The inner loops of matrix products: six rows by eight columns are held in registers while k runs (Goto and van de Geijn
// 2008). The same for one to five rows, which are left at the end. Addresses are bytes.

import { FunctionCode, multiplyAdd, op } from './assembler.ts';

/** Columns of a panel of the right operand, which lies as [k][8]. */
export const panel = 8;
export const mostRows = 6;

/**
 * c[rows·blocks, 8] = α · a · b (+ c): parameters a, lda, b, ldb, c, ldc, k, blocks, α, whether c is added to.
 * @param strided b's rows lie ldb apart; else 32 bytes, one after another
 */
export function tileCode(rows: number, strided: boolean, fused: boolean): FunctionCode {
  const code = new FunctionCode(['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'f32', 'i32']);
  const [a, lda, b, ldb, c, ldc, k, blocks, alpha, adds] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const vectors = panel / 4;
  const lefts = Array.from({ length: rows }, () => code.local('i32'));
  const [right, count] = [code.local('i32'), code.local('i32')];
  const sums = Array.from({ length: rows }, () => Array.from({ length: vectors }, () => code.local('v128')));
  const [rights, left] = [Array.from({ length: vectors }, () => code.local('v128')), code.local('v128')];
  const { get, set } = op;
  const madd = multiplyAdd(fused);

  const begin = [
    ...lefts.flatMap((one, row) => set(one, row === 0 ? get(a) : op.addI32(get(lefts[row - 1]!), get(lda)))),
    ...set(right, get(b)),
    ...sums.flat().flatMap((sum) => set(sum, op.constant(0))),
  ];
  const steps = (unrolled: number): number[] => {
    const one = (at: number): number[] => [
      ...rights.flatMap((vector, j) => set(vector, op.load(get(right), (strided ? 0 : 32 * at) + 16 * j))),
      ...(strided ? set(right, op.addI32(get(right), get(ldb))) : []),
      ...lefts.flatMap((pointer, row) => [
        ...set(left, op.loadSplat(get(pointer), 4 * at)),
        ...sums[row]!.flatMap((sum, j) => set(sum, madd(get(left), get(rights[j]!), get(sum)))),
      ]),
    ];
    return [
      ...Array.from({ length: unrolled }, (_, at) => one(at)).flat(),
      ...lefts.flatMap((pointer) => set(pointer, op.addI32(get(pointer), op.i32(4 * unrolled)))),
      ...(strided ? [] : set(right, op.addI32(get(right), op.i32(32 * unrolled)))),
    ];
  };
  const over = (times: number[], unrolled: number): number[] => [
    ...set(count, times),
    ...op.when(get(count), FunctionCode.loop(count, 1, steps(unrolled))),
  ];
  const store = (adding: boolean): number[] =>
    sums.flatMap((row) => [
      ...row.flatMap((sum, j) => {
        const scaled = op.multiply(get(sum), op.splat(get(alpha)));
        return op.store(get(c), adding ? op.add(op.load(get(c), 16 * j), scaled) : scaled, 16 * j);
      }),
      ...set(c, op.addI32(get(c), get(ldc))),
    ]);
  code.emit(
    FunctionCode.loop(blocks, 1, [
      ...begin,
      ...over(op.shiftRightI32(get(k), op.i32(2)), 4),
      ...over(op.andI32(get(k), op.i32(3)), 1),
      ...op.when(get(adds), store(true), store(false)),
      ...set(a, op.addI32(get(a), op.multiplyI32(get(lda), op.i32(rows)))),
    ]),
  );
  return code;
}

/** Panels of eight columns from rows: parameters source, its row's bytes, target, k, panels. */
export function packCode(): FunctionCode {
  const code = new FunctionCode(['i32', 'i32', 'i32', 'i32', 'i32']);
  const [source, ld, target, k, panels] = [0, 1, 2, 3, 4];
  const [from, count] = [code.local('i32'), code.local('i32')];
  const { get, set } = op;
  const copied = [0, 16].flatMap((at) => op.store(get(target), op.load(get(from), at), at));
  code.emit(
    FunctionCode.loop(panels, 1, [
      ...set(from, get(source)),
      ...set(count, get(k)),
      ...FunctionCode.loop(count, 1, [
        ...copied,
        ...set(from, op.addI32(get(from), get(ld))),
        ...set(target, op.addI32(get(target), op.i32(32))),
      ]),
      ...set(source, op.addI32(get(source), op.i32(32))),
    ]),
  );
  return code;
}

/** Four rows become four columns: parameters source, its row's bytes, target, its row's bytes, columns (a multiple of 4). */
export function turnCode(): FunctionCode {
  const code = new FunctionCode(['i32', 'i32', 'i32', 'i32', 'i32']);
  const [source, ld, target, ldTarget, columns] = [0, 1, 2, 3, 4];
  const from = [source, code.local('i32'), code.local('i32'), code.local('i32')];
  const rows = from.map(() => code.local('v128'));
  const mixed = from.map(() => code.local('v128'));
  const { get, set } = op;
  const [r0, r1, r2, r3] = rows.map(get) as [number[], number[], number[], number[]];
  const [m0, m1, m2, m3] = mixed.map(get) as [number[], number[], number[], number[]];
  const turned = [
    op.shuffle(m0, m1, [0, 1, 4, 5]),
    op.shuffle(m0, m1, [2, 3, 6, 7]),
    op.shuffle(m2, m3, [0, 1, 4, 5]),
    op.shuffle(m2, m3, [2, 3, 6, 7]),
  ];
  code.emit(
    ...[1, 2, 3].map((row) => set(from[row]!, op.addI32(get(from[row - 1]!), get(ld)))),
    FunctionCode.loop(columns, 4, [
      ...from.flatMap((pointer, row) => [
        ...set(rows[row]!, op.load(get(pointer))),
        ...set(pointer, op.addI32(get(pointer), op.i32(16))),
      ]),
      ...set(mixed[0]!, op.shuffle(r0, r1, [0, 4, 1, 5])),
      ...set(mixed[1]!, op.shuffle(r2, r3, [0, 4, 1, 5])),
      ...set(mixed[2]!, op.shuffle(r0, r1, [2, 6, 3, 7])),
      ...set(mixed[3]!, op.shuffle(r2, r3, [2, 6, 3, 7])),
      ...turned.flatMap((value) => [
        ...op.store(get(target), value),
        ...set(target, op.addI32(get(target), get(ldTarget))),
      ]),
    ]),
  );
  return code;
}
