// VERIFY.md of an export: the exact commands. test/main/cli/ledger.test.ts runs every `sh` block of it, also against
// altered bundles, so the text and the truth cannot part.

export const verifySteps = String.raw`# How to verify this log without our programs

You need a POSIX shell, ${'`'}sha256sum${'`'} and ${'`'}base64${'`'} (GNU coreutils) and ${'`'}openssl${'`'} 3 or later. Run the steps in this folder, in this order.
Each prints a line that begins with ${'`'}ok${'`'}, or stops with what is wrong.

## 1. The files of this folder are whole

~~~sh
sha256sum --quiet --check SHA256SUMS || exit 1
echo "ok: the files are those that were exported"
~~~

## 2. Every entry is linked to the one before it

Each line of ${'`'}ledger.jsonl${'`'} names in ${'`'}previous${'`'} the SHA-256 of the line before it (without its newline; the first names 64 zeros).
The signed ${'`'}checkpoint${'`'} says in its second line how many entries there were and in its third line the hash of the last of them.

~~~sh
size=$(sed -n 2p checkpoint)
vouched=$(sed -n 3p checkpoint)
previous=0000000000000000000000000000000000000000000000000000000000000000
number=0
if [ "$size" = 0 ]; then at_size=$previous; else at_size=none; fi
while IFS= read -r line; do
  number=$((number + 1))
  case $line in
    *',"previous":"'"$previous"'","seq":'"$number"',"time":"'????????????????????????'"}') ;;
    *) echo "WRONG: entry $number does not follow from the one before it"; exit 1 ;;
  esac
  previous=$(printf '%s' "$line" | sha256sum | cut -d ' ' -f 1)
  if [ "$number" = "$size" ]; then at_size=$previous; fi
done < ledger.jsonl
if [ "$at_size" != "$vouched" ]; then echo "WRONG: the checkpoint names another entry $size"; exit 1; fi
echo "ok: $number entries are linked, and entry $size is the one that the checkpoint names"
~~~

(A log of 100 000 entries takes some minutes this way.)

## 3. The checkpoint is signed

What is signed is the text ${'`'}consilience/checkpoint${'`'}, one zero byte, then the first four lines of ${'`'}checkpoint${'`'} with their newlines.
The signature (Ed25519, 64 bytes) is the end of the base64 text in the last line, after a key number of four bytes.

~~~sh
work=$(mktemp -d)
{ printf 'consilience/checkpoint\000'; head -n 4 checkpoint; } > "$work/signed"
tail -n 1 checkpoint | cut -d ' ' -f 3 | base64 -d | tail -c 64 > "$work/signature"
openssl pkeyutl -verify -pubin -inkey keys/ledger.pem -rawin -in "$work/signed" -sigfile "$work/signature" || exit 1
rm -r "$work"
echo "ok: the key in keys/ledger.pem signed the checkpoint"
~~~

## 4. The key is the institution's

The steps above show that whoever holds the key in ${'`'}keys/ledger.pem${'`'} vouches for this log. That it is the institution's key
you must learn on another way. This prints the key; compare it with what the institution or the study's contract says.

~~~sh
openssl pkey -pubin -in keys/ledger.pem -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \n'
echo
~~~

## 5. Contracts

The name of each file in ${'`'}contracts${'`'} is its SHA-256, and the log names contracts by it (${'`'}"study":"…"${'`'}).

~~~sh
for contract in contracts/*.json; do
  [ -e "$contract" ] || continue
  hash=$(sha256sum < "$contract" | cut -d ' ' -f 1)
  if [ "contracts/$hash.json" != "$contract" ]; then echo "WRONG: $contract is not what its name says"; exit 1; fi
done
echo "ok: contracts are what their names say"
~~~
`.replaceAll('~~~', '```');
