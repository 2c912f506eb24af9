// docs/conformance.md names every case, and every case it names exists. Needs no installation.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

/** Names of the cases in the conformance files, which are literals at the beginning of a line. */
function cases() {
  const files = fs.readdirSync(here).filter((file) => /^1[23]_conformance_.*\.test\.mjs$/.test(file) && !file.includes('_index'));
  return files.flatMap((file) => [...fs.readFileSync(path.join(here, file), 'utf8').matchAll(/^test\('((?:[^'\\]|\\.)*)'/gm)]
    .map(([, name]) => name.replaceAll("\\'", "'")));
}

/** What the document has in backticks and looks like the name of a case: a word, a colon, more. */
function documented() {
  const text = fs.readFileSync(path.join(here, '../../docs/conformance.md'), 'utf8');
  return [...text.matchAll(/`([a-z]+: [^`]+)`/g)].map(([, name]) => name);
}

test('every case has its own name', () => {
  const names = cases();
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.length >= 80, `${names.length} cases`);
});

test('every case that the document names exists, and every case is in the document', () => {
  const names = new Set(cases());
  const told = new Set(documented());
  assert.deepEqual([...told].filter((name) => !names.has(name)), [], 'named in the document only');
  assert.deepEqual([...names].filter((name) => !told.has(name)), [], 'in no row of the document');
});
