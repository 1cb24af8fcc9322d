// What PostgreSQL says of itself, as the store's errors. A statement that the server finds wrong is a defect and passes
// as it is; everything else (gone, restarting, full, in recovery) may be better in a moment.

import { ConsilienceError, UnavailableError } from '../../../app/errors.ts';

/** SQLSTATE classes of statements that are wrong in themselves. */
const defects = /^(?:22|23|42)/;
const diskFull = '53100';
const noSchemaRight = '42501';

/** @throws UnavailableError `database-unreachable`, `disk-full`; a defect as it is. */
export async function postgresGuard<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ConsilienceError || error instanceof TypeError || error instanceof RangeError) throw error;
    const state = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
    if (state === noSchemaRight)
      throw new UnavailableError(
        'database-forbidden',
        'The account of the coordinator may not create or use its tables in the database. Give it the right CREATE on the database.',
        { cause: error },
      );
    if (/^[0-9A-Z]{5}$/.test(state) && defects.test(state)) throw error;
    if (state === diskFull)
      throw new UnavailableError('disk-full', 'The disk of the coordinator’s database is full.', { cause: error });
    throw new UnavailableError(
      'database-unreachable',
      'The coordinator’s database does not answer now, so nothing was accepted. It is tried again; nothing is lost.',
      { cause: error },
    );
  }
}
