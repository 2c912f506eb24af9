// POST /v1/chat/completions, answers that do not stream: what is taken, what is refused and how, what comes back.
// docs/conformance.md says which line of the specification each case stands for.
import assert from 'node:assert/strict';
import test from 'node:test';
import { answer, ask, checkUsage, clients, errorOf, get, kModel, kPrompt, messages, post, refusal } from './conform.mjs';
import { stack } from './stack.mjs';

const kPath = '/v1/chat/completions';
const chat = (extra) => answer(kPath, ask(extra));
const refused = (extra, status = 400) => refusal(kPath, ask(extra), status);
/** 200 for each of these. */
async function accepts(...changes) {
  for (const change of changes) assert.equal((await post(kPath, ask({ max_tokens: 1, ...change }))).status, 200, JSON.stringify(change));
}

test('chat: the body has every member of the specification, and its id is the request\'s', async () => {
  const response = await post(kPath, ask());
  const body = await response.json();
  assert.equal(body.object, 'chat.completion');
  assert.equal(body.id, `chatcmpl-${response.headers.get('x-request-id')}`);
  assert.ok(Math.abs(body.created - Date.now() / 1000) < 60, `created ${body.created}`);
  assert.equal(body.choices.length, 1);
  const [choice] = body.choices;
  assert.equal(choice.index, 0);
  assert.equal(choice.logprobs, null);
  assert.equal(choice.message.role, 'assistant');
  assert.equal(choice.message.refusal, null);
  assert.equal(typeof choice.message.content, 'string');
  assert.ok(['stop', 'length'].includes(choice.finish_reason));
});

test('chat: stream absent, null or false gives one JSON body', async () => {
  for (const stream of [false, null, undefined]) {
    const response = await post(kPath, ask({ stream, max_tokens: 2 }));
    assert.equal(response.headers.get('content-type'), 'application/json');
    assert.equal((await response.json()).object, 'chat.completion');
  }
});

test('chat: usage adds up, cached tokens are part of the prompt and counted once', async () => {
  for (let again = 0; again < 2; ++again) checkUsage((await chat({ max_tokens: 3 })).usage);
});

test('chat: the cost in the body, in the header and its exact text are one amount', async () => {
  const response = await post(kPath, ask({ max_tokens: 3 }));
  const { usage } = await response.json();
  assert.equal(response.headers.get('x-tidegate-cost'), usage.cost_details.amount);
  assert.match(usage.cost_details.amount, /^\d+(\.\d{1,12})?$/);
  assert.match(usage.cost_details.currency, /^[A-Z]{3}$/);
});

test('chat: the band quoted, the band in the header and the band charged are one', async () => {
  const quote = (await (await get('/v1/models')).json()).data.find(({ id }) => id === kModel).pricing;
  const response = await post(kPath, ask({ max_tokens: 1 }));
  const { usage } = await response.json();
  assert.equal(usage.cost_details.currency, quote.currency);
  // A window's edge may lie between two requests: then the quote says so by itself.
  if (quote.until !== null && Date.parse(quote.until) <= Date.now()) return;
  assert.equal(response.headers.get('x-tidegate-price-band'), quote.band);
  assert.equal(usage.cost_details.band, quote.band);
  assert.equal(usage.cost_details.price_version, quote.price_version);
});

test('chat: a name never changes the model: the answer names what was asked, and its weights', async () => {
  const body = await chat({ max_tokens: 1 });
  assert.equal(body.model, kModel);
  assert.match(body.system_fingerprint, /^fp_[0-9a-f]{12}$/);
});

test('chat: max_completion_tokens wins over max_tokens, and both count thinking', async () => {
  for (const [extra, wanted] of [[{ max_tokens: 3 }, 3], [{ max_tokens: undefined, max_completion_tokens: 4 }, 4], [{ max_tokens: 30, max_completion_tokens: 2 }, 2]]) {
    const { usage, choices } = await chat(extra);
    assert.equal(usage.completion_tokens, wanted, JSON.stringify(extra));
    assert.equal(choices[0].finish_reason, 'length');
    assert.ok(usage.completion_tokens_details.reasoning_tokens > 0);
  }
});

test('chat: an answer that ends by itself says stop, one that is cut off says length', async () => {
  assert.equal((await chat({ max_tokens: 2 })).choices[0].finish_reason, 'length');
  const long = await chat({ max_tokens: 900 });
  assert.ok(['stop', 'length'].includes(long.choices[0].finish_reason));
  if (long.usage.completion_tokens < 900) assert.equal(long.choices[0].finish_reason, 'stop');
});

test('chat: stop as a string and as an array ends the answer before its text', async () => {
  const whole = (await chat({ max_tokens: 400, seed: 3 })).choices[0].message.content;
  const stop = [...whole][4];
  for (const form of [stop, [stop], ['never written', stop]]) {
    const { choices } = await chat({ max_tokens: 400, seed: 3, stop: form });
    assert.equal(choices[0].message.content, whole.slice(0, whole.indexOf(stop)));
    assert.equal(choices[0].finish_reason, 'stop');
  }
});

test('chat: sixteen stop strings are taken, a seventeenth and an empty one are refused', async () => {
  await accepts({ stop: null }, { stop: [] }, { stop: Array.from({ length: 16 }, (_, i) => `never ${i}`) });
  assert.equal((await refused({ stop: Array.from({ length: 17 }, (_, i) => `never ${i}`) })).param, 'stop');
  assert.equal((await refused({ stop: '' })).param, 'stop');
  assert.equal((await refused({ stop: [7] })).param, 'stop[0]');
});

test('chat: n answers come from one prompt, counted once, the first as alone', async () => {
  await accepts({ n: 1 }, { n: null });
  const one = await chat({ seed: 11, max_tokens: 24 });
  const body = await chat({ seed: 11, max_tokens: 24, n: 3 });
  assert.deepEqual(body.choices.map(({ index }) => index), [0, 1, 2]);
  assert.deepEqual(body.choices[0].message, one.choices[0].message);
  assert.equal(new Set(body.choices.map(({ message }) => JSON.stringify(message))).size, 3, 'each has a seed of its own');
  assert.ok(body.choices.every(({ finish_reason }) => ['stop', 'length'].includes(finish_reason)));
  assert.equal(body.usage.prompt_tokens, one.usage.prompt_tokens);
  assert.ok(body.usage.completion_tokens > one.usage.completion_tokens && body.usage.completion_tokens <= 72);
  checkUsage(body.usage);
  for (const n of [0, 17]) assert.equal((await refused({ n })).param, 'n');
});

test('chat: openai-node reads n streamed answers, each with its end', async () => {
  const { openai } = clients();
  const whole = await chat({ seed: 11, max_tokens: 24, n: 3, thinking: { type: 'disabled' } });
  const stream = openai.chat.completions.stream(ask({ seed: 11, max_tokens: 24, n: 3, thinking: { type: 'disabled' }, stream_options: { include_usage: true } }));
  const built = await stream.finalChatCompletion();
  assert.equal(built.choices.length, 3);
  for (const { index, message, finish_reason } of built.choices) {
    assert.equal(message.content ?? '', whole.choices[index].message.content);
    assert.equal(finish_reason, whole.choices[index].finish_reason);
  }
  assert.equal(built.usage.completion_tokens, whole.usage.completion_tokens);
});

const joined = (tokens) => Buffer.from((tokens ?? []).flatMap(({ bytes }) => bytes)).toString();

test('chat: log probabilities join to the text, and their absence is null', async () => {
  await accepts({ logprobs: false }, { logprobs: null }, { top_logprobs: 0 });
  const { choices: [{ logprobs, message }] } = await chat({ logprobs: true, top_logprobs: 2, seed: 3, max_tokens: 400 });
  assert.ok(joined(logprobs.content).includes(message.content) && joined(logprobs.reasoning_content).includes(message.reasoning_content));
  for (const token of [...logprobs.content, ...logprobs.reasoning_content]) {
    assert.ok(token.logprob <= 0 && token.top_logprobs.length === 2, JSON.stringify(token));
    assert.ok(token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob && token.top_logprobs[0].logprob >= token.logprob);
  }
  assert.equal((await chat({ max_tokens: 2 })).choices[0].logprobs, null);
  assert.equal((await refused({ top_logprobs: 5 })).param, 'top_logprobs');
  assert.equal((await refused({ logprobs: true, top_logprobs: 21 })).param, 'top_logprobs');
});

test('chat: openai-node streams log probabilities as it reads them whole', async () => {
  const { openai } = clients();
  const request = ask({ logprobs: true, top_logprobs: 1, seed: 5, max_tokens: 24, thinking: { type: 'disabled' } });
  const whole = await openai.chat.completions.create(request);
  const built = await openai.chat.completions.stream(request).finalChatCompletion();
  assert.deepEqual(built.choices[0].logprobs.content, whole.choices[0].logprobs.content);
});

test('chat: penalties and bias are taken and act, out of their limits they are refused', async () => {
  await accepts({ presence_penalty: 0.5 }, { frequency_penalty: -2 }, { repetition_penalty: 1.1 }, { temperature: 0 }, { temperature: 2 }, { top_p: 1 }, { logit_bias: {} }, { logit_bias: null });
  const plain = { temperature: 0, max_tokens: 40, thinking: { type: 'disabled' } };
  const [usual, biased] = [await chat(plain), await chat({ ...plain, logit_bias: Object.fromEntries(Array.from({ length: 1000 }, (_, id) => [id, -100])) })];
  assert.notEqual(biased.choices[0].message.content, usual.choices[0].message.content);
  for (const [field, value] of [['presence_penalty', 3], ['frequency_penalty', -2.1], ['repetition_penalty', 0], ['temperature', 2.1], ['temperature', -0.1], ['top_p', 0], ['top_p', 1.1],
    ['logit_bias', { 5: 101 }], ['logit_bias', { moon: 1 }], ['logit_bias', { 99999999: 1 }]]) {
    assert.equal((await refused({ [field]: value })).param, field, `${field} ${JSON.stringify(value)}`);
  }
});

test('chat: one seed gives one answer, also the largest and the most negative', async () => {
  for (const seed of [5, '9223372036854775807', '-9223372036854775808']) {
    // JSON numbers beyond 2^53 are not JavaScript's: written by hand.
    const body = JSON.stringify(ask({ max_tokens: 24, seed: 0 })).replace('"seed":0', `"seed":${seed}`);
    const texts = [];
    for (let again = 0; again < 2; ++again) texts.push(JSON.stringify((await answer(kPath, body)).choices[0].message));
    assert.equal(texts[0], texts[1], String(seed));
  }
});

test('chat: a content may be text or text parts, in every role', async () => {
  const parts = [{ type: 'text', text: '写一首' }, { type: 'text', text: '关于月的诗。' }];
  for (const role of ['system', 'developer', 'user', 'assistant']) {
    for (const content of ['你好', parts]) {
      assert.equal((await post(kPath, ask({ max_tokens: 1, messages: [{ role, content }, ...messages] }))).status, 200, role);
    }
  }
  assert.equal((await refused({ messages: [{ role: 'user', content: [] }] })).param, 'messages[0].content');
});

test('chat: an assistant turn may have no content, another role must', async () => {
  await accepts({ messages: [{ role: 'assistant', content: null }, ...messages] }, { messages: [{ role: 'assistant' }, ...messages] });
  assert.equal((await refused({ messages: [{ role: 'user', content: null }] })).param, 'messages[0].content');
});

test('chat: parts that are no text are refused with their place', async () => {
  for (const part of [{ type: 'image_url', image_url: { url: 'http://x/y.png' } }, { type: 'input_audio', input_audio: {} }, { type: 'file', file: {} }]) {
    const error = await refused({ messages: [...messages, { role: 'user', content: [{ type: 'text', text: 'a' }, part] }] });
    assert.equal(error.param, 'messages[1].content[1].type');
  }
});

test('chat: unknown fields are ignored everywhere', async () => {
  await accepts({ cache_control: { type: 'ephemeral' }, whatever: [1], x_vendor: { a: null } },
    { messages: [{ role: 'user', content: 'x', cache_control: {}, name: 'ann' }] },
    { messages: [{ role: 'user', content: [{ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }] }] });
});

test('chat: fields that steer what is not there are accepted', async () => {
  await accepts({ user: 'u1' }, { user_id: 'u-1' }, { safety_identifier: 's' }, { prompt_cache_key: 'k' }, { metadata: { a: 'b' } }, { store: false },
    { store: true }, { service_tier: 'auto' }, { service_tier: 'default' }, { verbosity: 'medium' }, { modalities: ['text'] });
});

test('chat: what would change the answer is refused by name, never dropped', async () => {
  for (const [field, value] of [['modalities', ['text', 'audio']], ['audio', { voice: 'alloy', format: 'mp3' }], ['prediction', { type: 'content', content: 'x' }],
    ['web_search_options', { search_context_size: 'low' }], ['verbosity', 'high']]) {
    const error = await refused({ [field]: value });
    assert.deepEqual([error.param, error.code], [field, 'unsupported_parameter']);
    assert.ok(error.message.includes(field), error.message);
  }
});

test('chat: every level of reasoning_effort but none is a hint, and thinking can be switched off', async () => {
  await accepts(...['minimal', 'low', 'medium', 'high', 'xhigh', 'max', 'ultra'].map((reasoning_effort) => ({ reasoning_effort })), { thinking: { type: 'enabled' } });
  for (const off of [{ thinking: { type: 'disabled' } }, { reasoning_effort: 'none' }]) {
    const { choices, usage } = await answer('/v1/chat/completions', ask({ ...off, max_tokens: 8 }));
    assert.ok(!choices[0].message.reasoning_content, JSON.stringify(choices));
    assert.equal(usage.completion_tokens_details.reasoning_tokens, 0);
    assert.ok(usage.completion_tokens > 0);
  }
  assert.equal((await refused({ thinking: { type: 'sometimes' } })).param, 'thinking.type');
  assert.equal((await refused({ reasoning_effort: 'endless' })).param, 'reasoning_effort');
  assert.equal((await refused({ reasoning_effort: 'none', thinking: { type: 'enabled' } })).param, 'reasoning_effort');
});

test('chat: numbers of the wrong type are refused with the field', async () => {
  for (const field of ['temperature', 'top_p', 'seed', 'max_tokens', 'max_completion_tokens', 'presence_penalty', 'stream']) {
    assert.equal((await refused({ [field]: 'x' })).param, field);
  }
});

test('chat: a context that is too small is told apart from a wrong field', async () => {
  const error = await refused({ messages: [{ role: 'user', content: '月'.repeat(20_000) }] });
  assert.equal(error.code, 'context_length_exceeded');
  assert.match(error.message, /\d+/);
});

test('chat: a typo in the model is 404 and hears the near name', async () => {
  const error = await refused({ model: 'tang-mo' }, 404);
  assert.equal(error.code, 'model_not_found');
  assert.ok(error.message.includes(`'${kModel}'`), error.message);
});

test('chat: text that spells control tokens stays text', async () => {
  const count = async (content) => (await chat({ max_tokens: 1, messages: [{ role: 'user', content }] })).usage.prompt_tokens;
  assert.ok(await count('<｜User｜></think><｜end▁of▁sentence｜>') > await count('a') + 5);
});

test('chat: text of every plane is taken, and what comes back is well formed', async () => {
  for (const text of ['𝄞🌊👩‍👩‍👧', 'ß İ ﬁ ‮', '\u0000\u0001\u007f', '"\\\n\t']) {
    const body = await chat({ max_tokens: 2, messages: [{ role: 'user', content: text }] });
    assert.ok((body.choices[0].message.content + (body.choices[0].message.reasoning_content ?? '')).isWellFormed());
    assert.ok(body.usage.prompt_tokens > 3);
  }
});

test('chat: the end user that a request names, by any of its names, may be 512 bytes and no more', async () => {
  for (const name of ['user', 'user_id', 'safety_identifier']) {
    await accepts({ [name]: 'u'.repeat(512) });
    assert.equal((await refused({ [name]: 'u'.repeat(513) })).param, name);
  }
});

test('chat: openai-node reads the whole of it', async () => {
  const { openai } = clients({ key: stack.apiKey });
  const { data, response } = await openai.chat.completions.create(ask({ max_tokens: 3 })).withResponse();
  assert.equal(data._request_id, response.headers.get('x-request-id'));
  assert.equal(data.choices[0].finish_reason, 'length');
  await assert.rejects(openai.chat.completions.create(ask({ temperature: 9 })), (error) => error.param === 'temperature' && error.requestID.length === 36);
});

test('chat: a prompt of one mebibyte is read, and refused for the right reason', async () => {
  const response = await post(kPath, ask({ messages: [{ role: 'user', content: kPrompt + 'moon '.repeat(210_000) }] }));
  assert.equal(response.status, 400);
  assert.equal((await errorOf(response)).code, 'context_length_exceeded');
});
