// The mapping document, its hash, and rows through it into the contract's encoder.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../../app/errors.ts';
import {
  daysSinceEpoch,
  mappingHash,
  mappingSchema,
  parseMapping,
  plainMapping,
} from '../../../app/training/mapping.ts';
import type { Mapping } from '../../../app/training/mapping.ts';
import { encodeTable } from '../../../app/training/records.ts';
import { RowMapper } from '../../../app/training/row-mapper.ts';
import type { SourceCell } from '../../../app/training/row-mapper.ts';
import { nodeCipher } from '../../../main/host/machine.ts';
import { numberFeature, tableOf } from './examples.ts';

const wide = { least: -1e6, most: 1e6, outside: 'refuse' } as const;
const table = tableOf({
  features: [
    numberFeature('age', wide),
    numberFeature('weight', wide),
    {
      kind: 'category',
      column: 'sex',
      categories: ['0', '1'],
      encoding: 'one-hot',
      unknown: 'refuse',
      whenMissing: { rule: 'refuse' },
    },
  ],
});

const mappingOf = (change: object): Mapping => mappingSchema.parse({ format: 'consilience/mapping/1', ...change });

function through(mapping: Mapping, names: readonly string[], ...rows: readonly (readonly SourceCell[])[]) {
  const mapper = new RowMapper(table, mapping, names);
  const lines = rows.map((cells, at) => mapper.row({ line: at + 2, cells }));
  return { mapper, lines, encoded: encodeTable(mapper.table, lines) };
}

const refusal =
  (code: string, pattern = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof InputError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /canary/);
    return true;
  };

test('columns are renamed and swapped, those outside the contract dropped and named', () => {
  const mapping = mappingOf({ rename: { age: 'weight', weight: 'age', sex: 'Geschlecht' } });
  const { mapper, lines } = through(
    mapping,
    [' weight ', 'note', 'age', 'Geschlecht', 'y'],
    ['40', 'canary', '70', '1', '0'],
  );
  assert.deepEqual(mapper.table.columnNames, ['age', 'weight', 'sex', 'y']);
  assert.deepEqual(lines, [{ line: 2, cells: ['40', '70', '1', '0'] }]);
  assert.deepEqual(mapper.dropped, ['note']);
  assert.deepEqual([...mapper.wanted].sort(), [0, 2, 3, 4]);
});

test('codes come first and are final; missing cells stay missing under every rule', () => {
  const mapping = mappingOf({
    codes: { sex: { m: '1', w: '0', '-9': '' }, weight: { '<5': '4,5' } },
    units: { weight: { factor: 0.001, offset: 0 } },
    decimalComma: true,
  });
  const { lines, encoded } = through(
    mapping,
    ['age', 'weight', 'sex', 'y'],
    ['40,5', '70500', ' w ', '1'],
    ['?', '<5', 'm', '1'],
    ['40', '', '-9', '1'],
    ['40', '1', 'x', '1'],
  );
  assert.deepEqual(
    lines.map((line) => line.cells),
    [
      ['40.5', '70.5', '0', '1'],
      ['?', '4,5', '1', '1'],
      ['40', '', '', '1'],
      ['40', '0.001', 'x', '1'],
    ],
  );
  assert.deepEqual(encoded.problems, [
    { line: 3, column: 'age', problem: 'missing' },
    {
      line: 3,
      column: 'weight',
      problem: 'a decimal comma: say so in the mapping ("decimalComma": true); its own codes take a point',
    },
    { line: 4, column: 'weight', problem: 'missing' },
    { line: 4, column: 'sex', problem: 'missing' },
    { line: 5, column: 'sex', problem: 'in no category of the contract' },
  ]);
});

test('a point under a decimal comma refuses the row, unless the file types the number itself', () => {
  const { lines, encoded } = through(
    mappingOf({ decimalComma: true }),
    ['age', 'weight', 'sex', 'y'],
    ['1.234', '1', '1', '1'],
    [1.234, '1', '1', '1'],
    ['1.234,5', '1', '1', '1'],
  );
  assert.deepEqual(encoded.problems, [
    { line: 2, column: 'age', problem: 'a point in a number where the mapping says decimal comma' },
    { line: 4, column: 'age', problem: 'not a number' },
  ]);
  assert.equal(lines[1]!.cells[0], '1.234');
});

test('units convert, and what is no number is refused by line and kind', () => {
  const { lines, encoded } = through(
    mappingOf({ units: { age: { factor: 3, offset: 0 }, weight: { factor: 5 / 9, offset: -160 / 9 } } }),
    ['age', 'weight', 'sex', 'y'],
    ['0.1', '98.6', '1', '1'],
    ['canary', '1', '1', '1'],
  );
  assert.deepEqual(lines[0]!.cells, ['0.3', '37', '1', '1']);
  assert.deepEqual(encoded.problems, [{ line: 3, column: 'age', problem: 'not a number' }]);
});

test('dates become ages, days or years by the form that was chosen, and no other', () => {
  const years = (from: string, at = '2026-11-23') => mappingOf({ dates: { age: { from, to: { kind: 'years', at } } } });
  const age = (mapping: Mapping, cell: SourceCell) => {
    const line = through(mapping, ['age', 'weight', 'sex', 'y'], [cell, '1', '1', '1']).lines[0]!;
    return line.problems?.[0]?.problem ?? line.cells[0];
  };
  assert.equal(age(years('dd.mm.yyyy'), '23.11.1980'), '46');
  assert.equal(age(years('dd.mm.yyyy'), '24.11.1980'), '45');
  assert.equal(age(years('dd.mm.yyyy'), '1.2.1980 08:30'), '46');
  assert.equal(age(years('dd/mm/yyyy', '2020-03-05'), '04/03/2020'), '0');
  assert.equal(age(years('mm/dd/yyyy', '2020-04-02'), '04/03/2019'), '0');
  assert.equal(age(years('mm/dd/yyyy', '2020-04-03'), '04/03/2019'), '1');
  assert.equal(age(years('yyyy-mm-dd'), '2020-02-29T00:00:00'), '6');
  assert.equal(age(years('yyyy-mm-dd', '2019-01-01'), '2020-01-01'), 'after the day of the mapping');
  for (const cell of ['30.02.2020', '1.1.80', '2020-01-01', '12/13/2020', 'canary', 36_000, '1.1.2020 noon'])
    assert.equal(age(years('dd.mm.yyyy'), cell), 'not a date of the mapping’s form', String(cell));
  const days = mappingOf({ dates: { age: { from: 'yyyy-mm-dd', to: { kind: 'days', since: '2020-03-01' } } } });
  assert.equal(age(days, '2020-02-28'), '-2');
  const year = mappingOf({ dates: { age: { from: 'yyyy-mm-dd', to: { kind: 'year' } } } });
  assert.equal(age(year, '1999-12-31'), '1999');
});

test('every day from 1000 to 9999 is read back as itself', () => {
  const day = fc.date({ min: new Date('1000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true });
  fc.assert(
    fc.property(day, (date) => {
      const [year, month, dayOfMonth] = date.toISOString().slice(0, 10).split('-') as [string, string, string];
      const wanted = Math.floor(date.getTime() / 86_400_000);
      assert.equal(daysSinceEpoch(`${year}-${month}-${dayOfMonth}`, 'yyyy-mm-dd'), wanted);
      assert.equal(daysSinceEpoch(`${Number(dayOfMonth)}.${Number(month)}.${year}`, 'dd.mm.yyyy'), wanted);
      assert.equal(daysSinceEpoch(`${month}/${dayOfMonth}/${year}`, 'mm/dd/yyyy'), wanted);
    }),
  );
});

test('without rules every cell passes as it stands, and a decimal comma gives back every number', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), (value) => {
      const names = ['age', 'weight', 'sex', 'y'];
      const plain = through(plainMapping, names, [String(value), value, '1', '1']).encoded;
      const comma = through(mappingOf({ decimalComma: true }), names, [
        String(value).replace('.', ','),
        value,
        '1',
        '1',
      ]).encoded;
      assert.deepEqual(comma.features, plain.features);
      assert.deepEqual(comma.problems, []);
      assert.equal(plain.features[0], plain.features[1]);
    }),
  );
});

test('the hash is that of the meaning: order, spaces and written-out defaults do not change it', () => {
  const hash = (text: string): string => mappingHash(nodeCipher, parseMapping(text));
  const short = hash('{"format":"consilience/mapping/1","rename":{"a":"x","b":"y"}}');
  assert.equal(
    hash(
      '\uFEFF{ "decimalComma": false, "rename": {"b":"y","a":"x"}, "source":{"header":null}, "format":"consilience/mapping/1" }',
    ),
    short,
  );
  assert.notEqual(hash('{"format":"consilience/mapping/1","rename":{"a":"y","b":"x"}}'), short);
  assert.equal(
    mappingHash(nodeCipher, plainMapping),
    '6fef3c532f5f03cafc68e881a0c2bc6fb29f078d69295b720a343fb39ee58f8e',
  );
});

test('what is no mapping is refused without its content', () => {
  assert.throws(() => parseMapping('canary'), refusal('mapping-not-json'));
  for (const wrong of [
    '[]',
    '{"format":"consilience/mapping/2"}',
    '{"format":"consilience/mapping/1","canary":1}',
    '{"format":"consilience/mapping/1","units":{"a":{"factor":"canary"}}}',
    '{"format":"consilience/mapping/1","units":{"a":{"factor":1e999}}}',
    '{"format":"consilience/mapping/1","source":{"delimiter":"canary"}}',
    '{"format":"consilience/mapping/1","dates":{"a":{"from":"dd.mm.yy","to":{"kind":"year"}}}}',
    '{"format":"consilience/mapping/1","dates":{"a":{"from":"dd.mm.yyyy","to":{"kind":"years","at":"2026-02-30"}}}}',
    '{"format":"consilience/mapping/1","rename":{"a":"can\\u0000ary"}}',
  ])
    assert.throws(() => parseMapping(wrong), refusal('mapping-malformed'), wrong);
});

test('rules that the contract or the file cannot bear are refused', () => {
  const names = ['age', 'weight', 'sex', 'y'];
  const date = { from: 'yyyy-mm-dd', to: { kind: 'year' } };
  const build =
    (change: object, columns: readonly string[] = names) =>
    () =>
      new RowMapper(table, mappingOf(change), columns);
  assert.throws(build({ rename: { height: 'weight' } }), refusal('mapping-column-unknown', /"rename".*"height"/));
  assert.throws(build({ units: { sex: { factor: 2 } } }), refusal('mapping-contradiction', /as text/));
  assert.throws(build({ dates: { sex: date } }), refusal('mapping-contradiction'));
  assert.throws(build({ units: { age: { factor: 0 } } }), refusal('mapping-contradiction', /must not be 0/));
  assert.throws(
    build({ units: { age: { factor: 2 } }, dates: { age: date } }),
    refusal('mapping-contradiction', /both/),
  );
  assert.throws(
    build({ rename: { age: 'Alter' } }),
    refusal('column-missing', /"Alter" \(the mapping's column for "age"\)/),
  );
  assert.throws(build({}, ['age', 'age ', 'weight', 'sex', 'y']), refusal('column-twice'));
  const mapper = new RowMapper(table, plainMapping, names);
  assert.throws(() => mapper.row({ line: 7, cells: ['1', 'canary'] }), refusal('cells-count', /Line 7 has 2 cells/));
});
