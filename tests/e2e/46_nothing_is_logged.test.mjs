// What customers say and the secrets of their keys are written nowhere: in no log of any process, not in the journal, not in
// the databases. What is meant to be written is found by the same scan, so that it cannot pass by looking at nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { settled, stack, until } from './stack.mjs';
import { customer } from './tenants.mjs';
import { exchange } from './wire.mjs';

const kModel = 'tang-moe';
const kProcesses = ['billing', 'scheduler', 'gateway'];

/** Every file below `folder` whose path is wanted. */
function files(folder, wanted = () => true) {
  return fs.readdirSync(folder, { withFileTypes: true, recursive: true })
    .map((entry) => ({ entry, file: path.join(entry.parentPath ?? entry.path, entry.name) }))
    .filter(({ entry, file }) => entry.isFile() && wanted(file)).map(({ file }) => file);
}

/** The rows of every database, as text. */
function dump() {
  const versions = fs.readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  return execFileSync(path.join('/usr/lib/postgresql', versions[0], 'bin/pg_dumpall'),
    ['--data-only', '--disable-triggers', '-h', path.join(process.env.TIDEGATE_SOCKETS, 'pg'), '-U', 'tidegate'], { maxBuffer: 1 << 30 });
}

/** { logs, journal, database }: lists of [name, bytes]. */
function written() {
  const read = (file) => [path.relative(stack.folder, file), fs.readFileSync(file)];
  return {
    logs: files(stack.folder, (file) => file.endsWith('.log')).map(read),
    journal: files(path.join(stack.folder, 'journal')).map(read),
    database: [['the databases', dump()]],
  };
}

test('prompts, answers and the secrets of keys are in no log, journal or database; request ids are', async () => {
  const { secret } = await customer('unlogged', { credit: '10' });
  const markers = [];
  const marker = () => {
    markers.push(`marker${randomUUID().replaceAll('-', '')}`);
    return markers.at(-1);
  };
  const turn = () => [{ role: 'user', content: marker() }];
  const requests = [false, true].flatMap((stream) => [
    ['/v1/chat/completions', { messages: turn(), max_tokens: 4, stream }],
    ['/v1/completions', { prompt: marker(), echo: true, max_tokens: 4, stream }],
    ['/v1/responses', { input: marker(), max_output_tokens: 4, stream }],
    ['/v1/messages', { messages: turn(), max_tokens: 4, stream }],
  ]);
  const ids = [];
  for (const [where, body] of requests) {
    const seen = await until(`an answer of ${where}`, 60, async () => {
      const each = await exchange(stack.origin + where, { key: secret, body: { model: kModel, ...body } });
      return each.status !== 503 && each;
    });
    assert.equal(seen.status, 200, `${where}: ${seen.body}`);
    if (body.echo) assert.ok(body.stream || seen.body.includes(body.prompt), 'the answer holds the marker, too');
    ids.push(seen.headers['x-request-id']);
  }
  const wrong = [
    ['/v1/chat/completions', { model: kModel, messages: turn(), max_tokens: -1 }],
    ['/v1/chat/completions', `{"model": "${kModel}", "messages": [{"role": "user", "content": "${marker()}"`],
    ['/v1/embeddings', { model: kModel, input: marker() }],
  ];
  for (const [where, body] of wrong) {
    const { status } = await exchange(stack.origin + where, { key: secret, body });
    assert.ok(status >= 400 && status < 500, `${where}: ${status}`);
  }
  await settled();
  const all = await until('every request id to be in the gateway\'s log and in the databases', 60, () => {
    const found = written();
    const log = Buffer.concat(found.logs.filter(([name]) => path.basename(name) === 'gateway.log').map(([, bytes]) => bytes));
    return ids.every((id) => log.includes(id) && found.database[0][1].includes(id)) && found;
  });

  const places = [...all.logs, ...all.journal, ...all.database];
  for (const secretText of [secret, ...markers]) {
    assert.deepEqual(places.filter(([, bytes]) => bytes.includes(secretText)).map(([name]) => name), [], secretText);
  }
  for (const name of kProcesses) {
    const [, bytes] = all.logs.find(([file]) => path.basename(file) === `${name}.log`) ?? [];
    assert.ok(bytes?.includes('"event"'), `${name}.log holds no event`);
  }
  assert.ok(all.journal.some(([, bytes]) => bytes.length > 0), 'the journal is read');
});
