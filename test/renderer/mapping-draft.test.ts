// A mapping while it is edited: what the screen makes of it is what the host reads, and nothing of it is lost on the way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mappingSchema, plainMapping } from '../../app/training/mapping.ts';
import type { Mapping } from '../../app/training/mapping.ts';

type Draft = {
  readonly noMapping: Mapping;
  readonly changeOf: (mapping: Mapping, column: string) => string;
  readonly codesText: (mapping: Mapping, column: string) => string;
  readonly isPlain: (mapping: Mapping) => boolean;
  readonly sourceOf: (mapping: Mapping, column: string, names: readonly string[]) => string | null;
  readonly withChange: (
    mapping: Mapping,
    column: string,
    change: 'none' | 'unit' | 'codes' | 'date',
    today: string,
  ) => Mapping;
  readonly withCodes: (mapping: Mapping, column: string, text: string) => Mapping;
  readonly withSource: (mapping: Mapping, column: string, source: string) => Mapping;
  readonly withUnit: (mapping: Mapping, column: string, unit: { factor: number; offset: number }) => Mapping;
};

// The window's sources are a project of their own, so it comes by its address.
const address = new URL('../../renderer/features/data/mapping-draft.ts', import.meta.url).href;
const { changeOf, codesText, isPlain, noMapping, sourceOf, withChange, withCodes, withSource, withUnit } =
  (await import(address)) as Draft;

test('an empty draft is the host’s plain mapping', () => {
  assert.deepEqual(noMapping, plainMapping);
  assert.ok(isPlain(noMapping) && !isPlain({ ...noMapping, decimalComma: true }));
});

test('a column has its own name until another is chosen, and one kind of change at a time', () => {
  assert.equal(sourceOf(noMapping, 'age', ['age', 'sex']), 'age');
  const renamed = withSource(noMapping, 'age', 'Alter');
  assert.equal(sourceOf(renamed, 'age', ['Alter']), 'Alter');
  assert.equal(sourceOf(renamed, 'age', ['age']), null);
  assert.deepEqual(withSource(renamed, 'age', 'age'), noMapping);
  const unit = withUnit(withChange(noMapping, 'age', 'unit', '2026-01-01'), 'age', { factor: 0.1, offset: 2 });
  assert.equal(changeOf(unit, 'age'), 'unit');
  const date = withChange(unit, 'age', 'date', '2026-01-01');
  assert.deepEqual([changeOf(date, 'age'), date.units], ['date', {}]);
  assert.deepEqual(withChange(date, 'age', 'none', '2026-01-01'), noMapping);
  for (const one of [renamed, unit, date]) assert.deepEqual(mappingSchema.parse(one), one);
});

test('codes are lines; the last equals sign divides, nothing behind it means missing, half a line is left out', () => {
  const typed = withCodes(noMapping, 'sex', 'm = 1\n w =0 \na=b = 2\nunknown =\nhalf a line\n= nothing before it');
  assert.deepEqual(typed.codes['sex'], { m: '1', w: '0', 'a=b': '2', unknown: '' });
  assert.deepEqual(withCodes(noMapping, 'sex', codesText(typed, 'sex')), typed);
});
