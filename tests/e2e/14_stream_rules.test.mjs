// Random valid requests over all dialects, from clients that read, read slowly, leave, or want the whole at once: every
// stream obeys every rule of its dialect, and what was told is what is billed. TIDEGATE_GENERATIONS sets how many (300; a
// full run has 10000), TIDEGATE_CLIENTS how many at once (12), TIDEGATE_SEED replays a run.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { generation, shaped, wholeRules } from './generations.mjs';
import { random } from './load.mjs';
import { pause } from './pace.mjs';
import { allUsage, kSlowness, settled, stack, until } from './stack.mjs';
import { customer } from './tenants.mjs';
import { exchange, jsonOf } from './wire.mjs';

const kGenerations = Number(process.env.TIDEGATE_GENERATIONS ?? 300);
const kClients = Number(process.env.TIDEGATE_CLIENTS ?? 12);
const kContext = 1024;
const kModel = 'tang-moe';
const kShapedModel = 'sim-fast'; // calls what must be called and keeps every format
const seed = Number(process.env.TIDEGATE_SEED ?? Date.now() % 1e6);

before(async () => {
  await stack.cli('deploy', 'apply', 'shapes', '--model', kShapedModel, '--variant', 'sim', '--sequences', '16', '--options',
    'sim.step_ms=1,sim.prefill_tokens_per_s=10000000,sim.reasoning_tokens=4,sim.content_tokens=8');
  const body = { model: kShapedModel, messages: [{ role: 'user', content: 'a' }] };
  await until('sim-fast to answer', 60, async () => (await exchange(`${stack.origin}/v1/chat/completions`, { key: stack.apiKey, body })).status === 200);
});
after(async () => stack.cli('deploy', 'delete', 'shapes'));

/** One request as its client behaves; resolves to { seen, rules, left }. */
async function live(generated, secret, next) {
  const { client, path, body, Rules, asked, patience } = generated;
  let rules = new Rules(asked);
  let leaving = new AbortController();
  let parts = 0;
  const onPart = (part, response) => {
    rules.feed(part);
    parts += 1;
    if (client === 'leaves' && parts > patience) leaving.abort();
    if (client === 'slow') {
      response.pause();
      void pause(next() * 60).then(() => response.resume());
    }
  };
  for (let left = kSlowness > 1 ? 30 : 0; ; --left) {
    const seen = await exchange(stack.origin + path, {
      key: secret, body, signal: AbortSignal.any([leaving.signal, AbortSignal.timeout(120_000)]), ...(client !== 'whole' && { onPart }),
    });
    if (seen.status !== 503 || left === 0) return { seen, rules, left: leaving.signal.aborted };
    // A machine that stood still: nothing has begun.
    await pause(1000 * Number(seen.headers['retry-after'] ?? 1));
    [rules, leaving, parts] = [new Rules(asked), new AbortController(), 0];
  }
}

/** What is wrong with it; null if nothing. */
function judge(generated, { seen, rules, left }) {
  if (left) return rules.end({ left }).length > 0 ? rules.broken : null;
  if (seen.error) return [{ rule: 'transport', detail: String(seen.error) }];
  if (seen.status !== 200) return [{ rule: 'status', detail: `${seen.status} ${seen.body}` }];
  if (generated.client === 'whole') {
    if (seen.headers['content-type'] !== 'application/json') return [{ rule: 'media-type', detail: seen.headers['content-type'] }];
    const whole = wholeRules(generated, jsonOf(seen));
    return whole.end().length > 0 ? whole.broken : null;
  }
  if (seen.headers['content-type'] !== 'text/event-stream; charset=utf-8') return [{ rule: 'media-type', detail: seen.headers['content-type'] }];
  rules.end();
  if (rules.error) return [{ rule: 'error', detail: JSON.stringify(rules.error) }]; // nothing was broken on purpose here
  return rules.broken.length > 0 ? rules.broken : null;
}

test(`${kGenerations} generations in all dialects obey the rules of their streams`, async () => {
  console.log(`seed ${seed}`);
  const next = random(seed);
  const nextShape = random(seed + 1);
  const { name, secret } = await customer('generations', { credit: '500' });
  const list = Array.from({ length: kGenerations }, () => shaped(generation(next, kModel, kContext), nextShape, kShapedModel));
  const told = new Map(); // request id -> { usage, reason }
  const counts = {};
  const wrong = [];
  const queue = list.entries();
  await Promise.all(Array.from({ length: kClients }, async () => {
    for (const [index, generated] of queue) {
      const lived = await live(generated, secret, Math.random);
      const { seen, left } = lived;
      const problems = judge(generated, lived);
      if (problems) wrong.push({ index, problems: problems.slice(0, 3), client: generated.client, path: generated.path, body: generated.body, end: seen.body.toString().slice(-600) });
      const label = `${generated.dialect} ${left ? 'left' : generated.client}`;
      counts[label] = (counts[label] ?? 0) + 1;
      const { usage, reason } = generated.client === 'whole' && seen.status === 200 ? wholeRules(generated, jsonOf(seen)) : lived.rules;
      if (!left && usage && !problems) told.set(seen.headers['x-request-id'], { usage, reason });
      if ((index + 1) % 1000 === 0) console.log(`${index + 1} generations, ${wrong.length} against a rule`);
    }
  }));
  for (const each of wrong.slice(0, 5)) console.log(JSON.stringify(each, null, 1));
  assert.equal(wrong.length, 0, `${wrong.length} of ${kGenerations} broke a rule; seed ${seed}`);
  assert.ok(told.size > kGenerations / 4);

  const rows = await until('everything that was told to be billed', 120, async () => {
    await settled();
    const found = new Map((await allUsage('--tenant', name)).map((row) => [row.event.request_id, row.event]));
    return [...told.keys()].every((id) => found.has(id)) && found;
  });
  for (const [id, { usage, reason }] of told) {
    const event = rows.get(id);
    assert.deepEqual([event.prompt_tokens, event.completion_tokens, event.reasoning_tokens, event.amount], [usage.prompt, usage.completion, usage.reasoning, usage.amount], id);
    assert.equal(event.finish_reason, ['length', 'tool_calls'].includes(reason) ? reason : 'stop', id);
  }
  const report = await stack.cli('reconcile');
  assert.equal(report.differences, 0, JSON.stringify(report.checks.filter((check) => check.differences > 0)));
  const summary = Object.entries(counts).sort().map(([label, count]) => `${count} ${label}`).join(', ');
  console.log(`${kGenerations} generations (${summary}): 0 broke a rule, ${told.size} told what they cost and billed that, reconcile 0 differences`);
});
