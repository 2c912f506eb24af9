// kill -9 of every process at random points under load: everything comes back, no finished request is missing or
// billed twice, and the books still balance. TIDEGATE_KILLS sets how often each process dies (20).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import OpenAI from 'openai';
import { allUsage, pico, settled, stack, until, wallet } from './stack.mjs';

const kKills = Number(process.env.TIDEGATE_KILLS ?? 20);
const kClients = 12;
const seed = Number(process.env.TIDEGATE_SEED ?? Date.now() % 1e6);

/** mulberry32: one seed replays the schedule of kills. */
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const postmaster = () => Number(fs.readFileSync(`${fs.realpathSync(`${stack.folder}/pg-data`)}/postmaster.pid`, 'utf8').split('\n')[0]);
const victims = {
  gateway: () => stack.pid('gateway'),
  worker: () => stack.workerPids()[0],
  billing: () => stack.pid('billing'),
  postgres: () => postmaster(),
};

test(`kill -9 of gateway, worker, billing and PostgreSQL, ${kKills} times each, under load`, async () => {
  console.log(`seed ${seed}`);
  const next = random(seed);
  const tenant = `crash${Date.now().toString(36)}`;
  await stack.cli('tenant', 'create', tenant);
  await stack.cli('project', 'create', 'main', '--tenant', tenant);
  const { secret } = await stack.cli('key', 'create', '--tenant', tenant, '--project', 'main');
  await stack.cli('wallet', 'top-up', tenant, '50');
  const client = new OpenAI({ apiKey: secret, baseURL: stack.baseUrl, maxRetries: 0, timeout: 60_000 });
  await until('the new key', 5, () => client.models.list());
  const before = await wallet(tenant);

  const finished = new Map();
  let failed = 0;
  let running = true;
  const ask = async (index) => {
    const body = {
      model: 'tang-moe', max_tokens: 8 + Math.floor(next() * 24), seed: Math.floor(next() * 1e6),
      messages: [{ role: 'user', content: `写一首关于雪的五言绝句。${index}` }],
    };
    if (index % 3 === 0) {
      const { data, response } = await client.chat.completions.create(body).withResponse();
      finished.set(response.headers.get('x-request-id'), data.usage);
      return;
    }
    const { data: stream, response } = await client.chat.completions.create({ ...body, stream: true, stream_options: { include_usage: true } }).withResponse();
    let usage = null;
    let reason = null;
    for await (const chunk of stream) {
      if (chunk.usage) usage = chunk.usage;
      reason ??= chunk.choices[0]?.finish_reason;
    }
    if (usage && reason) finished.set(response.headers.get('x-request-id'), usage);
  };
  const loops = Array.from({ length: kClients }, async (_, lane) => {
    for (let index = lane; running; index += kClients) {
      try {
        await ask(index);
      } catch {
        failed += 1;
        await new Promise((done) => setTimeout(done, 50));
      }
    }
  });

  const progress = async (count) => {
    const goal = finished.size + count;
    await until(`${count} more finished requests`, 60, () => finished.size >= goal);
  };
  await progress(10);
  let kills = 0;
  const order = Object.keys(victims).flatMap((name) => Array(kKills).fill(name));
  for (let i = order.length - 1; i > 0; --i) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  for (const name of order) {
    const pid = await until(`${name}'s pid`, 30, () => victims[name]());
    await progress(1 + Math.floor(next() * 8));
    try {
      process.kill(pid, 'SIGKILL');
      kills += 1;
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
    await until(`${name} to be another process`, 60, () => { const now = victims[name](); return now && now !== pid; });
    await progress(2);
  }
  running = false;
  await Promise.all(loops);

  await until('every finished request to be billed', 120, async () => {
    await settled();
    const billed = new Set((await allUsage('--tenant', tenant)).map((row) => row.event.request_id));
    return [...finished.keys()].every((id) => billed.has(id));
  });
  const rows = await allUsage('--tenant', tenant);
  const byId = new Map(rows.map((row) => [row.event.request_id, row]));
  assert.equal(byId.size, rows.length, 'a request billed twice');
  for (const [id, usage] of finished) {
    const row = byId.get(id);
    assert.ok(row, `finished request ${id} is not billed`);
    assert.equal(row.event.completion_tokens, usage.completion_tokens);
    assert.equal(row.event.amount, usage.cost_details.amount);
  }
  const charged = rows.reduce((sum, row) => sum + pico(row.event.amount), 0n);
  const after = await wallet(tenant);
  assert.equal(pico(before.balance) - pico(after.balance), charged);
  const report = await stack.cli('reconcile');
  assert.equal(report.differences, 0, JSON.stringify(report.checks.filter((check) => check.differences > 0)));
  console.log(`${kills} kills (${kKills} each of ${Object.keys(victims).join(', ')}): ${finished.size} finished requests, ${failed} failed visibly, ` +
    `${rows.length} billed, 0 missing, 0 doubled, reconcile 0 differences`);
});
