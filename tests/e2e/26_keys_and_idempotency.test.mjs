// Keys by scope, source and rotation; people by role and tenant; one charge for one Idempotency-Key, whatever fails.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { allUsage, bound, patiently, pico, settled, stack, until } from './stack.mjs';
import { family, kill, pidOf, reborn } from './victims.mjs';

const unique = () => `k${Date.now().toString(36)}${Math.floor(Math.random() * 1e4)}`;
const ask = (more = {}) => ({ model: 'tang-moe', messages: [{ role: 'user', content: 'hello' }], max_tokens: 6, ...more });

async function newTenant(...keyOptions) {
  const name = unique();
  await stack.cli('tenant', 'create', name);
  await stack.cli('project', 'create', 'main', '--tenant', name);
  await stack.cli('wallet', 'top-up', name, '1');
  const { key, secret } = await stack.cli('key', 'create', '--tenant', name, '--project', 'main', ...keyOptions);
  return { name, key, secret };
}

/** One exchange: status, headers, the whole body as text, and its error's code if it is an error. */
async function call(method, where, { secret, body, headers = {}, fetcher = patiently } = {}) {
  const response = await fetcher(`${stack.origin}${where}`, {
    method,
    headers: { Authorization: `Bearer ${secret}`, ...(body ? { 'Content-Type': 'application/json' } : {}), ...headers },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(120_000),
  });
  const text = await response.text();
  let code;
  try { code = JSON.parse(text).error?.code; } catch { code = undefined; }
  return { status: response.status, headers: response.headers, text, code };
}
const models = (secret, headers) => call('GET', '/v1/models', { secret, headers });
const chat = (secret, body, headers) => call('POST', '/v1/chat/completions', { secret, body, headers });
const once = (secret, body, key) => chat(secret, body, { 'Idempotency-Key': key });

/** The key has reached the gateway: it answers anything but 401. */
const known = (secret) => until('the key to be known', 5, async () => (await models(secret)).status !== 401);
const charged = async (tenant) => {
  await settled();
  return (await allUsage('--tenant', tenant)).filter((row) => pico(row.event.amount) > 0n);
};

test('a key is for its scopes', async () => {
  const { secret } = await newTenant('--scopes', 'models');
  await known(secret);
  assert.equal((await models(secret)).status, 200);
  const refused = await chat(secret, ask());
  assert.equal(refused.status, 403);
  assert.equal(refused.code, 'scope_not_allowed');
  assert.match(refused.text, /models/);
});

test('a key is for its source addresses, and a header makes nobody another', async () => {
  const here = await newTenant('--sources', '127.0.0.0/8,::1');
  const elsewhere = await newTenant('--sources', '203.0.113.0/24');
  await known(here.secret);
  await known(elsewhere.secret);
  assert.equal((await models(here.secret)).status, 200);
  for (const headers of [{}, { 'X-Forwarded-For': '203.0.113.7' }]) {
    const refused = await models(elsewhere.secret, headers);
    assert.equal(refused.status, 403);
    assert.equal(refused.code, 'source_not_allowed');
  }
});

test('a slip in a range is refused with what was meant', async () => {
  await assert.rejects(newTenant('--sources', '10.1.2.3/8'), /10\.0\.0\.0\/8/);
  await assert.rejects(newTenant('--scopes', 'everything'), /scopes|everything/);
});

test('a rotated key goes on for its overlap and its successor has its rights', async () => {
  const { key, secret } = await newTenant('--scopes', 'models', '--sources', '127.0.0.0/8');
  const rotated = await stack.cli('key', 'rotate', key.public_id, '--overlap', '24h');
  await known(rotated.secret);
  assert.equal((await models(secret)).status, 200, 'the old one goes on');
  assert.equal((await models(rotated.secret)).status, 200);
  assert.equal((await chat(rotated.secret, ask())).code, 'scope_not_allowed');
  assert.deepEqual(rotated.key.sources, key.sources);
  assert.equal(rotated.replaced.replaced_by, rotated.key.key_id);
  await assert.rejects(stack.cli('key', 'rotate', key.public_id, '--overlap', '1h'), /already_rotated/);

  const at_once = await stack.cli('key', 'rotate', rotated.key.key_id, '--overlap', '0');
  await known(at_once.secret);
  await until('the old key to end', 5, async () => (await models(rotated.secret)).status === 401);
  assert.equal((await models(at_once.secret)).status, 200);
});

test('people have roles and tenants', async () => {
  const { name } = await newTenant();
  const as = async (...options) => {
    const { secret, key } = await stack.cli('admin-key', 'create', ...options);
    const file = path.join(stack.folder, `endpoint-${key.public_id}.json`);
    fs.writeFileSync(file, JSON.stringify({ ...stack.endpoint, admin_key: secret }), { mode: 0o600 });
    return { key, run: (...words) => stack.cli(...words, '--endpoint', file) };
  };
  const viewer = await as('--role', 'viewer', '--tenant', name);
  assert.deepEqual((await viewer.run('tenant', 'list')).tenants.map((tenant) => tenant.name), [name]);
  assert.equal((await viewer.run('key', 'list')).keys.length, 1);
  await assert.rejects(viewer.run('key', 'create', '--tenant', name, '--project', 'main'), /role_not_allowed/);
  const owner = await as('--role', 'owner', '--tenant', name);
  assert.ok((await owner.run('key', 'create', '--tenant', name, '--project', 'main')).secret);
  await assert.rejects(owner.run('wallet', 'top-up', name, '1000'), /tenant_not_allowed/);
  await assert.rejects(owner.run('key', 'create', '--tenant', 'demo', '--project', 'default'), /unknown_tenant/);
  const accountant = await as('--role', 'billing');
  await accountant.run('wallet', 'top-up', name, '1');
  await stack.cli('admin-key', 'revoke', viewer.key.public_id);
  await assert.rejects(viewer.run('tenant', 'list'), /bad_token/);
  const audit = JSON.stringify(await stack.cli('audit', 'list', '--limit', '1000'));
  assert.ok(audit.includes(`admin/${owner.key.public_id}`));
});

test('a repeated request is the same answer and one charge', async () => {
  const { name, secret } = await newTenant();
  await known(secret);
  for (const body of [ask(), ask({ stream: true, stream_options: { include_usage: true } })]) {
    const key = randomUUID();
    const first = await once(secret, body, key);
    assert.equal(first.status, 200, first.text);
    assert.equal(first.headers.get('idempotent-replayed'), null);
    for (let i = 0; i < 3; i += 1) {
      const again = await once(secret, body, key);
      assert.equal(again.status, 200);
      assert.equal(again.text, first.text);
      assert.equal(again.headers.get('content-type'), first.headers.get('content-type'));
      assert.equal(again.headers.get('x-request-id'), first.headers.get('x-request-id'));
      assert.equal(again.headers.get('idempotent-replayed'), 'true');
    }
  }
  assert.equal((await charged(name)).length, 2);
});

test('of many at once one runs, and the others wait or get its answer', async () => {
  const { name, secret } = await newTenant();
  await known(secret);
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 24 }, async () => {
    for (;;) {
      const answer = await once(secret, ask({ stream: true }), key);
      if (answer.status !== 409) return answer;
      assert.equal(answer.code, 'idempotency_in_flight');
      assert.ok(Number(answer.headers.get('retry-after')) >= 1);
      await new Promise((done) => setTimeout(done, 100));
    }
  }));
  assert.deepEqual([...new Set(answers.map(({ status, text }) => `${status} ${text}`))].length, 1);
  assert.equal(answers.filter(({ headers }) => headers.get('idempotent-replayed') === null).length, 1);
  assert.equal((await charged(name)).length, 1);
});

test('a key is for one request', async () => {
  const { secret } = await newTenant();
  await known(secret);
  const key = randomUUID();
  assert.equal((await once(secret, ask(), key)).status, 200);
  const other = await once(secret, ask({ max_tokens: 5 }), key);
  assert.equal(other.status, 400);
  assert.equal(other.code, 'idempotency_mismatch');
  assert.equal(JSON.parse(other.text).error.param, 'Idempotency-Key');
  assert.equal((await once(secret, ask(), 'k'.repeat(256))).status, 400);
});

test('what was refused before any charge may be tried again with the same key', async () => {
  const { secret } = await newTenant();
  await known(secret);
  const key = randomUUID();
  assert.equal((await once(secret, ask({ temperature: 9 }), key)).status, 400);
  assert.equal((await once(secret, ask({ model: 'no-such-model' }), key)).status, 404);
  assert.equal((await once(secret, ask(), key)).status, 200);
});

test('a client that left finds its answer', async () => {
  const { name, secret } = await newTenant();
  await known(secret);
  const key = randomUUID();
  const body = ask({ max_tokens: 64, stream: true });
  const left = new AbortController();
  const response = await fetch(`${stack.origin}/v1/chat/completions`, {
    method: 'POST', signal: left.signal, body: JSON.stringify(body),
    headers: { Authorization: `Bearer ${secret}`, 'Content-Type': 'application/json', 'Idempotency-Key': key },
  });
  await response.body.getReader().read();
  left.abort();
  const found = await until('the whole answer', 60, async () => {
    const again = await once(secret, body, key);
    return again.status === 200 && again;
  });
  assert.equal(found.headers.get('idempotent-replayed'), 'true');
  assert.ok(found.text.endsWith('data: [DONE]\n\n'), found.text.slice(-200));
  assert.equal((await charged(name)).length, 1);
});

test('without Redis a request with the header is refused at once, and others are served', async () => {
  const { name, secret } = await newTenant();
  await known(secret);
  const pids = family(await pidOf('redis'));
  for (const pid of pids) kill(pid, 'SIGSTOP');
  try {
    const began = Date.now();
    const headers = { 'Idempotency-Key': randomUUID() };
    const refused = await call('POST', '/v1/chat/completions', { secret, body: ask(), headers, fetcher: fetch });
    assert.equal(refused.status, 503);
    assert.equal(refused.code, 'idempotency_unavailable');
    assert.ok(refused.headers.get('retry-after'));
    assert.ok(Date.now() - began < bound(3000), `${Date.now() - began} ms`);
    assert.equal((await chat(secret, ask())).status, 200);
  } finally {
    for (const pid of pids.reverse()) kill(pid, 'SIGCONT');
  }
  await until('Redis to serve again', 20, async () => (await once(secret, ask(), randomUUID())).status === 200);
  assert.equal((await charged(name)).length, 2);
});

test('a gateway that dies in the middle of an answer leaves one charge and a repeat that says so', async () => {
  const { name, secret } = await newTenant();
  await known(secret);
  const key = randomUUID();
  const body = ask({ max_tokens: 400, stream: true });
  const response = await fetch(`${stack.origin}/v1/chat/completions`, {
    method: 'POST', body: JSON.stringify(body),
    headers: { Authorization: `Bearer ${secret}`, 'Content-Type': 'application/json', 'Idempotency-Key': key },
  });
  await response.body.getReader().read();
  const pid = await pidOf('gateway');
  kill(pid);
  await reborn('gateway', pid);
  const told = await until('a last word on the key', 90, async () => {
    const again = await once(secret, body, key);
    return ![401, 409, 503].includes(again.status) && again;
  });
  if (told.status === 200) {
    assert.equal(told.headers.get('idempotent-replayed'), 'true', 'it was through before the gateway died');
  } else {
    assert.equal(told.status, 410, told.text);
    assert.equal(told.code, 'idempotency_outcome_unknown');
    assert.equal(told.headers.get('x-should-retry'), 'false');
  }
  assert.ok((await charged(name)).length <= 1);
});
