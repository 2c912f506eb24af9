// DeepSeek's extras, as its own clients use them: thinking, prefix completion, balance, and its provider of the AI SDK.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createDeepSeek } from '@ai-sdk/deepseek';
import { generateText, streamText } from 'ai';
import { answer, ask, chatEvents, clients, get, kModel, kPrompt, messages, post, refusal } from './conform.mjs';
import { patiently, stack } from './stack.mjs';
import { customer } from './tenants.mjs';

const begun = { role: 'assistant', content: '床前明月光，', prefix: true };
const chat = (mount, extra) => answer(`${mount}/chat/completions`, ask(extra));

test('deepseek: thinking is reasoning_content, never reasoning', async () => {
  const { choices } = await chat('', { max_tokens: 400, seed: 3 });
  assert.ok(choices[0].message.reasoning_content.length > 0);
  assert.ok(!('reasoning' in choices[0].message));
  const { all } = await chatEvents({ max_tokens: 400, seed: 3 });
  assert.ok(all.every((chunk) => !('reasoning' in chunk.choices[0].delta)));
  assert.equal(all.map((chunk) => chunk.choices[0].delta.reasoning_content ?? '').join(''), choices[0].message.reasoning_content);
});

test('deepseek: thinking that comes back is accepted, the empty string too, and is not charged', async () => {
  const prompts = [];
  for (const reasoning of [undefined, '', null, 'I thought about the moon for a long time.']) {
    const turn = { role: 'assistant', content: '床前明月光', ...(reasoning !== undefined && { reasoning_content: reasoning }) };
    prompts.push((await chat('', { max_tokens: 1, messages: [...messages, turn, ...messages] })).usage.prompt_tokens);
  }
  assert.equal(new Set(prompts).size, 1, 'earlier thinking is no part of a prompt');
});

test('deepseek: thinking that is no text is refused with its place', async () => {
  const turn = { role: 'assistant', content: 'x', reasoning_content: { text: 'x' } };
  assert.equal((await refusal('/chat/completions', ask({ messages: [...messages, turn, ...messages] }), 400)).param, 'messages[1].reasoning_content');
});

test('deepseek: a prefix is where the answer goes on, without thinking first, on every mount', async () => {
  for (const mount of ['/beta', '/v1', '']) {
    const { choices, usage } = await chat(mount, { messages: [...messages, begun], max_tokens: 12 });
    assert.ok(!('reasoning_content' in choices[0].message));
    assert.ok(!choices[0].message.content.startsWith(begun.content));
    assert.equal(usage.completion_tokens_details.reasoning_tokens, 0);
  }
});

test('deepseek: a prefix of thinking alone goes on thinking', async () => {
  const thinking = { role: 'assistant', content: '', reasoning_content: '先想一想', prefix: true };
  assert.ok((await chat('/beta', { messages: [...messages, thinking], max_tokens: 3 })).usage.completion_tokens_details.reasoning_tokens > 0);
});

test('deepseek: a prefix streams like any other answer', async () => {
  const { all, done } = await chatEvents({ messages: [...messages, begun], max_tokens: 12 });
  assert.ok(done);
  assert.ok(all.every((chunk) => !('reasoning_content' in chunk.choices[0].delta)));
});

test('deepseek: a prefix anywhere but on the last turn of the assistant is refused with its place', async () => {
  for (const wrong of [[begun, ...messages], [{ ...messages[0], prefix: true }]]) {
    assert.equal((await refusal('/beta/chat/completions', ask({ messages: wrong }), 422)).param, 'messages[0].prefix');
  }
});

test('deepseek: a wrong parameter is 422 on the beta mount, and 400 on the others', async () => {
  for (const [change, param] of [[{ temperature: 9 }, 'temperature'], [{ model: 1 }, 'model'], [{ messages: undefined }, 'messages']]) {
    const error = await refusal('/beta/chat/completions', ask(change), 422);
    assert.deepEqual([error.type, error.code, error.param], ['invalid_request_error', 'invalid_parameter', param]);
    for (const mount of ['/v1', '']) assert.equal((await refusal(`${mount}/chat/completions`, ask(change), 400)).param, param);
  }
  assert.equal((await refusal('/beta/chat/completions', ask({ prediction: { type: 'content', content: 'x' } }), 400)).code, 'unsupported_parameter');
});

test('deepseek: the cache split of usage adds up to the prompt', async () => {
  for (let again = 0; again < 2; ++again) {
    const { usage } = await chat('', { max_tokens: 1 });
    assert.equal(usage.prompt_cache_hit_tokens + usage.prompt_cache_miss_tokens, usage.prompt_tokens);
    assert.equal(usage.prompt_cache_hit_tokens, usage.prompt_tokens_details.cached_tokens);
  }
});

test('deepseek: balance is its shape, in exact strings that add up, for a key that may see it', async () => {
  const { secret } = await customer('saver', { credit: '1.25', keyOptions: ['--scopes', 'usage'] });
  for (const path of ['/user/balance', '/v1/user/balance']) {
    const balance = await (await get(path, secret)).json();
    assert.equal(balance.is_available, true);
    const [info] = balance.balance_infos;
    for (const member of ['total_balance', 'granted_balance', 'topped_up_balance']) assert.match(info[member], /^-?\d+\.\d{2,12}$/);
    assert.equal(Number(info.total_balance), 1.25);
    assert.equal(Number(info.granted_balance) + Number(info.topped_up_balance), 1.25);
    assert.match(info.currency, /^(USD|CNY)$/);
  }
});

test('deepseek: balance is refused to no key, a wrong key and a key for inference', async () => {
  assert.equal((await get('/user/balance', null)).status, 401);
  assert.equal((await get('/user/balance', 'nonsense')).status, 401);
  assert.equal((await get('/user/balance')).status, 403);
});

test('deepseek: an empty wallet is 402, not 429', async () => {
  const { secret } = await customer('poor');
  const error = await refusal('/chat/completions', ask(), 402, { key: secret });
  assert.deepEqual([error.type, error.code], ['insufficient_quota', 'insufficient_balance']);
});

test('deepseek: its provider of the AI SDK reads thinking, text and usage', async () => {
  const { deepseek } = clients();
  const result = streamText({ model: deepseek(kModel), prompt: kPrompt, maxOutputTokens: 400, maxRetries: 0, seed: 3 });
  const kinds = new Set();
  for await (const part of result.fullStream) kinds.add(part.type);
  assert.ok(!kinds.has('error') && kinds.has('reasoning-delta'), [...kinds].join(' '));
  assert.ok((await result.reasoningText).length > 0);
  const usage = await result.usage;
  assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
});

test('deepseek: its provider completes a prefix on the beta mount', async () => {
  const beta = createDeepSeek({ apiKey: stack.apiKey, baseURL: `${stack.origin}/beta`, fetch: patiently });
  const { text, reasoningText } = await generateText({
    model: beta(kModel), maxOutputTokens: 12, maxRetries: 0,
    messages: [...messages, { role: 'assistant', content: [{ type: 'text', text: begun.content }], providerOptions: { deepseek: { prefix: true } } }],
  });
  assert.ok(!text.startsWith(begun.content));
  assert.ok(!reasoningText);
});

test('deepseek: a conversation of its provider goes on with the thinking it sends back', async () => {
  const { deepseek } = clients();
  const first = await generateText({ model: deepseek(kModel), prompt: kPrompt, maxOutputTokens: 400, maxRetries: 0, seed: 3 });
  const turns = [...messages, ...first.response.messages, { role: 'user', content: '再来一首。' }];
  const second = await generateText({ model: deepseek(kModel), messages: turns, maxOutputTokens: 40, maxRetries: 0 });
  assert.ok(second.text.length + (second.reasoningText ?? '').length > 0);
});

test('deepseek: the usual mount takes what the beta mount takes', async () => {
  const body = { model: kModel, prompt: '床前', suffix: '光', max_tokens: 4, seed: 9 };
  const texts = [];
  for (const mount of ['/beta', '/v1', '']) texts.push((await (await post(`${mount}/completions`, body)).json()).choices[0].text);
  assert.equal(new Set(texts).size, 1);
});
