// The promises of deploy/up: a second run is quick and doubles nothing, its answer is machine-readable too.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import { kSlowness, root, settled, stack, until, wallet } from './stack.mjs';

test('deploy/up again takes under 30 s and doubles nothing', async () => {
  await settled();
  await until('what other files deployed to be gone', 60, async () =>
    (await stack.cli('deploy', 'list')).deployments.every(({ name }) => name === 'tang-moe'));
  const before = {
    tenants: (await stack.cli('tenant', 'list')).tenants.length,
    prices: (await stack.cli('price', 'list')).prices.length,
    deployments: (await stack.cli('deploy', 'list')).deployments.length,
    pids: ['postgres', 'redis', 'billing', 'scheduler', 'gateway'].map((name) => stack.pid(name)),
    credited: await credited(),
  };
  let began;
  const text = await until('its end', 30, () => { // it has limits in time of its own
    began = Date.now();
    return execFileSync(path.join(root, 'deploy/up'), { env: process.env, stdio: ['ignore', 'pipe', 'inherit'] }).toString();
  });
  const seconds = (Date.now() - began) / 1000;
  assert.ok(seconds < 30 * kSlowness, `took ${seconds} s`);
  assert.match(text, /^cost +\d+\.\d+ USD$/m);
  assert.match(text, /^price +band \S+/m);
  assert.match(text, /^reconcile: 0 differences$/m);
  const after = {
    tenants: (await stack.cli('tenant', 'list')).tenants.length,
    prices: (await stack.cli('price', 'list')).prices.length,
    deployments: (await stack.cli('deploy', 'list')).deployments.length,
    pids: ['postgres', 'redis', 'billing', 'scheduler', 'gateway'].map((name) => stack.pid(name)),
    credited: await credited(),
  };
  assert.deepEqual(after, before);
  console.log(`second deploy/up: ${seconds.toFixed(1)} s`);
});

async function credited() {
  const { transactions } = await stack.cli('ledger', '--tenant', 'demo', '--limit', '1000');
  return transactions.filter((tx) => tx.source_type === 'top_up').length;
}

test('var/endpoint.json names what a program needs', () => {
  for (const key of ['base_url', 'grpc', 'api_key', 'admin_key']) assert.ok(stack.endpoint[key], key);
});

test('the demo wallet reads back', async () => {
  assert.match((await wallet('demo')).balance, /^\d+(\.\d+)?$/);
});
