// Fills the disk that its shell allows it, with records or with ledger entries, until it is told that there is no more room;
// then says what was acknowledged and how it was refused. Run by full-disk.test.ts.

import { ConsilienceError } from '../../../../app/errors.ts';
import { openLedger } from '../../../../main/host/ledger/ledger-file.ts';
import { nodeCipher, systemClock } from '../../../../main/host/machine.ts';
import { openSealedStore } from '../../../../main/host/records/sealed-store.ts';
import { sampleSigner } from '../../../app/ledger/sample.ts';

const [what, folder] = process.argv.slice(2) as [string, string];
const plain = { seal: (bytes: Uint8Array) => bytes, open: (bytes: Uint8Array) => bytes };

async function fill(write: (number: number) => Promise<unknown>): Promise<{ acknowledged: number; code: string }> {
  for (let number = 1; ; number++)
    try {
      await write(number);
    } catch (error) {
      if (!(error instanceof ConsilienceError)) throw error;
      return { acknowledged: number - 1, code: error.code };
    }
}

const filler = 'x'.repeat(20_000);
if (what === 'store') {
  const store = await openSealedStore({ folder, keystore: plain });
  const told = await fill((number) =>
    store.write([
      { key: `a/${number}`, value: Buffer.from(filler) },
      { key: `b/${number}`, value: Buffer.from(filler) },
    ]),
  );
  const readable = (await store.keys('a/')).length;
  process.stdout.write(JSON.stringify({ ...told, readable }));
} else {
  const ledger = await openLedger({ folder, signer: sampleSigner, clock: systemClock, cipher: nodeCipher });
  const told = await fill((number) => ledger.append('settings-changed', { number, filler }));
  process.stdout.write(JSON.stringify({ ...told, readable: ledger.head().size }));
}
