// 200 concurrent streams with mixed cancels: what was answered is what was rated, posted and taken from the wallet.
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { allUsage, pico, settled, stack, until, wallet } from './stack.mjs';

const kStreams = 200;

test('200 concurrent streams with cancels: usage answered = rated lines = ledger = wallet, to the pico-unit', async () => {
  const tenant = `streams${Date.now().toString(36)}`;
  await stack.cli('tenant', 'create', tenant);
  await stack.cli('project', 'create', 'main', '--tenant', tenant);
  const { secret } = await stack.cli('key', 'create', '--tenant', tenant, '--project', 'main');
  await stack.cli('wallet', 'top-up', tenant, '5');
  // A line that stands may refuse the last of them (503): they come back when they are told to.
  const client = new OpenAI({ apiKey: secret, baseURL: stack.baseUrl, maxRetries: 20, timeout: 120_000 });
  await until('the new key', 5, () => client.models.list());
  const before = await wallet(tenant);

  const answered = new Map();
  let cancelled = 0;
  const one = async (index) => {
    const cancelAfter = index % 4 === 3 ? 1 + (index % 9) : Infinity;
    const abort = new AbortController();
    const { data: stream, response } = await client.chat.completions.create({
      model: 'tang-moe', stream: true, stream_options: { include_usage: true }, max_tokens: 24 + (index % 17), seed: index,
      messages: [{ role: 'user', content: `写一首关于月的五言绝句。${index}` }],
    }, { signal: abort.signal }).withResponse();
    const id = response.headers.get('x-request-id');
    let chunks = 0;
    let usage = null;
    try {
      for await (const chunk of stream) {
        if (chunk.usage) usage = chunk.usage;
        chunks += 1;
        if (chunks >= cancelAfter) {
          cancelled += 1;
          abort.abort();
          break;
        }
      }
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    }
    answered.set(id, usage);
  };
  await Promise.all(Array.from({ length: kStreams }, (_, index) => one(index)));
  assert.equal(answered.size, kStreams);
  assert.ok(cancelled >= kStreams / 10);

  const rows = await until('every request to be billed', 60, async () => {
    await settled();
    const found = (await allUsage('--tenant', tenant));
    return found.length >= kStreams ? found : null;
  });
  assert.equal(rows.length, kStreams, 'one bill a request');
  let lines = 0n;
  let answeredTotal = 0n;
  let ratedForAnswered = 0n;
  for (const row of rows) {
    const sum = row.lines.reduce((total, line) => total + pico(line.amount), 0n);
    assert.equal(sum, pico(row.event.amount));
    lines += sum;
    const usage = answered.get(row.event.request_id);
    assert.notEqual(usage, undefined, 'a bill for a request nobody made');
    if (!usage) continue;
    assert.equal(row.event.prompt_tokens, usage.prompt_tokens);
    assert.equal(row.event.completion_tokens, usage.completion_tokens);
    assert.equal(row.event.reasoning_tokens, usage.completion_tokens_details.reasoning_tokens);
    answeredTotal += pico(usage.cost_details.amount);
    ratedForAnswered += sum;
  }
  const ledger = (await stack.cli('ledger', '--tenant', tenant, '--limit', '1000')).transactions
    .filter((tx) => tx.source_type === 'usage_batch').flatMap((tx) => tx.entries)
    .filter((entry) => entry.account.includes('revenue')).reduce((total, entry) => total - pico(entry.amount), 0n);
  const after = await wallet(tenant);
  const spent = pico(before.balance) - pico(after.balance);
  assert.equal(answeredTotal, ratedForAnswered);
  assert.equal(lines, ledger);
  assert.equal(lines, spent);
  const report = await stack.cli('reconcile');
  assert.equal(report.differences, 0, JSON.stringify(report.checks));
  console.log(`${kStreams} streams, ${cancelled} cancelled: rated ${lines} pico, ledger ${ledger} pico, wallet ${spent} pico, difference ${lines - spent} pico`);
});
