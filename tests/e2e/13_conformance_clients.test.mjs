// What unchanged clients make of this server: openai-node's iterator and its .stream() helper, @ai-sdk/deepseek,
// @ai-sdk/openai-compatible and @anthropic-ai/sdk. Their retries, time limits and aborts are their own; only the counting
// fetch under them is ours.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test, { after, before } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { answer, ask, askMessages, clients, counted, kModel, kPrompt, post } from './conform.mjs';
import { Fleet, kSim, replicas } from './fleet.mjs';
import { kSlowness, stack, until } from './stack.mjs';
import { customer } from './tenants.mjs';
import { family, kill, pidOf } from './victims.mjs';

// Answers that take ten seconds if nobody ends them: 200 words, one every 50 ms.
let fleet;
before(async () => {
  fleet = await Fleet.start('patience', { sequences: 16, options: { 'sim.step_ms': 50, 'sim.reasoning_tokens': 4, 'sim.content_tokens': 200 } });
});
after(() => fleet?.stop());
const long = (extra = {}) => ({ model: kSim, messages: [{ role: 'user', content: 'x' }], max_tokens: 300, ...extra });

/** The pid of the worker of the installation's own model, if it lives. */
const workerPid = () => replicas().find((each) => each.deployment === kModel && kill(each.pid, 0))?.pid;
const billOf = (id) => until(`the bill of ${id}`, 20, async () => (await stack.cli('usage', '--request', id)).rows[0]);

/** One request of the tenant at a time, and one that is under way until `release` is called. */
async function occupied() {
  const tenant = await customer('single', { credit: '1' });
  await stack.cli('limit', 'set', tenant.name, '--concurrency', '1');
  await until('the limit to bind', 10, async () => {
    const response = await post('/v1/chat/completions', long({ max_tokens: 1 }), { key: tenant.secret });
    await response.text();
    return response.headers.get('x-ratelimit-limit-concurrency') === '1';
  });
  const abort = new AbortController();
  const held = await until('the only place', 10, async () => {
    const response = await post('/v1/chat/completions', long({ stream: true }), { key: tenant.secret, signal: abort.signal });
    return response.status === 200 && response;
  });
  await held.body.getReader().read();
  return { ...tenant, release: () => abort.abort() };
}

test('clients: a whole stream is text and thinking to all four', async () => {
  const { openai, deepseek, compatible } = clients();
  const request = { max_tokens: 400, seed: 3 };
  const whole = (await openai.chat.completions.create(ask(request))).choices[0].message;
  const helped = await openai.chat.completions.stream(ask(request)).finalChatCompletion();
  assert.equal(helped.choices[0].message.content ?? '', whole.content);
  for (const model of [deepseek(kModel), compatible(kModel)]) {
    const result = streamText({ model, prompt: kPrompt, maxOutputTokens: 400, maxRetries: 0, seed: 3 });
    const kinds = new Set();
    for await (const part of result.fullStream) kinds.add(part.type);
    assert.ok(!kinds.has('error') && kinds.has('reasoning-delta'), [...kinds].join(' '));
    assert.ok((await result.reasoningText).length > 0);
    assert.ok((await result.usage).outputTokens > 0);
    const { text, reasoningText } = await generateText({ model, prompt: kPrompt, maxOutputTokens: 40, maxRetries: 0 });
    assert.ok(text.length + (reasoningText ?? '').length > 0);
  }
});

test('clients: a stream that is cut ends with an error that all four raise', async () => {
  const request = { max_tokens: 900, temperature: 1.5 };
  // A stream may end before its worker is killed: then that round proves nothing, and there is another.
  for (let round = 0; ; ++round) {
    const { openai, deepseek, compatible } = clients();
    const pid = await until('the worker of the model', 30, workerPid);
    let started = 0;
    const once = () => { let first = true; return () => { if (first) started += 1; first = false; }; };
    const iterator = async () => {
      const seen = once();
      for await (const chunk of await openai.chat.completions.create(ask({ stream: true, ...request }), { maxRetries: 0 })) {
        if (chunk.choices[0]?.delta) seen();
      }
    };
    const helper = () => openai.chat.completions.stream(ask(request), { maxRetries: 0 }).on('chunk', once()).finalChatCompletion();
    const sdk = async (model) => {
      const seen = once();
      const result = streamText({ model, prompt: kPrompt, maxOutputTokens: 900, temperature: 1.5, maxRetries: 0, onError: () => {} });
      let failed = null;
      for await (const part of result.fullStream) {
        if (part.type === 'reasoning-delta' || part.type === 'text-delta') seen();
        if (part.type === 'error') failed = part.error;
      }
      if (failed) throw failed;
    };
    const all = [iterator(), helper(), sdk(deepseek(kModel)), sdk(compatible(kModel))];
    const ended = Promise.allSettled(all);
    await Promise.race([ended, until('every stream to begin', 60, () => started === all.length).catch(() => {})]);
    kill(pid);
    const results = await ended;
    await until('another worker', 60, () => { const now = workerPid(); return now && now !== pid; });
    await until('the model to be served again', 60, async () => (await post('/v1/chat/completions', ask({ max_tokens: 1 }))).status === 200);
    if (results.every(({ status }) => status === 'rejected')) {
      assert.equal(results[0].reason.code, 'worker_lost');
      assert.ok(results[0].reason instanceof OpenAI.APIError);
      return;
    }
    assert.ok(round < 10, `some client took a cut stream for a whole one: ${results.map(({ status }) => status)}`);
  }
});

test('clients: a cut stream of Messages and of Responses is raised too', async () => {
  for (const name of ['messages', 'responses']) {
    const { openai, anthropic } = clients({ maxRetries: 0 });
    const stream = name === 'messages'
      ? await anthropic.messages.create(askMessages({ model: kSim, max_tokens: 300, stream: true }))
      : await openai.responses.create({ model: kSim, input: 'x', max_output_tokens: 300, stream: true });
    const pids = fleet.pids();
    let events = 0;
    await assert.rejects(async () => {
      for await (const event of stream) {
        assert.notEqual(event.type, 'message_stop');
        assert.notEqual(event.type, 'response.completed');
        if ((events += 1) === 6) for (const pid of pids) kill(pid);
      }
    }, (error) => error instanceof OpenAI.APIError || error instanceof Anthropic.APIError, name);
    await until('other workers', 60, () => fleet.pids().length > 0 && fleet.pids().every((pid) => !pids.includes(pid)));
    await until('the simulated model to be served again', 60, async () => (await post('/v1/chat/completions', long({ max_tokens: 1 }))).status === 200);
  }
});

test('clients: an empty wallet, an unknown model and a wrong field are tried once', async () => {
  const { secret } = await customer('poor');
  for (const [status, key, change] of [[402, secret, {}], [404, stack.apiKey, { model: 'tang-mo' }], [400, stack.apiKey, { temperature: 9 }]]) {
    const fetcher = counted();
    const { openai, anthropic, deepseek, compatible } = clients({ key, fetcher });
    await assert.rejects(openai.chat.completions.create(ask(change)), (error) => error.status === status);
    await assert.rejects(anthropic.messages.create(askMessages(change)), (error) => error.status === status);
    for (const provider of [deepseek, compatible]) {
      await assert.rejects(generateText({ model: provider(change.model ?? kModel), prompt: kPrompt, temperature: change.temperature }), (error) => error.statusCode === status);
    }
    assert.deepEqual(fetcher.statuses, Array(4).fill(status), `${status}: one try each`);
  }
});

test('clients: a reused Idempotency-Key is 400 and tried once', async () => {
  const headers = { 'Idempotency-Key': randomUUID() };
  await answer('/v1/chat/completions', ask({ max_tokens: 1 }), { headers });
  const fetcher = counted();
  await assert.rejects(clients({ fetcher }).openai.chat.completions.create(ask({ max_tokens: 2 }), { headers }), OpenAI.BadRequestError);
  assert.equal(fetcher.calls, 1);
});

test('clients: 429 is tried again after its Retry-After, and then served', async () => {
  for (const name of ['openai', 'anthropic', 'compatible']) {
    const tenant = await occupied();
    const began = Date.now();
    // The place is given up once the client was told to wait.
    const fetcher = counted(async (calls, response) => {
      if (response.status === 429) tenant.release();
    });
    // Their own number of tries, but where a machine may stand still for longer than they take.
    const patience = kSlowness > 1 ? { maxRetries: 10 } : {};
    const all = clients({ key: tenant.secret, fetcher, ...patience });
    const request = {
      openai: () => all.openai.chat.completions.create(long({ max_tokens: 2 })),
      anthropic: () => all.anthropic.messages.create(askMessages({ model: kSim, max_tokens: 2 })),
      compatible: () => generateText({ model: all.compatible(kSim), prompt: 'x', maxOutputTokens: 2, ...patience }),
    };
    await request[name]();
    assert.equal(fetcher.statuses[0], 429, name);
    assert.equal(fetcher.statuses.at(-1), 200, name);
    assert.ok(fetcher.statuses.slice(0, -1).every((status) => status === 429), `${name}: ${fetcher.statuses}`);
    assert.ok(Date.now() - began >= 950, `${name} came back before its second was over`);
  }
});

test('clients: a limit that is far away is told, and not waited for', async () => {
  const { name, secret } = await customer('daily', { credit: '1' });
  await stack.cli('limit', 'set', name, '--tpd', '1');
  const refused = await until('the day to be used up', 10, async () => {
    const response = await post('/v1/chat/completions', ask({ max_tokens: 1 }), { key: secret });
    await response.text();
    return response.status === 429 && response;
  });
  const far = Number(refused.headers.get('retry-after')) > 60;
  assert.equal(refused.headers.get('x-should-retry'), far ? 'false' : 'true');
  if (!far) return; // the UTC day is in its last minute
  const fetcher = counted();
  const { openai, anthropic } = clients({ key: secret, fetcher });
  await assert.rejects(openai.chat.completions.create(ask()), OpenAI.RateLimitError);
  await assert.rejects(anthropic.messages.create(askMessages()), Anthropic.RateLimitError);
  assert.deepEqual(fetcher.statuses, [429, 429]);
});

test('clients: 503 is tried again after its Retry-After, and then served', async () => {
  const pids = family(await pidOf('redis'));
  const thaw = () => { for (const pid of [...pids].reverse()) kill(pid, 'SIGCONT'); };
  const fetcher = counted(async (calls, response) => {
    if (response.status === 503) thaw();
  }, fetch);
  for (const pid of pids) kill(pid, 'SIGSTOP');
  try {
    const headers = { 'Idempotency-Key': randomUUID() };
    const { choices } = await clients({ fetcher, maxRetries: 10 }).openai.chat.completions.create(ask({ max_tokens: 2 }), { headers });
    assert.equal(choices[0].finish_reason, 'length');
  } finally {
    thaw();
  }
  assert.equal(fetcher.statuses[0], 503);
  assert.equal(fetcher.statuses.at(-1), 200);
});

test('clients: 409 of a request under way is tried again until its answer is there', async () => {
  const headers = { 'Idempotency-Key': randomUUID() };
  const fetchers = [counted(), counted()];
  // Whichever of the two comes first runs, for three seconds; the other one waits for its answer.
  const [one, other] = await Promise.all(fetchers.map((fetcher) =>
    clients({ fetcher, maxRetries: 20 }).openai.chat.completions.create(long({ max_tokens: 60 }), { headers })));
  assert.equal(other.id, one.id);
  const waited = fetchers.flatMap(({ statuses }) => statuses.slice(0, -1));
  assert.ok(waited.length > 0 && waited.every((status) => status === 409), String(waited));
});

test('clients: openai-node\'s time limit ends the request, also here', async () => {
  let id;
  const fetcher = (...args) => fetch(...args).then((response) => { id = response.headers.get('x-request-id'); return response; });
  const { openai } = clients({ fetcher, timeout: 400, maxRetries: 0 });
  await assert.rejects(openai.chat.completions.create(long()), OpenAI.APIConnectionTimeoutError);
  assert.equal(id, undefined, 'no answer came');
  await until('the worker to be free of it', 20, async () => {
    const text = await (await fetch(`http://127.0.0.1:${stack.adminPort(2)}/metrics`)).text();
    return Number(text.match(/^tidegate_gateway_meter_open_requests(?:\{[^}]*\})? (\S+)$/m)?.[1]) === 0;
  });
});

test('clients: an abort in the middle of a stream ends the work and pays what was read', async () => {
  const { openai, anthropic, compatible } = clients({ maxRetries: 0 });
  const ids = [];
  {
    const { data, response } = await openai.chat.completions.create(long({ stream: true })).withResponse();
    ids.push(response.headers.get('x-request-id'));
    let chunks = 0;
    for await (const chunk of data) if (chunk.choices.length > 0 && (chunks += 1) === 5) break;
  }
  {
    const { data, response } = await anthropic.messages.create(askMessages({ model: kSim, max_tokens: 300, stream: true })).withResponse();
    ids.push(response.headers.get('x-request-id'));
    let chunks = 0;
    for await (const event of data) if (event.type === 'content_block_delta' && (chunks += 1) === 5) data.controller.abort();
  }
  {
    const abort = new AbortController();
    const result = streamText({ model: compatible(kSim), prompt: 'x', maxOutputTokens: 300, abortSignal: abort.signal, maxRetries: 0, onError: () => {} });
    let chunks = 0;
    for await (const part of result.fullStream) if (part.type === 'text-delta' && (chunks += 1) === 5) abort.abort();
    await Promise.allSettled([result.usage]);
  }
  for (const id of ids) {
    const { event } = await billOf(id);
    assert.equal(event.finish_reason, 'cancelled');
    assert.ok(event.completion_tokens >= 4 && event.completion_tokens < 200, `${event.completion_tokens} tokens`);
  }
});

test('clients: lists of models are paged through to their end', async () => {
  const { openai } = clients();
  const ids = [];
  for await (const model of openai.models.list()) ids.push(model.id);
  assert.ok(ids.includes(kModel) && ids.includes(kSim), ids.join(' '));
  assert.equal((await openai.models.retrieve(kModel)).id, kModel);
});
