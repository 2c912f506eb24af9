// Limits on rates as an administrator sets them and a client meets them.
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { patiently, stack, until } from './stack.mjs';

const unique = () => `l${Date.now().toString(36)}${Math.floor(Math.random() * 1e4)}`;
const ask = { model: 'tang-moe', messages: [{ role: 'user', content: 'hello' }], max_tokens: 4 };

async function newTenant() {
  const name = unique();
  await stack.cli('tenant', 'create', name);
  await stack.cli('project', 'create', 'main', '--tenant', name);
  const { key, secret } = await stack.cli('key', 'create', '--tenant', name, '--project', 'main');
  await stack.cli('wallet', 'top-up', name, '1');
  const client = new OpenAI({ apiKey: secret, baseURL: stack.baseUrl, maxRetries: 0, fetch: patiently });
  await until('the new key to be known', 5, () => client.chat.completions.create(ask));
  return { name, key, client };
}

const raw = (tenant) => tenant.client.chat.completions.create(ask).withResponse();

test('a limit on requests has headers, then a 429 that says when to come back; removing it opens the door', async () => {
  const tenant = await newTenant();
  const limit = await stack.cli('limit', 'set', tenant.name, '--key', tenant.key.public_id, '--rpm', '3');
  const headers = await until('the limit to bind', 5, async () => {
    const { response } = await raw(tenant);
    return response.headers.get('x-ratelimit-limit-requests') ? response.headers : false;
  });
  assert.equal(headers.get('x-ratelimit-limit-requests'), '3');
  assert.match(headers.get('x-ratelimit-reset-requests'), /^(\d+m)?\d+m?s$/);
  let refused;
  let admitted = 0;
  // The minute may turn once in between: three more at most.
  for (let i = 0; i < 8 && !refused; ++i) {
    try {
      await raw(tenant);
      admitted += 1;
    } catch (error) {
      refused = error;
    }
  }
  assert.ok(refused instanceof OpenAI.RateLimitError, `${admitted} were let in`);
  assert.ok(admitted <= 5);
  assert.equal(refused.code, 'rate_limit_exceeded');
  const wait = Number(refused.headers['retry-after'] ?? refused.headers.get?.('retry-after'));
  assert.ok(wait >= 1 && wait <= 60, `Retry-After ${wait}`);
  await stack.cli('limit', 'remove', limit.limit_id);
  await until('the limit to be gone', 5, async () => {
    try {
      await raw(tenant);
      return true;
    } catch {
      return false;
    }
  });
  assert.equal((await stack.cli('limit', 'list', tenant.name)).limits?.length ?? 0, 0);
});

test('a limit on requests at once is free again when they have ended', async () => {
  const tenant = await newTenant();
  await stack.cli('limit', 'set', tenant.name, '--concurrency', '1');
  await until('the limit to bind', 5, async () => (await raw(tenant)).response.headers.get('x-ratelimit-limit-concurrency') === '1');
  const answers = await Promise.allSettled(Array.from({ length: 6 }, () => tenant.client.chat.completions.create({ ...ask, max_tokens: 64 })));
  assert.ok(answers.some((each) => each.status === 'fulfilled'));
  for (const each of answers) if (each.status === 'rejected') assert.equal(each.reason.code, 'rate_limit_exceeded');
  await until('the slot to be free', 5, async () => {
    try {
      await raw(tenant);
      return true;
    } catch {
      return false;
    }
  });
});
