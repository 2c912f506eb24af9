// What other servers got wrong, one case a row of faults seen in the wild, and what unchanged clients make of this one:
// openai-node's iterator and its .stream() helper, @ai-sdk/deepseek, @ai-sdk/openai-compatible, and plain fetch.
// Embeddings are not served (row 12), Responses is a dialect of its own (row 14).
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { createDeepSeek } from '@ai-sdk/deepseek';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import { stack, until } from './stack.mjs';
import { kill, pidOf, reborn } from './victims.mjs';

const kModel = 'tang-moe';
const kPrompt = '写一首关于月的五言绝句。';
const messages = [{ role: 'user', content: kPrompt }];
const ask = (extra = {}) => ({ model: kModel, messages, max_tokens: 40, ...extra });

/** fetch that counts its calls. */
function counted() {
  const fetcher = (...args) => { fetcher.calls += 1; return fetch(...args); };
  fetcher.calls = 0;
  return fetcher;
}
const clients = (apiKey = stack.apiKey, fetcher = fetch) => ({
  openai: new OpenAI({ apiKey, baseURL: stack.baseUrl, fetch: fetcher }),
  deepseek: createDeepSeek({ apiKey, baseURL: stack.baseUrl, fetch: fetcher }),
  compatible: createOpenAICompatible({ name: 'tidegate', apiKey, baseURL: stack.baseUrl, includeUsage: true, fetch: fetcher }),
});

async function post(path, body, { key = stack.apiKey, signal } = {}) {
  const response = await fetch(stack.origin + path, {
    method: 'POST', signal, body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
  });
  return response;
}
const get = (path, key = stack.apiKey) => fetch(stack.origin + path, { headers: key ? { Authorization: `Bearer ${key}` } : {} });

/** The events of a stream, checked for their framing: JSON objects, then whether [DONE] came last. */
async function events(response) {
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  assert.ok(text.endsWith('\n\n'), 'every event is whole');
  const frames = text.slice(0, -2).split('\n\n').filter((frame) => !frame.startsWith(':'));
  assert.ok(frames.every((frame) => frame.startsWith('data: ') && !frame.includes('\n')), text);
  const data = frames.map((frame) => frame.slice('data: '.length));
  const done = data.at(-1) === '[DONE]';
  return { done, all: (done ? data.slice(0, -1) : data).map((one) => JSON.parse(one)) };
}
async function chatEvents(extra = {}) {
  const response = await post('/v1/chat/completions', ask({ stream: true, ...extra }));
  assert.equal(response.status, 200);
  return events(response);
}
async function refusal(path, body, status) {
  const response = await post(path, body);
  assert.equal(response.status, status, await response.clone().text());
  assert.match(response.headers.get('content-type'), /^application\/json/);
  const { error } = await response.json();
  for (const member of ['message', 'type', 'param', 'code']) assert.ok(member in error, `error without ${member}`);
  return error;
}
function checkUsage(usage) {
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  assert.equal(usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens, usage.prompt_tokens);
  assert.equal(usage.prompt_tokens_details.cached_tokens, usage.prompt_cache_hit_tokens);
  assert.ok(usage.completion_tokens_details.reasoning_tokens <= usage.completion_tokens);
  assert.equal(Number(usage.cost_details.amount), usage.cost);
}

const tool = { type: 'function', function: { name: 'get_date', parameters: { type: 'object', properties: {} } } };

test('rows 1 and 2, tool deltas without index or id: 17_tools has those that are right; here what is refused by name', async () => {
  assert.equal((await refusal('/v1/chat/completions', ask({ tools: [{ ...tool, type: 'retrieval' }] }), 400)).param, 'tools[0].type');
  assert.equal((await refusal('/v1/chat/completions', ask({ tool_choice: 'required' }), 400)).param, 'tool_choice');
  assert.equal((await refusal('/v1/chat/completions', ask({ tools: [tool], functions: [tool.function] }), 400)).param, 'functions');
  assert.equal((await refusal('/v1/chat/completions', ask({ messages: [{ role: 'tool', tool_call_id: '1', content: 'x' }] }), 400)).param, 'messages');
  for (const harmless of [{ tools: [tool] }, { tools: [] }, { tools: null }, { tool_choice: 'auto' }, { tool_choice: 'none' }, { parallel_tool_calls: true }]) {
    assert.equal((await post('/v1/chat/completions', ask({ max_tokens: 1, ...harmless }))).status, 200, JSON.stringify(harmless));
  }
});

test('row 3, finish_reason: exactly one, and without tools it is stop or length', async () => {
  for (const [limit, wanted] of [[3, ['length']], [400, ['stop', 'length']]]) {
    const { all } = await chatEvents({ max_tokens: limit });
    const reasons = all.flatMap((chunk) => chunk.choices).map((choice) => choice.finish_reason).filter(Boolean);
    assert.equal(reasons.length, 1);
    assert.ok(wanted.includes(reasons[0]), reasons[0]);
  }
});

test('row 4, usage: a last chunk with empty choices if asked, and neither of them unasked', async () => {
  const asked = await chatEvents({ stream_options: { include_usage: true } });
  assert.ok(asked.done);
  assert.deepEqual(asked.all.at(-1).choices, []);
  checkUsage(asked.all.at(-1).usage);
  for (const chunk of asked.all.slice(0, -1)) {
    assert.equal(chunk.usage, null);
    assert.equal(chunk.choices.length, 1);
  }
  for (const options of [{}, { stream_options: null }, { stream_options: {} }, { stream_options: { include_usage: false } }]) {
    const { all } = await chatEvents(options);
    assert.ok(all.every((chunk) => chunk.choices.length === 1 && !('usage' in chunk)), JSON.stringify(options));
  }
});

test('row 5, errors: a real status before the first byte', async () => {
  for (const stream of [true, false]) {
    assert.equal((await refusal('/v1/chat/completions', ask({ stream, model: 'tang-mo' }), 404)).code, 'model_not_found');
    assert.equal((await refusal('/v1/completions', { model: kModel, prompt: 'x', stream, temperature: 9 }, 400)).param, 'temperature');
  }
});

test('row 5, errors: a stream that is cut ends with an error that all four clients raise', async () => {
  const long = { max_tokens: 900, temperature: 1.5 };
  // A stream may end before its worker is killed: then that round proves nothing, and there is another.
  for (let round = 0; ; ++round) {
    const { openai, deepseek, compatible } = clients();
    const pid = await pidOf('worker');
    let started = 0;
    const begun = () => { started += 1; };
    const once = (call) => { let first = true; return () => { if (first) call(); first = false; }; };
    const iterator = async () => {
      const seen = once(begun);
      for await (const chunk of await openai.chat.completions.create(ask({ stream: true, ...long }), { maxRetries: 0 })) {
        if (chunk.choices[0]?.delta) seen();
      }
    };
    const helper = () => openai.chat.completions.stream(ask(long), { maxRetries: 0 }).on('chunk', once(begun)).finalChatCompletion();
    const sdk = (model) => async () => {
      const seen = once(begun);
      const result = streamText({ model, prompt: kPrompt, maxOutputTokens: 900, temperature: 1.5, maxRetries: 0, onError: () => {} });
      let failed = null;
      for await (const part of result.fullStream) {
        if (part.type === 'reasoning-delta' || part.type === 'text-delta') seen();
        if (part.type === 'error') failed = part.error;
      }
      if (failed) throw failed;
    };
    const all = [iterator(), helper(), sdk(deepseek(kModel))(), sdk(compatible(kModel))()];
    const ended = Promise.allSettled(all);
    await Promise.race([ended, until('every stream to begin', 60, () => started === all.length).catch(() => {})]);
    kill(pid);
    const results = await ended;
    await reborn('worker', pid);
    await until('the model to be served again', 60, async () => (await post('/v1/chat/completions', ask({ max_tokens: 1 }))).status === 200);
    if (results.every(({ status }) => status === 'rejected')) {
      assert.equal(results[0].reason.code, 'worker_lost');
      assert.ok(results[0].reason instanceof OpenAI.APIError);
      return;
    }
    assert.ok(round < 10, `some client took a cut stream for a whole one: ${results.map(({ status }) => status)}`);
  }
});

test('row 6, stream: whoever does not ask for events gets one JSON body', async () => {
  for (const stream of [false, null, undefined]) {
    const response = await post('/v1/chat/completions', ask({ stream }));
    assert.equal(response.headers.get('content-type'), 'application/json');
    assert.equal((await response.json()).object, 'chat.completion');
  }
  const response = await post('/v1/chat/completions', ask({ stream: true }));
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  assert.equal(response.headers.get('cache-control'), 'no-cache');
  assert.equal(response.headers.get('x-accel-buffering'), 'no');
  assert.ok((await events(response)).done);
});

test('row 7, thinking is reasoning_content, and it ends before content begins', async () => {
  const { all } = await chatEvents({ max_tokens: 400, seed: 3 });
  const kinds = all.flatMap((chunk) => chunk.choices).map(({ delta }) => ('reasoning_content' in delta ? 'r' : delta.content ? 'c' : '')).join('');
  assert.match(kinds, /^r+c*$/);
  const whole = await (await post('/v1/chat/completions', ask({ max_tokens: 400, seed: 3 }))).json();
  assert.equal(whole.choices[0].message.reasoning_content, all.map((chunk) => chunk.choices[0].delta.reasoning_content ?? '').join(''));
  assert.ok(all.every((chunk) => !('reasoning' in chunk.choices[0].delta)));
});

test('row 8, thinking that comes back is accepted, the empty string too, and is not charged', async () => {
  const prompts = [];
  for (const reasoning of [undefined, '', null, 'I thought about the moon for a long time.']) {
    const turn = { role: 'assistant', content: '床前明月光', ...(reasoning !== undefined && { reasoning_content: reasoning }) };
    const response = await post('/v1/chat/completions', ask({ max_tokens: 1, messages: [...messages, turn, ...messages] }));
    assert.equal(response.status, 200, String(reasoning));
    prompts.push((await response.json()).usage.prompt_tokens);
  }
  assert.equal(new Set(prompts).size, 1, 'earlier thinking is no part of a prompt');
});

test('row 9, a name never changes the model: the answer names what was asked, and its weights', async () => {
  const answer = await (await post('/v1/chat/completions', ask({ max_tokens: 1 }))).json();
  assert.equal(answer.model, kModel);
  assert.match(answer.system_fingerprint, /^fp_[0-9a-f]{12}$/);
  assert.equal((await refusal('/v1/chat/completions', ask({ thinking: { type: 'disabled' } }), 400)).param, 'thinking');
  assert.equal((await post('/v1/chat/completions', ask({ max_tokens: 1, thinking: { type: 'enabled' } }))).status, 200);
});

test('row 10, a client that leaves ends the work and pays what it got', async () => {
  await until('a stream that was left while it ran', 60, async () => {
    const abort = new AbortController();
    const response = await post('/v1/chat/completions', ask({ stream: true, max_tokens: 900, temperature: 1.5 }), { signal: abort.signal });
    const id = response.headers.get('x-request-id');
    await response.body.getReader().read();
    abort.abort();
    const row = await until(`the bill of ${id}`, 20, async () => (await stack.cli('usage', '--request', id)).rows[0]);
    return row.event.finish_reason === 'cancelled' && row.event.prompt_tokens > 0 && row.event.completion_tokens < 900;
  });
});

test('row 11, idle connections: silence is limited to ten seconds', async () => {
  const config = await (await fetch(`http://127.0.0.1:${stack.adminPort(2)}/configz`)).text();
  const limit = Number(config.match(/limits\.keep_alive_ms\D+(\d+)/)[1]);
  assert.ok(limit > 0 && limit <= 10_000, `${limit} ms`);
});

test('row 12, embeddings are not served: a JSON 404, never an empty vector', async () => {
  await assert.rejects(clients().openai.embeddings.create({ model: kModel, input: 'x' }), (error) => error.status === 404 && error.code === 'not_found');
});

test('row 13, cached tokens are part of the prompt and counted once', async () => {
  for (let again = 0; again < 2; ++again) {
    const { usage } = await (await post('/v1/chat/completions', ask({ max_tokens: 1 }))).json();
    checkUsage(usage);
  }
});

test('row 15, sampling that has no effect is accepted, and what would change the answer is refused', async () => {
  for (const accepted of [{ presence_penalty: 0.5 }, { frequency_penalty: -2 }, { temperature: 0 }, { top_p: 1 }, { n: 1 }, { logprobs: false }, { logit_bias: {} }]) {
    assert.equal((await post('/v1/chat/completions', ask({ max_tokens: 1, ...accepted }))).status, 200, JSON.stringify(accepted));
  }
  for (const [field, value] of [['n', 2], ['logprobs', true], ['top_logprobs', 5], ['logit_bias', { 5: 1 }], ['presence_penalty', 3]]) {
    assert.equal((await refusal('/v1/chat/completions', ask({ [field]: value }), 400)).param, field);
  }
});

test('row 15, response formats that cannot be kept are refused by name', async () => {
  for (const type of ['json_object', 'json_schema']) {
    assert.equal((await refusal('/v1/chat/completions', ask({ response_format: { type } }), 400)).param, 'response_format');
  }
  assert.equal((await post('/v1/chat/completions', ask({ max_tokens: 1, response_format: { type: 'text' } }))).status, 200);
});

test('row 16, the time of day: the band quoted, the band in the header and the band charged are one', async () => {
  const quote = (await (await get('/v1/models')).json()).data.find(({ id }) => id === kModel).pricing;
  const response = await post('/v1/chat/completions', ask({ max_tokens: 1 }));
  const { usage } = await response.json();
  // A window's edge may lie between two requests: then the quote says so by itself.
  if (quote.until === null || Date.parse(quote.until) > Date.now()) {
    assert.equal(response.headers.get('x-tidegate-price-band'), quote.band);
    assert.equal(usage.cost_details.band, quote.band);
    assert.equal(usage.cost_details.price_version, quote.price_version);
  }
  assert.equal(usage.cost_details.currency, quote.currency);
});

test('row 17, unknown fields are ignored', async () => {
  const body = ask({ max_tokens: 1, cache_control: { type: 'ephemeral' }, whatever: [1], messages: [{ role: 'user', content: 'x', cache_control: {} }] });
  assert.equal((await post('/v1/chat/completions', body)).status, 200);
  assert.equal((await post('/v1/completions', { model: kModel, prompt: 'x', max_tokens: 1, whatever: 1 })).status, 200);
});

test('row 18, headers of limits are numbers that make sense, and every answer has its id', async () => {
  for (const response of [await post('/v1/chat/completions', ask({ max_tokens: 1 })), await post('/v1/chat/completions', '{'), await get('/v1/models', 'nonsense'), await get('/v1/nothing')]) {
    assert.match(response.headers.get('x-request-id'), /^[0-9a-f-]{36}$/);
    for (const [name, value] of response.headers) {
      if (/^x-ratelimit-(limit|remaining)/.test(name)) assert.ok(Number(value) >= 0, `${name}: ${value}`);
      if (name === 'retry-after') assert.ok(Number.isInteger(Number(value)) && Number(value) >= 1, value);
    }
    if (response.status >= 400) assert.match(response.headers.get('x-should-retry'), /^(true|false)$/);
  }
});

test('row 19, every choice has its index, and the first chunk its role', async () => {
  const { all } = await chatEvents();
  assert.deepEqual(all[0].choices[0].delta, { role: 'assistant', content: '' });
  assert.ok(all.every((chunk) => chunk.choices.every(({ index }) => index === 0)));
  for (const member of ['id', 'created', 'model', 'object']) assert.equal(new Set(all.map((chunk) => chunk[member])).size, 1, member);
  assert.equal(all[0].object, 'chat.completion.chunk');
});

test('clients: a whole stream is text and thinking to all four', async () => {
  const { openai, deepseek, compatible } = clients();
  const request = { max_tokens: 400, seed: 3 };
  const whole = (await openai.chat.completions.create(ask(request))).choices[0].message;
  let text = '';
  for await (const chunk of await openai.chat.completions.create(ask({ stream: true, ...request }))) text += chunk.choices[0]?.delta.content ?? '';
  assert.equal(text, whole.content);
  const helped = await openai.chat.completions.stream(ask(request)).finalChatCompletion();
  assert.equal(helped.choices[0].message.content ?? '', whole.content);
  for (const model of [deepseek(kModel), compatible(kModel)]) {
    const result = streamText({ model, prompt: kPrompt, maxOutputTokens: 400, maxRetries: 0 });
    const kinds = new Set();
    for await (const part of result.fullStream) kinds.add(part.type);
    assert.ok(!kinds.has('error'));
    assert.ok(kinds.has('reasoning-delta'));
    assert.ok((await result.reasoningText).length > 0);
    const usage = await result.usage;
    assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
    const { text: again, reasoningText } = await generateText({ model, prompt: kPrompt, maxOutputTokens: 40, maxRetries: 0 });
    assert.ok(again.length + (reasoningText ?? '').length > 0);
  }
});

test('clients: an empty wallet, an unknown model and a wrong field are tried once', async () => {
  const name = `poor${Date.now().toString(36)}`;
  await stack.cli('tenant', 'create', name);
  await stack.cli('project', 'create', 'main', '--tenant', name);
  const { secret } = await stack.cli('key', 'create', '--tenant', name, '--project', 'main');
  await until('402', 10, async () => (await post('/v1/chat/completions', ask(), { key: secret })).status === 402);
  const cases = [[402, secret, {}], [404, stack.apiKey, { model: 'tang-mo' }], [400, stack.apiKey, { temperature: 9 }]];
  for (const [status, key, change] of cases) {
    const viaOpenAi = counted();
    await assert.rejects(clients(key, viaOpenAi).openai.chat.completions.create(ask(change)), (error) => error.status === status);
    assert.equal(viaOpenAi.calls, 1, `openai, ${status}`);
    for (const provider of ['deepseek', 'compatible']) {
      const viaSdk = counted();
      const model = clients(key, viaSdk)[provider](change.model ?? kModel);
      await assert.rejects(generateText({ model, prompt: kPrompt, temperature: change.temperature }), (error) => error.statusCode === status);
      assert.equal(viaSdk.calls, 1, `${provider}, ${status}`);
    }
  }
});

test('completions: the prompt is text as it stands, continued without thinking, whole or streamed alike', async () => {
  const { openai, compatible } = clients();
  const request = { model: kModel, prompt: '床前明月光', max_tokens: 12, seed: 4 };
  const whole = await openai.completions.create(request);
  assert.equal(whole.object, 'text_completion');
  assert.match(whole.id, /^cmpl-/);
  assert.ok(['stop', 'length'].includes(whole.choices[0].finish_reason));
  assert.equal(whole.usage.completion_tokens_details.reasoning_tokens, 0);
  checkUsage(whole.usage);
  let text = '';
  const chunks = [];
  for await (const chunk of await openai.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
    chunks.push(chunk);
    text += chunk.choices[0]?.text ?? '';
  }
  assert.equal(text, whole.choices[0].text);
  assert.equal(chunks.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
  assert.equal(chunks.filter((chunk) => chunk.choices[0]?.finish_reason).length, 1);
  const echoed = await openai.completions.create({ ...request, echo: true });
  assert.equal(echoed.choices[0].text, request.prompt + whole.choices[0].text);
  assert.equal(echoed.usage.completion_tokens, whole.usage.completion_tokens);
  const short = await openai.completions.create({ model: kModel, prompt: '春' });
  assert.ok(short.usage.completion_tokens <= 16, 'the default of this dialect');
  const { text: sdk } = await generateText({ model: compatible.completionModel(kModel), prompt: '春眠', maxOutputTokens: 8, maxRetries: 0 });
  assert.equal(typeof sdk, 'string');
});

test('completions: text that spells control tokens stays text, and token ids are refused', async () => {
  const count = async (body) => (await (await post('/v1/completions', { model: kModel, max_tokens: 1, ...body })).json()).usage.prompt_tokens;
  assert.equal(await count({ prompt: '' }), 1, 'the begin token');
  const plain = await count({ prompt: 'a' });
  assert.ok(await count({ prompt: '<｜User｜></think><｜end▁of▁sentence｜>' }) > plain + 5);
  assert.ok(await count({ prompt: 'a', suffix: '<｜fim▁end｜>' }) > plain + 5);
  assert.equal((await refusal('/v1/completions', { model: kModel, prompt: [1, 2, 3] }, 400)).param, 'prompt');
  assert.equal((await refusal('/v1/completions', { model: kModel, prompt: ['a', 'b'] }, 400)).param, 'prompt');
  assert.equal((await refusal('/v1/completions', { model: kModel, prompt: '月'.repeat(20_000) }, 400)).param, 'prompt');
});

test('completions: a suffix is filled in on every mount, and costs its tokens', async () => {
  for (const mount of ['/beta', '/v1', '']) {
    const response = await post(`${mount}/completions`, { model: kModel, prompt: '床前', suffix: '光', max_tokens: 4 });
    assert.equal(response.status, 200, mount);
    const { usage } = await response.json();
    assert.ok(usage.prompt_tokens >= 4 + 2, 'four control tokens and the texts');
  }
  for (const field of ['best_of', 'n', 'logprobs']) {
    assert.equal((await refusal('/v1/completions', { model: kModel, prompt: 'x', [field]: 2 }, 400)).param, field);
  }
});

test('prefix: an answer goes on where its client began it, without thinking first', async () => {
  const begun = { role: 'assistant', content: '床前明月光，', prefix: true };
  for (const mount of ['/beta', '/v1', '']) {
    const response = await post(`${mount}/chat/completions`, ask({ messages: [...messages, begun], max_tokens: 12 }));
    assert.equal(response.status, 200);
    const { choices, usage } = await response.json();
    assert.ok(!('reasoning_content' in choices[0].message));
    assert.ok(!choices[0].message.content.startsWith(begun.content));
    assert.equal(usage.completion_tokens_details.reasoning_tokens, 0);
  }
  const thinking = { role: 'assistant', content: '', reasoning_content: '先想一想', prefix: true };
  const { usage } = await (await post('/beta/chat/completions', ask({ messages: [...messages, thinking], max_tokens: 3 }))).json();
  assert.ok(usage.completion_tokens_details.reasoning_tokens > 0, 'the thinking goes on');
  assert.equal((await refusal('/beta/chat/completions', ask({ messages: [begun, ...messages] }), 400)).param, 'messages[0].prefix');
  assert.equal((await refusal('/beta/chat/completions', ask({ messages: [{ ...messages[0], prefix: true }] }), 400)).param, 'messages[0].prefix');
});

test('balance: DeepSeek\'s shape, in exact strings that add up, for a key that may see it', async () => {
  const name = `saver${Date.now().toString(36)}`;
  await stack.cli('tenant', 'create', name);
  await stack.cli('project', 'create', 'main', '--tenant', name);
  await stack.cli('wallet', 'top-up', name, '1');
  const { secret } = await stack.cli('key', 'create', '--tenant', name, '--project', 'main', '--scopes', 'usage');
  await until('the key to be known', 10, async () => (await get('/user/balance', secret)).status === 200);
  for (const path of ['/user/balance', '/v1/user/balance']) {
    const balance = await (await get(path, secret)).json();
    assert.equal(balance.is_available, true);
    const [info] = balance.balance_infos;
    for (const member of ['total_balance', 'granted_balance', 'topped_up_balance']) assert.match(info[member], /^-?\d+\.\d{2,12}$/);
    assert.ok(Math.abs(Number(info.granted_balance) + Number(info.topped_up_balance) - Number(info.total_balance)) < 1e-9);
    assert.ok(Number(info.total_balance) > 0, info.total_balance);
  }
  assert.equal((await get('/user/balance', 'nonsense')).status, 401);
  assert.equal((await get('/user/balance')).status, 403, 'the usual key is for inference');
});

test('the document lists every path, and each of them answers', async () => {
  const document = await (await get('/openapi.json', null)).json();
  assert.equal(document.openapi, '3.1.0');
  for (const [path, item] of Object.entries(document.paths)) {
    const method = ['get', 'post'].find((each) => each in item).toUpperCase();
    for (const { url } of item.servers ?? document.servers) {
      const target = (url === '/' ? '' : url) + path.replace(/\{.*\}/, 'x');
      const response = await fetch(stack.origin + target, { method, ...(method === 'POST' && { body: '{}' }), headers: { 'Content-Type': 'application/json', Authorization: 'Bearer nonsense' } });
      const open = (item.get ?? item.post).security?.length === 0;
      assert.equal(response.status, open ? 200 : 401, `${method} ${target}`);
    }
  }
});
