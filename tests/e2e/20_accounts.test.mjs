// Keys, limits of money, and what an administrator does.
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { patiently, pico, settled, stack, until, wallet } from './stack.mjs';

const unique = () => `t${Date.now().toString(36)}${Math.floor(Math.random() * 1e4)}`;
const ask = { model: 'tang-moe', messages: [{ role: 'user', content: 'hello' }], max_tokens: 4 };

async function newTenant(credit) {
  const name = unique();
  await stack.cli('tenant', 'create', name);
  await stack.cli('project', 'create', 'main', '--tenant', name);
  const { key, secret } = await stack.cli('key', 'create', '--tenant', name, '--project', 'main');
  if (credit) await stack.cli('wallet', 'top-up', name, credit);
  return { name, key, secret, client: new OpenAI({ apiKey: secret, baseURL: stack.baseUrl, maxRetries: 0, fetch: patiently }) };
}

test('a new key works within seconds and a revoked one stops within five', async () => {
  const tenant = await newTenant('1');
  await until('the new key to be known', 5, () => tenant.client.chat.completions.create(ask));
  await stack.cli('key', 'revoke', tenant.key.key_id);
  const revoked = Date.now();
  await until('the revocation', 5, async () => {
    try {
      await tenant.client.chat.completions.create(ask);
      return false;
    } catch (error) {
      return error instanceof OpenAI.AuthenticationError;
    }
  });
  console.log(`revocation took effect after ${Date.now() - revoked} ms`);
});

test('an empty wallet answers 402, and a top-up opens it', async () => {
  const tenant = await newTenant();
  await until('402', 10, async () => {
    try {
      await tenant.client.chat.completions.create(ask);
      return false;
    } catch (error) {
      return error.status === 402 && error.error?.code === 'insufficient_balance';
    }
  });
  await stack.cli('wallet', 'top-up', tenant.name, '1');
  await until('the top-up to be seen', 10, () => tenant.client.chat.completions.create(ask));
});

test('a top-up with the same id credits once', async () => {
  const tenant = await newTenant();
  const id = '0198f000-0000-7000-8000-00000000' + Math.floor(Math.random() * 0xffff).toString(16).padStart(4, '0');
  await stack.cli('wallet', 'top-up', tenant.name, '2.5', '--id', id);
  await stack.cli('wallet', 'top-up', tenant.name, '2.5', '--id', id);
  assert.equal((await wallet(tenant.name)).balance, '2.5');
});

test('spending never passes the balance, however many ask at once', async () => {
  const tenant = await newTenant('0.00005');  // sixty answers of four tokens cost more, however much of them is cached
  await until('the key', 5, async () => {
    try {
      await tenant.client.chat.completions.create(ask);
      return true;
    } catch (error) {
      return error.status === 402;
    }
  });
  const results = await Promise.allSettled(Array.from({ length: 60 }, () => tenant.client.chat.completions.create(ask)));
  const refused = results.filter((result) => result.status === 'rejected');
  assert.ok(refused.length > 0, 'the wallet was never empty');
  assert.ok(refused.every(({ reason }) => reason.status === 402), refused.map(({ reason }) => reason.status).join(' '));
  await settled();
  assert.ok(pico((await wallet(tenant.name)).balance) >= 0n);
});

test('a key limited to some models is refused others', async () => {
  const name = unique();
  await stack.cli('tenant', 'create', name);
  await stack.cli('project', 'create', 'main', '--tenant', name);
  await stack.cli('wallet', 'top-up', name, '1');
  const { secret } = await stack.cli('key', 'create', '--tenant', name, '--project', 'main', '--models', 'another-model');
  const client = new OpenAI({ apiKey: secret, baseURL: stack.baseUrl, maxRetries: 0 });
  await until('403', 5, async () => {
    try {
      await client.chat.completions.create(ask);
      return false;
    } catch (error) {
      return error.status === 403 || error.status === 404;
    }
  });
});

test('a tenant whose regions do not have the model answers 403 and says which', async () => {
  const tenant = await newTenant('1');
  await until('the key', 5, () => tenant.client.chat.completions.create(ask));
  await stack.cli('tenant', 'regions', tenant.name, '--allow', 'mars-1,mars-2');
  await until('403', 5, async () => {
    try {
      await tenant.client.chat.completions.create(ask);
      return false;
    } catch (error) {
      return error.status === 403 && error.error?.code === 'region_not_allowed' && error.message.includes("'mars-1', 'mars-2'");
    }
  });
  await stack.cli('tenant', 'regions', tenant.name, '--allow', 'any');
  await until('an answer again', 5, () => tenant.client.chat.completions.create(ask));
});

test('a suspended tenant answers 403 and comes back', async () => {
  const tenant = await newTenant('1');
  await until('the key', 5, () => tenant.client.chat.completions.create(ask));
  await stack.cli('tenant', 'suspend', tenant.name);
  await until('403', 5, async () => {
    try {
      await tenant.client.chat.completions.create(ask);
      return false;
    } catch (error) {
      return error.status === 403;
    }
  });
  await stack.cli('tenant', 'resume', tenant.name);
  await until('service again', 5, () => tenant.client.chat.completions.create(ask));
});
